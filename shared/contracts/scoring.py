"""Events of scoring."""

from __future__ import annotations

from shared.contracts.envelope import Decimal6, Digest, Fact, Moment

SCORES = "scoring.scores"


class _Score(Fact):
    submission: str
    challenge: str
    challenge_version: int
    phase: str
    team: str
    received_at: Moment
    rubric_digest: Digest


class ScoreCompleted(
    _Score, type="score.completed.v1", topic=SCORES, subject="{submission}:{rubric_digest}", key="{challenge}"
):
    """Emitted by scoring when a dataset has its score under one rubric."""

    total: Decimal6
    dimensions: dict[str, Decimal6]
    coverage: Decimal6
    grade: str
    provisional: bool
    dataset_digest: Digest
    engine: str
    report_key: str
    report_sha256: Digest


class ScoreFailed(
    _Score, type="score.failed.v1", topic=SCORES, subject="{submission}:{rubric_digest}", key="{challenge}"
):
    """Emitted by scoring when a dataset could not be scored after all attempts; `code` says why."""

    code: str


class _Certificate(Fact):
    certificate: str
    submission: str
    challenge: str
    phase: str
    team: str
    envelope_sha256: Digest


class CertificateIssued(
    _Certificate, type="certificate.issued.v1", topic=SCORES, subject="{certificate}", key="{challenge}"
):
    """Emitted by scoring when a ranked dataset, whose grade is not provisional, has its certificate."""

    dataset_digest: Digest
    rubric_digest: Digest
    total: Decimal6
    grade: str
    issued_at: Moment
    expires_at: Moment


class CertificateRevoked(
    _Certificate, type="certificate.revoked.v1", topic=SCORES, subject="{certificate}", key="{challenge}"
):
    """Emitted by scoring when the organiser has revoked a certificate; the signed list says why."""

    revoked_at: Moment
