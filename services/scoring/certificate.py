"""A certificate of a ranked dataset: issued once, revoked at most once, and never taken back from the log. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.scoring.score import Score
from shared.contracts.envelope import Fact
from shared.contracts.scoring import CertificateIssued, CertificateRevoked


class AlreadyRevoked(Exception):
    """The certificate was revoked before, for another reason."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a certificate beside the signed bytes, which `bundle_key` finds.

    `unlogged` is true until the log has every event of it.
    """

    id: str
    submission: str
    challenge: str
    phase: str
    team: str
    sponsor: str
    dataset_digest: str
    rubric_digest: str
    total: str
    grade: str
    envelope_sha256: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    reason: str | None = None
    unlogged: bool = True

    @classmethod
    def issue(
        cls, score: Score, *, envelope_sha256: str, at: datetime, expires_at: datetime
    ) -> tuple[Certificate, Sequence[Fact]]:
        """The certificate of a score that may have one, with its event."""
        assignment, found = score.assignment, score.verdict
        assert found is not None, "what has no total has no certificate"
        made = cls(
            id=certificate_id(assignment.id),
            submission=assignment.submission,
            challenge=assignment.challenge,
            phase=assignment.phase,
            team=assignment.team,
            sponsor=assignment.sponsor,
            dataset_digest=found.dataset_digest,
            rubric_digest=assignment.rubric_digest,
            total=found.total,
            grade=found.grade,
            envelope_sha256=envelope_sha256,
            issued_at=at,
            expires_at=expires_at,
        )
        fact = CertificateIssued(
            certificate=made.id,
            submission=made.submission,
            challenge=made.challenge,
            phase=made.phase,
            team=made.team,
            envelope_sha256=envelope_sha256,
            dataset_digest=made.dataset_digest,
            rubric_digest=made.rubric_digest,
            total=made.total,
            grade=made.grade,
            issued_at=at,
            expires_at=expires_at,
        )
        return made, [fact]

    def revoke(self, reason: str, *, at: datetime) -> tuple[Certificate, Sequence[Fact]]:
        """Revoked for good; the same again changes nothing.

        Raises:
            AlreadyRevoked: it is, for another reason.
        """
        if self.revoked_at is not None:
            if self.reason != reason:
                raise AlreadyRevoked
            return self, []
        fact = CertificateRevoked(
            certificate=self.id,
            submission=self.submission,
            challenge=self.challenge,
            phase=self.phase,
            team=self.team,
            envelope_sha256=self.envelope_sha256,
            revoked_at=at,
        )
        return replace(self, revoked_at=at, reason=reason, unlogged=True), [fact]

    def logged(self, seen: Certificate) -> tuple[Certificate, Sequence[Fact]]:
        """In the log as it was when it was `seen`; what has happened since is not."""
        return (replace(self, unlogged=False), []) if self == seen else (self, [])

    @property
    def bundle_key(self) -> str:
        """Where the file to hand over lies in the object store; its name names the signed bytes in it."""
        return f"certificates/{self.id}/{self.envelope_sha256}.zip"


def certificate_id(score: str) -> str:
    """The id of the certificate of a score: a second certificate for it cannot exist."""
    return f"crt_{hashlib.sha256(score.encode()).hexdigest()[:26]}"
