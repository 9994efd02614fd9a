from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.failures import DeadLetterLimit, Retries


@given(st.integers(1, 10_000))
def test_waits_grow_to_the_longest_and_no_further(attempt: int) -> None:
    retries = Retries(first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=60))
    wait = retries.wait(attempt)
    expected = min(60.0, 2.0 ** min(attempt - 1, 30))
    assert 0.8 * expected <= wait <= 1.2 * expected


def test_a_few_dead_letters_among_many_records_are_no_reason_to_stop() -> None:
    limit = DeadLetterLimit(window=100, least=5, share=0.5)
    outcomes = limit.outcomes()
    outcomes.extend([True, False, False] * 40)
    assert not limit.exceeded(outcomes)


def test_a_handful_of_dead_letters_is_no_reason_to_stop_even_if_there_is_nothing_else() -> None:
    limit = DeadLetterLimit(window=100, least=5, share=0.5)
    outcomes = limit.outcomes()
    outcomes.extend([True] * 4)
    assert not limit.exceeded(outcomes)
    outcomes.append(True)
    assert limit.exceeded(outcomes)


def test_old_outcomes_are_forgotten() -> None:
    limit = DeadLetterLimit(window=10, least=2, share=0.5)
    outcomes = limit.outcomes()
    outcomes.extend([True] * 10)
    assert limit.exceeded(outcomes)
    outcomes.extend([False] * 10)
    assert not limit.exceeded(outcomes)
