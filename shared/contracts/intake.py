"""Events of the intake: the life of a submission."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from shared.contracts.envelope import Decimal6, Digest, Fact, Moment

SUBMISSIONS = "intake.submissions"


class _Submission(Fact):
    submission: str
    challenge: str
    challenge_version: int
    phase: str
    team: str
    upload: str
    digest: Digest
    bytes: int
    received_at: Moment


class SubmissionReceived(
    _Submission, type="submission.received.v1", topic=SUBMISSIONS, subject="{submission}", key="{submission}"
):
    """Emitted by ingest when a submission is stored and its receipt signed; `digest` is that of the uploaded bytes."""


class SubmissionAccepted(
    _Submission, type="submission.accepted.v1", topic=SUBMISSIONS, subject="{submission}", key="{submission}"
):
    """Emitted by ingest when the scan found nothing against it; `dataset_digest` is that of the opened dataset."""

    dataset_digest: Digest
    files: int


class GateReason(BaseModel):
    """Why a gate failed, without any text of the dataset."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gate: str
    code: str


class SubmissionRejected(
    _Submission, type="submission.rejected.v1", topic=SUBMISSIONS, subject="{submission}", key="{submission}"
):
    """Emitted by ingest when a gate failed; the attempt is consumed, the sentences stay with ingest."""

    reasons: tuple[GateReason, ...]


class SubmissionFailed(
    _Submission, type="submission.failed.v1", topic=SUBMISSIONS, subject="{submission}", key="{submission}"
):
    """Emitted by ingest when the platform gave up after all attempts; the quota goes back to its day."""

    stage: str
    code: str


class SubmissionCancelled(
    _Submission, type="submission.cancelled.v1", topic=SUBMISSIONS, subject="{submission}", key="{submission}"
):
    """Emitted by ingest when the team withdrew a submission before its scan ended."""


class SubmissionRanked(
    _Submission, type="submission.ranked.v1", topic=SUBMISSIONS, subject="{submission}", key="{submission}"
):
    """Emitted by ingest when the board has recorded the score: the good end of a submission's life."""

    rank: int | None = None
    total: Decimal6
