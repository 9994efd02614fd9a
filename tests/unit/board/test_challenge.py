"""A challenge's versions and phases: what time and amendments may do to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.board.challenge import AmendmentRefused, JudgingFrozen, PhaseState, Terms, amend, publish, turn_phases
from shared.contracts.board import (
    ChallengeAmended,
    ChallengePublished,
    Limits,
    Phase,
    PhaseClosed,
    PhaseOpened,
    Quota,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CHALLENGE = "chl_01jnb3v8k2e7wqx0m5yt4c9rza"


def phase(name: str, starts: float, ends: float) -> Phase:
    """A phase from `starts` to `ends`, in hours after NOW."""
    return Phase(name=name, starts_at=NOW + timedelta(hours=starts), ends_at=NOW + timedelta(hours=ends))


def terms(*phases: Phase, per_day: int = 5) -> Terms:
    return Terms(
        title={"zh": "企鹅体征"},
        sector="science",
        sponsor="spn_01jnb3p6y9c4t2w8h5k7m0q1rx",
        demand={"types": {"species": "text"}},
        rubric={"id": "core-0"},
        rubric_digest="0" * 64,
        phases=phases or (phase("preliminary", -1, 24),),
        quota=Quota(per_day=per_day, total=40),
        limits=Limits(bytes=1 << 30, formats=("csv",)),
    )


def hours(number: float) -> datetime:
    return NOW + timedelta(hours=number)


def test_publishing_during_a_phase_opens_it_at_once() -> None:
    state, facts = publish(CHALLENGE, terms(), NOW)
    assert [type(fact) for fact in facts] == [ChallengePublished, PhaseOpened]
    assert state.state == "open"
    assert state.next_turn_at == hours(24)


def test_a_challenge_cannot_be_posted_with_a_phase_that_is_over() -> None:
    with pytest.raises(AmendmentRefused) as refusal:
        publish(CHALLENGE, terms(phase("preliminary", -2, 0)), NOW)
    assert refusal.value.code == "phase_over"


def test_a_phase_is_half_open_to_the_microsecond() -> None:
    state, _ = publish(CHALLENGE, terms(phase("preliminary", 1, 2)), NOW)
    tick = timedelta(microseconds=1)
    assert turn_phases(state, hours(1) - tick)[1] == []
    opened, facts = turn_phases(state, hours(1))
    assert [type(fact) for fact in facts] == [PhaseOpened]
    assert turn_phases(opened, hours(2) - tick)[1] == []
    assert [type(fact) for fact in turn_phases(opened, hours(2))[1]] == [PhaseClosed]


def test_a_sweeper_that_slept_through_everything_still_says_it_all_in_order() -> None:
    state, _ = publish(CHALLENGE, terms(phase("preliminary", 1, 2), phase("final", 2, 3)), NOW)
    closed, facts = turn_phases(state, hours(100))
    assert [(type(fact), getattr(fact, "phase")) for fact in facts] == [  # noqa: B009
        (PhaseOpened, "preliminary"),
        (PhaseClosed, "preliminary"),
        (PhaseOpened, "final"),
        (PhaseClosed, "final"),
    ]
    assert closed.state == "closed"
    assert closed.next_turn_at is None


@given(
    lengths=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=5),
    moments=st.lists(st.integers(0, 120), max_size=12),
)
def test_however_often_the_sweeper_looks_each_phase_opens_once_and_closes_once(
    lengths: list[tuple[int, int]], moments: list[int]
) -> None:
    start = 1
    phases = []
    for index, (gap, length) in enumerate(lengths):
        start += gap
        phases.append(phase(f"p{index}", start, start + length))
        start += length
    state, facts = publish(CHALLENGE, terms(*phases), NOW)
    seen = list(facts[1:])
    for moment in [*sorted(moments), 1000]:
        state, facts = turn_phases(state, hours(moment))
        seen += facts
        due = state.next_turn_at
        assert due is None or due > hours(moment)
    expected = [(kind, entry.name) for entry in phases for kind in (PhaseOpened, PhaseClosed)]
    assert [(type(fact), fact.__dict__["phase"]) for fact in seen] == expected


def test_an_amendment_is_a_new_version_with_the_whole_challenge() -> None:
    state, _ = publish(CHALLENGE, terms(), NOW)
    amended, facts = amend(state, terms(per_day=6), hours(1))
    assert amended.version == 2
    assert amended.amended_at == hours(1)
    (fact,) = facts
    assert isinstance(fact, ChallengeAmended)
    assert fact.quota.per_day == 6
    assert fact.phases == state.terms.phases


def test_the_same_terms_again_change_nothing() -> None:
    state, _ = publish(CHALLENGE, terms(), NOW)
    assert amend(state, terms(), hours(1)) == (state, [])


def test_an_open_phase_can_be_lengthened_and_a_new_one_added() -> None:
    state, _ = publish(CHALLENGE, terms(), NOW)
    amended, _ = amend(state, terms(phase("preliminary", -1, 48), phase("final", 50, 60)), hours(1))
    assert amended.next_turn_at == hours(48)
    assert amended.progress["final"] is PhaseState.SCHEDULED


@pytest.mark.parametrize(
    ("phases", "code"),
    [
        ((phase("preliminary", 0, 24),), "phase_fixed"),
        ((phase("final", -1, 24),), "phase_fixed"),
        ((phase("preliminary", -1, 0.5),), "phase_over"),
    ],
)
def test_an_open_phase_cannot_be_moved_removed_or_ended_in_the_past(phases: tuple[Phase, ...], code: str) -> None:
    state, _ = publish(CHALLENGE, terms(), NOW)
    with pytest.raises(AmendmentRefused) as refusal:
        amend(state, terms(*phases), hours(1))
    assert refusal.value.code == code


def test_a_closed_phase_stays_as_it_was() -> None:
    state, _ = publish(CHALLENGE, terms(), NOW)
    with pytest.raises(AmendmentRefused) as refusal:
        amend(state, terms(phase("preliminary", -1, 72)), hours(25))
    assert refusal.value.code == "phase_fixed"
    amended, _ = amend(state, terms(phase("preliminary", -1, 24), phase("final", 30, 40)), hours(25))
    assert amended.progress == {"preliminary": PhaseState.CLOSED, "final": PhaseState.SCHEDULED}


@pytest.mark.parametrize(
    "other",
    [{"rubric": {"id": "core-1"}, "rubric_digest": "1" * 64}, {"rubric_digest": "1" * 64}, {"demand": {"types": {}}}],
)
def test_what_judges_datasets_stays_while_a_phase_takes_submissions(other: dict[str, Any]) -> None:
    phases = (phase("preliminary", 1, 24), phase("final", 30, 40))
    state, _ = publish(CHALLENGE, terms(*phases), NOW)
    changed = terms(*phases).model_copy(update=other)
    assert amend(state, changed, hours(0.5))[0].version == 2
    through = hours(24) + timedelta(minutes=10)
    tick = timedelta(microseconds=1)
    for moment in (hours(1), hours(24), through - tick, hours(30), hours(40)):
        with pytest.raises(JudgingFrozen) as refusal:
            amend(state, changed, moment)
        assert refusal.value.code == "rubric_frozen"
    assert amend(state, changed, through)[0].version == 2, "between the phases, each of which has a board of its own"


def test_a_challenge_keeps_its_sponsor() -> None:
    state, _ = publish(CHALLENGE, terms(), NOW)
    other = terms().model_copy(update={"sponsor": "spn_01jnb3p6y9c4t2w8h5k7m0q1ry"})
    with pytest.raises(AmendmentRefused) as refusal:
        amend(state, other, hours(1))
    assert refusal.value.code == "sponsor_fixed"
