"""A score: what one submission got under one rubric, recorded once. Pure rules, no I/O.

The worker's result comes out of the process that read the dataset, so it is read like a stranger's letter: only what
has the expected shape, and speaks of the expected dataset under the expected rubric, becomes a score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from jiebang.sandbox import OutcomeStatus
from shared.contracts.board import ChallengeAmended, ChallengePublished
from shared.contracts.envelope import Fact
from shared.contracts.intake import SubmissionAccepted
from shared.contracts.scoring import ScoreCompleted, ScoreFailed

_DECIMAL = re.compile(r"[0-9]{1,3}\.[0-9]{6}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What one version of a challenge says about judging: whose it is, what data it demands, and the rubric."""

    challenge: str
    version: int
    sponsor: str
    demand: Mapping[str, Any]
    rubric: Mapping[str, Any]
    rubric_digest: str

    @classmethod
    def of(cls, fact: ChallengePublished | ChallengeAmended) -> Terms:
        """The part of an announced challenge that is kept."""
        return cls(fact.challenge, fact.version, fact.sponsor, fact.demand, fact.rubric, fact.rubric_digest)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be scored, and under which rubric: the payload of a job."""

    submission: str
    challenge: str
    challenge_version: int
    phase: str
    team: str
    sponsor: str
    upload: str
    received_at: datetime
    dataset_digest: str
    rubric_digest: str

    @classmethod
    def of(cls, fact: SubmissionAccepted, terms: Terms) -> Assignment:
        """The assignment that an accepted submission makes under the terms of its challenge's version."""
        return cls(
            submission=fact.submission,
            challenge=fact.challenge,
            challenge_version=fact.challenge_version,
            phase=fact.phase,
            team=fact.team,
            sponsor=terms.sponsor,
            upload=fact.upload,
            received_at=fact.received_at,
            dataset_digest=fact.dataset_digest,
            rubric_digest=terms.rubric_digest,
        )

    @property
    def id(self) -> str:
        """The id of its job and of its score: a second job or score for it cannot exist."""
        return f"{self.submission}:{self.rubric_digest}"

    def report_key(self, name: str) -> str:
        """Where a file of its report lies in the object store."""
        return f"reports/{self.submission}/{self.rubric_digest}/{name}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers of a report that decide a rank; decimals stay text."""

    total: str
    dimensions: Mapping[str, str]
    coverage: str
    grade: str
    provisional: bool
    dataset_digest: str
    engine: str


class ReportRefused(Exception):
    """The result of the measuring cannot become a score; `code` says why, for people and for the event."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


def verdict(report: Mapping[str, Any], assignment: Assignment, terms: Terms) -> Verdict:
    """Read the numbers out of a report that nobody vouches for; `terms` say which dimensions and grades there are.

    Raises:
        ReportRefused: `gate_failed` if a gate said no, `dataset_changed` or `rubric_changed` if the report speaks of
            something else, `report_malformed` for any other shape.
    """
    dataset, engine = _mapping(report.get("dataset"), "dataset"), _mapping(report.get("engine"), "engine")
    if dataset.get("digest") != assignment.dataset_digest:
        raise ReportRefused("dataset_changed", "the dataset measured is not the one that was scanned")
    rubric = _mapping(report.get("rubric"), "rubric")
    if rubric.get("digest") != assignment.rubric_digest:
        raise ReportRefused("rubric_changed", "the rubric measured by is not the challenge's")
    if report.get("total") is None:
        raise ReportRefused("gate_failed", "a gate failed, so there is no total")
    dimensions = _mapping(report.get("dimensions"), "dimensions")
    if not dimensions.keys() <= terms.rubric["dimensions"].keys():
        raise ReportRefused("report_malformed", "dimensions: the rubric has no such one")
    scores = {name: _score(value) for name, value in dimensions.items()}
    grade, provisional, version = report.get("grade"), report.get("provisional"), engine.get("version")
    if not isinstance(grade, str) or grade not in terms.rubric["grades"]:
        raise ReportRefused("report_malformed", "grade: the rubric has no such one")
    if not isinstance(provisional, bool) or not isinstance(version, str):
        raise ReportRefused("report_malformed", "provisional or engine.version")
    return Verdict(
        total=_decimal(report["total"], "total"),
        dimensions={name: score for name, score in scores.items() if score is not None},
        coverage=_decimal(report.get("coverage"), "coverage"),
        grade=grade,
        provisional=provisional,
        dataset_digest=assignment.dataset_digest,
        engine=version[:64],
    )


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReportRefused("report_malformed", f"{where}: not an object")
    return value


def _score(value: object) -> str | None:
    """The score of a dimension, bare or in an object with more about it; None for a dimension without one."""
    bare = value.get("score") if isinstance(value, Mapping) else value
    return None if bare is None else _decimal(bare, "dimensions")


def _decimal(value: object, where: str) -> str:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or float(value) > 100:
        raise ReportRefused("report_malformed", f"{where}: not a decimal from 0 to 100 with six places")
    return value


class ScoreState(StrEnum):
    """How a scoring ended; both are for good."""

    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Score:
    """The record of one submission under one rubric; made once, never changed."""

    assignment: Assignment
    state: ScoreState
    recorded_at: datetime
    verdict: Verdict | None = None
    report_sha256: str | None = None
    page_sha256: str | None = None
    code: str | None = None

    @classmethod
    def completed(
        cls, assignment: Assignment, found: Verdict, *, report_sha256: str, page_sha256: str, at: datetime
    ) -> tuple[Score, Sequence[Fact]]:
        """The score of a dataset that was measured, with its event."""
        score = cls(assignment, ScoreState.COMPLETED, at, found, report_sha256, page_sha256)
        return score, [score.fact]

    @classmethod
    def failed(cls, assignment: Assignment, code: str, *, at: datetime) -> tuple[Score, Sequence[Fact]]:
        """The end of a scoring that could not be done, with its event; ingest gives the quota back."""
        score = cls(assignment, ScoreState.FAILED, at, code=code)
        return score, [score.fact]

    @property
    def fact(self) -> ScoreCompleted | ScoreFailed:
        """What the others are told of this score, however often they are told."""
        found = self.verdict
        if found is None or self.report_sha256 is None:
            assert self.code is not None, "a score without a verdict says why"
            return ScoreFailed(**_about(self.assignment), code=self.code)
        return ScoreCompleted(
            **_about(self.assignment),
            total=found.total,
            dimensions=dict(found.dimensions),
            coverage=found.coverage,
            grade=found.grade,
            provisional=found.provisional,
            dataset_digest=found.dataset_digest,
            engine=found.engine,
            report_key=self.assignment.report_key("report.json"),
            report_sha256=self.report_sha256,
        )


def _about(assignment: Assignment) -> dict[str, Any]:
    return {
        "submission": assignment.submission,
        "challenge": assignment.challenge,
        "challenge_version": assignment.challenge_version,
        "phase": assignment.phase,
        "team": assignment.team,
        "received_at": assignment.received_at,
        "rubric_digest": assignment.rubric_digest,
    }


class Next(StrEnum):
    """What to do after an attempt that gave no report."""

    AGAIN = "again"
    FAIL = "fail"


def after(ending: OutcomeStatus, *, disturbed_before: int) -> Next:
    """Whether an attempt that ended without a report is repeated.

    A child that crashed or ran out of time may have been disturbed from outside, so it gets one more attempt; the same
    bytes would run into the same memory limit or the same refusal again, so these are final at once.
    """
    if ending in (OutcomeStatus.CRASHED, OutcomeStatus.KILLED_TIME) and disturbed_before == 0:
        return Next.AGAIN
    return Next.FAIL


def code_of(ending: OutcomeStatus, refusal: object) -> str:
    """The stable code of an attempt that ended without a report; `refusal` is the engine's own code, if it gave one."""
    if ending is OutcomeStatus.REFUSED:
        return refusal if isinstance(refusal, str) and _NAME.fullmatch(refusal) else "dataset_refused"
    return _CODES[ending]


_CODES = {
    OutcomeStatus.KILLED_MEMORY: "out_of_memory",
    OutcomeStatus.KILLED_TIME: "out_of_time",
    OutcomeStatus.CRASHED: "measuring_crashed",
}
