"""A challenge: what is posted on the board, its versions, and its phases as time passes over them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from jiebang.errors import Fault, JiebangError
from shared.contracts.board import (
    LATE,
    ChallengeAmended,
    ChallengePublished,
    Limits,
    Phase,
    PhaseClosed,
    PhaseOpened,
    Quota,
)
from shared.contracts.envelope import Digest, Fact, Json, Moment, rfc3339


class AmendmentRefused(JiebangError):
    """A challenge may not be changed like this once it is posted."""

    fault = Fault.SPONSOR


class JudgingFrozen(AmendmentRefused):
    """What datasets are judged by may not change now; it may once the phases that have begun are through."""


class PhaseState(StrEnum):
    """Where a phase stands; it only ever moves forward."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    CLOSED = "closed"


class Terms(BaseModel):
    """Everything a sponsor decides: the text that one version of a challenge consists of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: dict[str, str]
    summary: dict[str, str] | None = None
    sector: str
    sponsor: str
    demand: Json
    rubric: Json
    rubric_digest: Digest
    phases: tuple[Phase, ...]
    quota: Quota
    limits: Limits


class Challenge(BaseModel):
    """A posted challenge at its latest version; `progress` says of each phase by name how far it has come."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    version: int
    terms: Terms
    progress: dict[str, PhaseState]
    published_at: Moment
    amended_at: Moment | None = None

    @property
    def state(self) -> str:
        """`upcoming` before the first phase, `open` while one is, `between_phases`, and `closed` after the last."""
        states = [self.progress[phase.name] for phase in self.terms.phases]
        if PhaseState.OPEN in states:
            return "open"
        if all(state is PhaseState.CLOSED for state in states):
            return "closed"
        return "between_phases" if PhaseState.CLOSED in states else "upcoming"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def next_turn_at(self) -> datetime | None:
        """The next moment at which a phase opens or closes; None when all are over. Stored, for the sweeper to find."""
        moments = []
        for phase in self.terms.phases:
            match self.progress[phase.name]:
                case PhaseState.SCHEDULED:
                    moments.append(phase.starts_at)
                case PhaseState.OPEN:
                    moments.append(phase.ends_at)
                case PhaseState.CLOSED:
                    pass
        return min(moments, default=None)


def publish(challenge: str, terms: Terms, now: datetime) -> tuple[Challenge, Sequence[Fact]]:
    """Posts a challenge; phases that have begun by `now` are open at once."""
    for phase in terms.phases:
        if phase.ends_at <= now:
            raise AmendmentRefused(
                "phase_over",
                f"The phase {phase.name} would be over before the challenge is posted.",
                "Give it an end in the future.",
                path=["phases", phase.name, "ends_at"],
            )
    state = Challenge(
        id=challenge,
        version=1,
        terms=terms,
        progress={phase.name: PhaseState.SCHEDULED for phase in terms.phases},
        published_at=now,
    )
    turned, moments = turn_phases(state, now)
    return turned, [ChallengePublished(challenge=challenge, version=1, **_facts(terms)), *moments]


def amend(state: Challenge, terms: Terms, now: datetime) -> tuple[Challenge, Sequence[Fact]]:
    """Makes the next version of a challenge; the same terms again change nothing.

    What teams have relied on stays: the sponsor, closed phases, the start of an open phase, and, while submissions are
    possible, the rubric and the demand, since one board ranks by one rule; and no phase can be made to end before now.
    """
    state, moments = turn_phases(state, now)
    if terms == state.terms:
        return state, moments
    if terms.sponsor != state.terms.sponsor:
        raise AmendmentRefused(
            "sponsor_fixed", "A challenge keeps its sponsor.", "Post a new challenge for another sponsor."
        )
    changed = {phase.name: phase for phase in terms.phases}
    for phase in state.terms.phases:
        _refuse_rewriting(phase, state.progress[phase.name], changed.get(phase.name))
    _refuse_another_judging(state, terms, now)
    for phase in terms.phases:
        if state.progress.get(phase.name) is not PhaseState.CLOSED and phase.ends_at <= now:
            raise AmendmentRefused(
                "phase_over",
                f"The phase {phase.name} would end in the past.",
                "Give it an end in the future.",
                path=["phases", phase.name, "ends_at"],
            )
    amended = state.model_copy(
        update={
            "version": state.version + 1,
            "terms": terms,
            "progress": {phase.name: state.progress.get(phase.name, PhaseState.SCHEDULED) for phase in terms.phases},
            "amended_at": now,
        }
    )
    turned, later = turn_phases(amended, now)
    fact = ChallengeAmended(challenge=state.id, version=amended.version, **_facts(terms))
    return turned, [*moments, fact, *later]


def turn_phases(state: Challenge, now: datetime) -> tuple[Challenge, Sequence[Fact]]:
    """Opens and closes the phases whose moment has come by `now`, in the order of their moments."""
    facts: list[Fact] = []
    progress = dict(state.progress)
    for phase in state.terms.phases:
        if progress[phase.name] is PhaseState.SCHEDULED and phase.starts_at <= now:
            progress[phase.name] = PhaseState.OPEN
            facts.append(PhaseOpened(challenge=state.id, phase=phase.name, at=now))
        if progress[phase.name] is PhaseState.OPEN and phase.ends_at <= now:
            progress[phase.name] = PhaseState.CLOSED
            facts.append(PhaseClosed(challenge=state.id, phase=phase.name, at=now))
    if not facts:
        return state, []
    return state.model_copy(update={"progress": progress}), facts


def _refuse_rewriting(phase: Phase, progress: PhaseState, changed: Phase | None) -> None:
    if progress is PhaseState.SCHEDULED:
        return
    path = ["phases", phase.name]
    if progress is PhaseState.CLOSED and changed != phase:
        raise AmendmentRefused(
            "phase_fixed", f"The phase {phase.name} is over and stays as it was.", "Add a new phase instead.", path=path
        )
    if changed is None or changed.starts_at != phase.starts_at:
        raise AmendmentRefused(
            "phase_fixed",
            f"The phase {phase.name} is open: it cannot be removed or start at another time.",
            "Change its end, or add a new phase.",
            path=path,
        )


def _refuse_another_judging(state: Challenge, terms: Terms, now: datetime) -> None:
    changed = [name for name in ("rubric", "demand") if getattr(terms, name) != getattr(state.terms, name)]
    if terms.rubric_digest != state.terms.rubric_digest and "rubric" not in changed:
        changed.append("rubric")
    if not changed:
        return
    for phase in state.terms.phases:
        if state.progress[phase.name] is not PhaseState.SCHEDULED and now < phase.ends_at + LATE:
            raise JudgingFrozen(
                "rubric_frozen",
                f"The phase {phase.name} takes submissions: its board is made by one rubric and one demand.",
                "Send them unchanged, amend the challenge once the phase is through, or post a new challenge.",
                path=[changed[0]],
                frozen_until=rfc3339(phase.ends_at + LATE),
            )


def _facts(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in Terms.model_fields}
