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
