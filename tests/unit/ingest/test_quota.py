"""The quota ledger: never over its limits, never twice, and never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.quota import (
    ENTRIES_KEPT,
    Allowance,
    EntryState,
    KeyReused,
    Ledger,
    QuotaExhausted,
    QuotaLimit,
    day_of,
    end_of,
)

NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
EMPTY = Ledger("team_a", "chl_a")


def reserve(ledger: Ledger, key: str, *, at: datetime = NOON, per_day: int = 2, total: int = 3) -> Ledger:
    return ledger.reserve(
        key, submission=f"sub_{key}", fingerprint=key, allowance=Allowance(per_day, total), received_at=at, at=at
    )[0]


def committed(ledger: Ledger, key: str, *, at: datetime = NOON, per_day: int = 2, total: int = 3) -> Ledger:
    return reserve(ledger, key, at=at, per_day=per_day, total=total).commit(key, f"sub_{key}")


def refund(ledger: Ledger, key: str, *, at: datetime = NOON) -> Ledger:
    return ledger.refund(key, submission=f"sub_{key}", day=day_of(at), fingerprint=key, at=at)


def refund_cancelled(ledger: Ledger, key: str, *, at: datetime = NOON, per_day: int = 2) -> Ledger:
    return ledger.refund_cancelled(
        key, submission=f"sub_{key}", day=day_of(NOON), fingerprint=key, per_day=per_day, at=at
    )


def test_a_day_begins_at_midnight_in_shanghai() -> None:
    assert day_of(datetime(2026, 3, 1, 15, 59, 59, 999_000, tzinfo=UTC)) == "2026-03-01"
    assert day_of(datetime(2026, 3, 1, 16, 0, tzinfo=UTC)) == "2026-03-02"
    assert end_of("2026-03-01") == datetime(2026, 3, 1, 16, 0, tzinfo=UTC)


def test_a_day_that_is_used_up_says_when_the_quota_returns() -> None:
    ledger = committed(reserve(EMPTY, "a"), "b")
    with pytest.raises(QuotaExhausted) as refused:
        reserve(ledger, "c")
    assert refused.value.limit is QuotaLimit.PER_DAY
    assert refused.value.allowed == 2
    assert refused.value.returns_at == datetime(2026, 3, 1, 16, 0, tzinfo=UTC)


def test_the_next_day_has_its_own_attempts_until_the_total_is_used_up() -> None:
    ledger = committed(committed(EMPTY, "a"), "b")
    ledger = committed(ledger, "c", at=NOON + timedelta(days=1))
    with pytest.raises(QuotaExhausted) as refused:
        reserve(ledger, "d", at=NOON + timedelta(days=2))
    assert refused.value.limit is QuotaLimit.TOTAL
    assert refused.value.returns_at is None


def test_the_same_request_again_gets_the_entry_it_has_even_when_nothing_is_left() -> None:
    ledger = committed(committed(EMPTY, "a"), "b")
    again, entry = ledger.reserve(
        "a", submission="sub_other", fingerprint="a", allowance=Allowance(2, 3), received_at=NOON, at=NOON
    )
    assert again is ledger
    assert entry.submission == "sub_a"


def test_the_same_key_with_another_body_is_refused() -> None:
    with pytest.raises(KeyReused):
        reserve(EMPTY, "a").reserve(
            "a", submission="sub_b", fingerprint="b", allowance=Allowance(2, 3), received_at=NOON, at=NOON
        )


def test_a_released_attempt_is_free_again_and_a_committed_one_is_not() -> None:
    assert reserve(EMPTY, "a").release("a", "sub_a") == EMPTY
    ledger = committed(EMPTY, "a")
    assert ledger.release("a", "sub_a") is ledger


def test_a_stored_submission_uses_an_attempt_though_its_reservation_was_let_go() -> None:
    held = reserve(EMPTY, "a")
    late = held.release("a", "sub_a").consume("a", held.entries["a"])
    assert late.used_on("2026-03-01") == 1
    assert late.consume("a", held.entries["a"]) is late


def test_a_stored_submission_takes_over_the_attempt_that_its_repetition_holds() -> None:
    held = reserve(EMPTY, "a")
    again = held.release("a", "sub_a").reserve(
        "a", submission="sub_b", fingerprint="a", allowance=Allowance(2, 3), received_at=NOON, at=NOON
    )[0]
    settled = again.consume("a", held.entries["a"]).release("a", "sub_b")
    assert (settled.used_total, settled.entries["a"].submission) == (1, "sub_a")


def test_consuming_does_not_take_a_refunded_attempt_again() -> None:
    held = reserve(EMPTY, "a")
    refunded = refund(held, "a")
    assert refunded.consume("a", held.entries["a"]) is refunded


def test_only_old_reservations_are_orphans() -> None:
    ledger = committed(reserve(reserve(EMPTY, "a"), "b", at=NOON + timedelta(minutes=5)), "c", at=NOON, per_day=9)
    assert list(ledger.orphans(NOON + timedelta(minutes=2))) == ["a"]


def test_a_refund_goes_to_its_own_day_once() -> None:
    ledger = committed(committed(EMPTY, "a"), "b", at=NOON + timedelta(days=1))
    once = refund(ledger, "a")
    assert (once.used_on("2026-03-01"), once.used_on("2026-03-02"), once.used_total) == (0, 1, 1)
    assert refund(once, "a") == once


def test_cancelling_refunds_at_most_as_often_a_day_as_the_daily_quota() -> None:
    ledger = EMPTY
    for key in "abc":
        ledger = refund_cancelled(committed(ledger, key, total=9), key)
    assert [entry.state for entry in ledger.entries.values()] == [
        EntryState.REFUNDED,
        EntryState.REFUNDED,
        EntryState.COMMITTED,
    ]
    assert refund_cancelled(ledger, "a", at=NOON + timedelta(days=1)).cancelled == ledger.cancelled
    tomorrow = refund_cancelled(ledger, "c", at=NOON + timedelta(days=1))
    assert tomorrow.is_refunded("c")
    assert tomorrow.cancelled == {"2026-03-02": 1}


def test_old_committed_attempts_are_folded_into_numbers_and_can_still_be_refunded_once() -> None:
    ledger = EMPTY
    for number in range(ENTRIES_KEPT + 5):
        ledger = committed(ledger, f"k{number}", per_day=999, total=999)
    assert len(ledger.entries) == ENTRIES_KEPT
    assert ledger.used_total == ENTRIES_KEPT + 5
    once = refund(ledger, "k0")
    assert once.used_total == ENTRIES_KEPT + 4
    assert refund(once, "k0") == once


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "release", "refund", "cancel"]),
        st.integers(0, 59),
        st.integers(0, 2),
    ),
    max_size=250,
)


@given(STEPS, st.integers(1, 20), st.integers(1, 50))
def test_whatever_comes_in_whatever_order_the_numbers_are_those_of_a_plain_count(
    steps: list[tuple[str, int, int]], per_day: int, total: int
) -> None:
    """A model that keeps every attempt for ever agrees with the ledger, which folds."""
    ledger = EMPTY
    attempts: dict[str, tuple[str, str]] = {}  # key -> (day, state)

    def used(day: str | None = None) -> int:
        return sum(state != "refunded" and day in (None, on) for on, state in attempts.values())

    for step, number, later in steps:
        key = f"k{number}"
        # A key belongs to one request, so its upload was complete at one moment.
        at = NOON + timedelta(days=number % 3)
        day = day_of(at)
        if step == "reserve":
            if key in attempts and key not in ledger.entries:
                continue  # the store finds the submission of a folded attempt before it asks the ledger
            full = used() >= total or used(day) >= per_day
            if key not in attempts and full:
                with pytest.raises(QuotaExhausted):
                    reserve(ledger, key, at=at, per_day=per_day, total=total)
                continue
            ledger = reserve(ledger, key, at=at, per_day=per_day, total=total)
            attempts.setdefault(key, (day, "reserved"))
        elif step == "commit":
            ledger = ledger.commit(key, f"sub_{key}")
            if attempts.get(key) == (day, "reserved"):
                attempts[key] = (day, "committed")
        elif step == "release":
            ledger = ledger.release(key, f"sub_{key}")
            if attempts.get(key) == (day, "reserved"):
                del attempts[key]
        elif key in attempts:
            when = NOON + timedelta(days=later)
            before = ledger.used_total
            if step == "refund":
                ledger = refund(ledger, key, at=at)
                attempts[key] = (day, "refunded")
            else:
                ledger = ledger.refund_cancelled(
                    key, submission=f"sub_{key}", day=day, fingerprint=key, per_day=per_day, at=when
                )
                if ledger.used_total < before:
                    attempts[key] = (day, "refunded")
        assert ledger.used_total == used() <= total
        for on in ("2026-03-01", "2026-03-02", "2026-03-03"):
            assert ledger.used_on(on) == used(on) <= per_day
        assert all(count <= per_day for count in ledger.cancelled.values())
        committed_whole = sum(entry.state is EntryState.COMMITTED for entry in ledger.entries.values())
        assert committed_whole <= ENTRIES_KEPT
        assert (ledger.held_since is not None) == any(state == "reserved" for _, state in attempts.values())
