"""The life of a submission: received, scanned, accepted, scored, ranked, or one of its three other ends.

Topics have no common order, so a later fact may come first: jumps forward are legal, and an end absorbs whatever
comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.contracts.envelope import Fact
from shared.contracts.intake import (
    GateReason,
    SubmissionAccepted,
    SubmissionCancelled,
    SubmissionFailed,
    SubmissionRanked,
    SubmissionReceived,
    SubmissionRejected,
)


class SubmissionState(StrEnum):
    """Where a submission is. `scanning` is shown while a worker has it and is stored in the timeline alone."""

    RECEIVED = "received"
    SCANNING = "scanning"
    ACCEPTED = "accepted"
    SCORED = "scored"
    RANKED = "ranked"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDS = frozenset({SubmissionState.RANKED, SubmissionState.REJECTED, SubmissionState.CANCELLED, SubmissionState.FAILED})
"""The states that a submission never leaves."""

WAITING = frozenset({SubmissionState.RECEIVED, SubmissionState.ACCEPTED, SubmissionState.SCORED})
"""The stored states in which somebody has work to do; each has a deadline."""


class Stage(StrEnum):
    """What a waiting submission waits for."""

    SCAN = "scan"
    SCORE = "score"
    RANK = "rank"


STAGE_OF = {
    SubmissionState.RECEIVED: Stage.SCAN,
    SubmissionState.ACCEPTED: Stage.SCORE,
    SubmissionState.SCORED: Stage.RANK,
}
"""Waiting state → the stage that ends it."""

_ORDER = (Stage.SCAN, Stage.SCORE, Stage.RANK)


class TransitionRefused(Exception):
    """A command came in a state that does not allow it."""

    def __init__(self, state: SubmissionState, wanted: str) -> None:
        super().__init__(f"a submission that is {state} cannot be {wanted}")
        self.state = state
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each stage may take before it is driven again, and how often it is driven before we give up.

    A stage gets the same time after each drive, so it ends, and the attempt comes back, within `drives + 1` deadlines.
    """

    scan: timedelta = timedelta(minutes=15)
    score: timedelta = timedelta(minutes=60)
    rank: timedelta = timedelta(minutes=10)
    drives: int = 3

    def of(self, stage: Stage) -> timedelta:
        """The time a stage gets, at first and after each drive."""
        return {Stage.SCAN: self.scan, Stage.SCORE: self.score, Stage.RANK: self.rank}[stage]


@dataclass(frozen=True, slots=True)
class Passage:
    """A state, and the moment it was reached."""

    state: SubmissionState
    at: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a gate said no: its code, a sentence that says what to do, and the file it concerns."""

    code: str
    sentence: str
    gate: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """The document of a submission.

    `received_at` is the moment its upload was complete; `key` and `fingerprint` are those of the request that made
    it; `formats` are the kinds of file that the challenge allowed then. `refund_due` says that its attempt is still
    to be given back.
    """

    id: str
    challenge: str
    challenge_version: int
    phase: str
    team: str
    upload: str
    digest: str
    bytes: int
    formats: tuple[str, ...]
    received_at: datetime
    created_at: datetime
    key: str
    fingerprint: str
    quota_day: str
    state: SubmissionState
    timeline: tuple[Passage, ...]
    deadline_at: datetime | None
    note: str | None = None
    drives: int = 0
    dataset_digest: str | None = None
    files: int | None = None
    reasons: tuple[Reason, ...] = ()
    total: str | None = None
    grade: str | None = None
    rank: int | None = None
    refund_due: bool = False

    @classmethod
    def receive(
        cls,
        *,
        id: str,
        challenge: str,
        challenge_version: int,
        phase: str,
        team: str,
        upload: str,
        digest: str,
        bytes: int,
        formats: tuple[str, ...],
        received_at: datetime,
        key: str,
        fingerprint: str,
        quota_day: str,
        note: str | None,
        deadlines: Deadlines,
        at: datetime,
    ) -> tuple[Submission, tuple[Fact, ...]]:
        """A new submission of a verified upload, with its event."""
        submission = cls(
            id=id,
            challenge=challenge,
            challenge_version=challenge_version,
            phase=phase,
            team=team,
            upload=upload,
            digest=digest,
            bytes=bytes,
            formats=formats,
            received_at=received_at,
            created_at=at,
            key=key,
            fingerprint=fingerprint,
            quota_day=quota_day,
            state=SubmissionState.RECEIVED,
            timeline=(Passage(SubmissionState.RECEIVED, at),),
            deadline_at=at + deadlines.of(Stage.SCAN),
            note=note,
        )
        return submission, (submission.received_fact(),)

    @property
    def ended(self) -> bool:
        """Whether the submission has reached one of its ends."""
        return self.state in ENDS

    @property
    def stage(self) -> Stage | None:
        """What the submission waits for, None at its end."""
        return STAGE_OF.get(self.state)

    def received_fact(self) -> SubmissionReceived:
        """What the receipt says and the first event carries."""
        return SubmissionReceived(**self._facts())

    def accept(
        self, *, dataset_digest: str, files: int, began_at: datetime, deadlines: Deadlines, at: datetime
    ) -> tuple[Submission, tuple[Fact, ...]]:
        """Record that the scan found nothing against it; late or twice, nothing happens."""
        if self.state is not SubmissionState.RECEIVED:
            return self, ()
        accepted = replace(
            self._scanned(began_at),
            dataset_digest=dataset_digest,
            files=files,
        )._reach(SubmissionState.ACCEPTED, at, deadlines)
        return accepted, (accepted._accepted_fact(),)

    def reject(
        self, reasons: Sequence[Reason], *, began_at: datetime, at: datetime
    ) -> tuple[Submission, tuple[Fact, ...]]:
        """Record that a gate said no; the attempt is consumed."""
        if self.state is not SubmissionState.RECEIVED:
            return self, ()
        rejected = replace(self._scanned(began_at), reasons=tuple(reasons))._reach(SubmissionState.REJECTED, at)
        facts = tuple(GateReason(gate=reason.gate, code=reason.code) for reason in reasons)
        return rejected, (SubmissionRejected(**self._facts(), reasons=facts),)

    def cancel(self, at: datetime) -> tuple[Submission, tuple[Fact, ...]]:
        """Withdraw the submission before its scan ends; again, nothing happens.

        Raises:
            TransitionRefused: the scan is over.
        """
        if self.state is SubmissionState.CANCELLED:
            return self, ()
        if self.state is not SubmissionState.RECEIVED:
            raise TransitionRefused(self.state, "cancelled")
        cancelled = replace(self, refund_due=True)._reach(SubmissionState.CANCELLED, at)
        return cancelled, (SubmissionCancelled(**self._facts()),)

    def fail(self, *, stage: Stage, code: str, sentence: str, at: datetime) -> tuple[Submission, tuple[Fact, ...]]:
        """Give up after all attempts, for a fault of the platform; the quota goes back to its day."""
        waits_for = self.stage
        if waits_for is None or _ORDER.index(waits_for) > _ORDER.index(stage):
            return self, ()
        reason = Reason(code=code, sentence=sentence, gate=stage)
        failed = replace(self, refund_due=True, reasons=(reason,))._reach(SubmissionState.FAILED, at)
        return failed, (SubmissionFailed(**self._facts(), stage=stage, code=code),)

    def record_score(
        self, *, total: str, grade: str, deadlines: Deadlines, at: datetime
    ) -> tuple[Submission, tuple[Fact, ...]]:
        """Note the score; the board is next."""
        if self.state not in (SubmissionState.RECEIVED, SubmissionState.ACCEPTED):
            return self, ()
        return replace(self, total=total, grade=grade)._reach(SubmissionState.SCORED, at, deadlines), ()

    def record_rank(
        self, *, rank: int | None, total: str, grade: str, at: datetime
    ) -> tuple[Submission, tuple[Fact, ...]]:
        """Note that the board has the score: the good end."""
        if self.ended:
            return self, ()
        ranked = replace(self, rank=rank, total=total, grade=grade)._reach(SubmissionState.RANKED, at)
        return ranked, (SubmissionRanked(**self._facts(), rank=rank, total=total),)

    def drive_again(self, deadlines: Deadlines, at: datetime) -> tuple[Submission, tuple[Fact, ...]]:
        """Push a stage that is past its deadline once more, or give up after all drives; early, nothing happens.

        Scoring is told of the acceptance again, whether the score or the rank is late: it begins a score that it has
        not heard of and tells again one that it has. A scan job is queued by the caller.
        """
        stage = self.stage
        if stage is None or self.deadline_at is None or at < self.deadline_at:
            return self, ()
        if self.drives >= deadlines.drives:
            return self.fail(
                stage=stage,
                code="deadline_passed",
                sentence="The platform did not finish in time after all attempts; the attempt was given back.",
                at=at,
            )
        driven = replace(self, drives=self.drives + 1, deadline_at=at + deadlines.of(stage))
        return driven, (driven._accepted_fact(),) if driven.dataset_digest is not None else ()

    def tell_scoring_again(self, deadlines: Deadlines, at: datetime) -> tuple[Submission, tuple[Fact, ...]]:
        """Emit the acceptance once more because an operator asks for it, with a fresh deadline.

        Raises:
            TransitionRefused: the submission does not wait for its score.
        """
        if self.state is not SubmissionState.ACCEPTED:
            raise TransitionRefused(self.state, "scored again")
        again = replace(self, deadline_at=at + deadlines.of(Stage.SCORE))
        return again, (again._accepted_fact(),)

    def refunded(self) -> Submission:
        """Note that the quota has been dealt with."""
        return replace(self, refund_due=False)

    def _facts(self) -> dict[str, Any]:
        return {
            "submission": self.id,
            "challenge": self.challenge,
            "challenge_version": self.challenge_version,
            "phase": self.phase,
            "team": self.team,
            "upload": self.upload,
            "digest": self.digest,
            "bytes": self.bytes,
            "received_at": self.received_at,
        }

    def _accepted_fact(self) -> SubmissionAccepted:
        return SubmissionAccepted(**self._facts(), dataset_digest=self.dataset_digest or "", files=self.files or 0)

    def _scanned(self, began_at: datetime) -> Submission:
        return replace(self, timeline=(*self.timeline, Passage(SubmissionState.SCANNING, began_at)))

    def _reach(self, state: SubmissionState, at: datetime, deadlines: Deadlines | None = None) -> Submission:
        stage = STAGE_OF.get(state)
        deadline = at + deadlines.of(stage) if stage is not None and deadlines is not None else None
        return replace(self, state=state, timeline=(*self.timeline, Passage(state, at)), deadline_at=deadline, drives=0)
