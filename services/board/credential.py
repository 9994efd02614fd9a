"""An API key as the board knows it: whose it is, what it lets them be, until when; never the key itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from shared.contracts.board import CredentialIssued, CredentialRevoked, Role
from shared.contracts.envelope import Digest, Fact, Moment


class Credential(BaseModel):
    """An issued API key: the hash of its secret and never the secret."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    owner: str
    role: Role
    secret_sha256: Digest
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None

    def alive(self, now: datetime) -> bool:
        """Whether the key works at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def issue(
    credential: str, *, owner: str, role: Role, secret_sha256: str, now: datetime, expires_at: datetime | None
) -> tuple[Credential, Sequence[Fact]]:
    """A new key; several may be alive for one owner, so that a key is replaced without an interruption."""
    state = Credential(
        id=credential, owner=owner, role=role, secret_sha256=secret_sha256, created_at=now, expires_at=expires_at
    )
    fact = CredentialIssued(
        credential=credential, owner=owner, role=role, secret_sha256=secret_sha256, expires_at=expires_at
    )
    return state, [fact]


def revoke(state: Credential, now: datetime) -> tuple[Credential, Sequence[Fact]]:
    """Stops a key; a second time changes nothing."""
    if state.revoked_at is not None:
        return state, []
    revoked = state.model_copy(update={"revoked_at": now})
    return revoked, [CredentialRevoked(credential=state.id, owner=state.owner)]
