"""The board's own look at its callers' API keys: straight from the store, so that a revoked key stops at once."""

from __future__ import annotations

from services.board.store import Store
from shared.auth import Credential as KnownCredential
from shared.ids import CredentialId, OwnerId


class StoredCredentials:
    """Finds credentials where they were issued."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, credential: CredentialId) -> KnownCredential | None:
        """The credential with this id, or None."""
        found = await self._store.credential(credential)
        if found is None:
            return None
        return KnownCredential(
            id=CredentialId(found.id),
            owner=OwnerId(found.owner),
            role=found.role,
            secret_sha256=found.secret_sha256,
            expires_at=found.expires_at,
            revoked=found.revoked_at is not None,
        )
