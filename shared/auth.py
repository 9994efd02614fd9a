"""API keys: who is calling, and what they may be. A malformed, unknown, expired or non-ASCII key is 401, never 500."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from fastapi import Request, Security
from fastapi.security import HTTPBearer

from shared.clock import Clock
from shared.contracts.board import CredentialIssued, CredentialRevoked, Role
from shared.contracts.envelope import Event
from shared.ids import CROCKFORD, CredentialId, OwnerId, made_at
from shared.mongo import Database, Document, DuplicateId, translated
from shared.problems import Problem
from shared.remembered import Remembered

_SECRET_LENGTH = 26  # characters of 5 bits: 130 random bits
_CHECKSUM_LENGTH = 6
_KEY = re.compile(
    rf"jb_(?P<role>[a-z]+)_(?P<id>[{CROCKFORD}]{{26}})_"
    rf"(?P<secret>[{CROCKFORD}]{{{_SECRET_LENGTH}}})(?P<checksum>[{CROCKFORD}]{{{_CHECKSUM_LENGTH}}})"
)
_LONGEST_HEADER = 512
REMEMBERED = timedelta(seconds=1)
TRAVEL_TIME = timedelta(minutes=1)
"""How long after it was made a key that nobody here knows may still be on its way."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: the owner of a credential and the role it gives."""

    credential: CredentialId
    owner: OwnerId
    role: Role
    scopes: tuple[str, ...] = ()

    def is_one_of(self, *roles: Role) -> bool:
        """True if the role is among `roles`."""
        return self.role in roles


@dataclass(frozen=True, slots=True)
class Credential:
    """What a service keeps about a credential: never the key, only the hash of its secret."""

    id: CredentialId
    owner: OwnerId
    role: Role
    secret_sha256: str
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    revoked: bool = False

    def usable(self, now: datetime) -> bool:
        """True if it is neither revoked nor expired."""
        return not self.revoked and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `key` is shown to its owner once and kept by nobody."""

    key: str
    secret_sha256: str

    def __repr__(self) -> str:
        return "NewKey(…)"


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A well-formed key as somebody presented it; whether it is a real one is still to be seen."""

    credential: CredentialId
    role: str
    secret_sha256: str


def make_key(role: Role, credential: CredentialId, entropy: bytes | None = None) -> NewKey:
    """A new key `jb_<role>_<key id>_<secret><checksum>` for a credential with the id `key_…`.

    Random, unless `entropy` (at least 26 unguessable bytes) decides its secret: the way to make the same key again for
    a request that is repeated, without keeping it.
    """
    if entropy is not None and len(entropy) < _SECRET_LENGTH:
        raise ValueError("too little entropy for a key")
    decided = secrets.token_bytes(_SECRET_LENGTH) if entropy is None else entropy[:_SECRET_LENGTH]
    secret = "".join(CROCKFORD[byte & 31] for byte in decided)
    body = f"jb_{role.value}_{credential.removeprefix('key_')}_{secret}"
    return NewKey(f"{body}{_checksum(body)}", _hash(secret))


def parse_key(text: str) -> PresentedKey | None:
    """The key in a text, or None if it is not one, or was mistyped."""
    if not text.isascii() or (match := _KEY.fullmatch(text)) is None:
        return None
    body = text[: -len(match["checksum"])]
    if not hmac.compare_digest(match["checksum"], _checksum(body)):
        return None
    return PresentedKey(CredentialId(f"key_{match['id']}"), match["role"], _hash(match["secret"]))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = int.from_bytes(hashlib.sha256(body.encode()).digest()[:4])
    return "".join(CROCKFORD[(number >> 5 * place) & 31] for place in range(_CHECKSUM_LENGTH))


class Credentials(Protocol):
    """Where credentials are found."""

    async def find(self, credential: CredentialId) -> Credential | None:
        """The credential with this id, or None."""
        ...


_UNKNOWN = Credential(CredentialId(""), OwnerId(""), Role.TEAM, _hash(""), revoked=True)


class Authenticator:
    """Turns an `Authorization` header into a principal."""

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    async def principal(self, header: str) -> Principal | None:
        """The principal of `Bearer <key>`, or None if it is nobody's. An unknown key takes as long as a wrong one.

        Raises:
            Problem: 401 that says when to come back, for an unknown key whose id is a minute old at most.
        """
        scheme, _, text = header[:_LONGEST_HEADER].partition(" ")
        presented = parse_key(text.strip()) if scheme.lower() == "bearer" else None
        if presented is None:
            return None
        credential = await self._credentials.find(presented.credential) or _UNKNOWN
        if credential is _UNKNOWN and self._may_be_on_its_way(presented.credential):
            raise unauthenticated(retry_after=1)
        same = hmac.compare_digest(credential.secret_sha256, presented.secret_sha256)
        if not same or credential.role.value != presented.role or not credential.usable(self._clock.now()):
            return None
        return Principal(credential.id, credential.owner, credential.role, credential.scopes)

    def _may_be_on_its_way(self, credential: CredentialId) -> bool:
        """A key works where it was issued before its event has reached the other services."""
        made = made_at(credential)
        return made is not None and abs(self._clock.now() - made) < TRAVEL_TIME


# Names the scheme in the OpenAPI document; the key itself is read and judged below.
_BEARER = Security(HTTPBearer(scheme_name="key", description="A key: `jb_…`.", auto_error=False))


def require(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the caller, who must have one of `roles` (any role if none is named).

    `app.state.authenticator` must be set (`Service.authenticate` does). 401 without a good key, 403 with another role.
    """

    async def dependency(request: Request, _described: object = _BEARER) -> Principal:
        principal = await _authenticated(request)
        if principal is None:
            raise unauthenticated()
        if roles and principal.role not in roles:
            allowed = " or ".join(role.value for role in roles)
            raise Problem(
                403,
                "forbidden",
                f"A key of the role {principal.role.value} may not do this.",
                f"Use a key of the role {allowed}.",
            )
        return principal

    return dependency


async def maybe_principal(request: Request, _described: object = _BEARER) -> Principal | None:
    """A FastAPI dependency for public routes: the caller if there is a key, else None. A bad key is still 401."""
    if "authorization" not in request.headers:
        return None
    principal = await _authenticated(request)
    if principal is None:
        raise unauthenticated()
    return principal


async def _authenticated(request: Request) -> Principal | None:
    header = request.headers.get("authorization")
    authenticator: Authenticator = request.app.state.authenticator
    return None if header is None else await authenticator.principal(header)


def unauthenticated(retry_after: int | None = None) -> Problem:
    """401; with `retry_after` seconds for a key that may have been issued a moment ago."""
    headers = {"WWW-Authenticate": 'Bearer realm="jiebang"'}
    detail = "Send it as `Authorization: Bearer jb_…`. If it was valid before, it has expired or was revoked."
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
        detail = "If the key was issued a moment ago, try again: it is on its way to this service."
    return Problem(401, "unauthenticated", "This needs a valid API key.", detail, headers=headers)


class CredentialProjection:
    """A service's own copy of the credentials, fed by the events of `board.teams`.

    Each event is applied if its sequence is greater than what is stored, so order and duplicates do not matter: a
    revocation that is read first stays.
    """

    def __init__(self, database: Database) -> None:
        self._collection = database["credentials"]
        self._found: Remembered[CredentialId, Credential] = Remembered(REMEMBERED)

    async def apply(self, event: Event[Any]) -> None:
        """Take in `credential.issued` or `credential.revoked`; anything else is left alone."""
        match event.data:
            case CredentialIssued() as issued:
                await self._store(
                    issued.credential,
                    event.sequence,
                    {
                        "owner": issued.owner,
                        "role": issued.role.value,
                        "scopes": list(issued.scopes),
                        "secret_sha256": issued.secret_sha256,
                        "expires_at": issued.expires_at,
                    },
                )
            case CredentialRevoked() as revoked:
                await self._store(revoked.credential, event.sequence, {"revoked": True})

    async def _store(self, credential: str, sequence: int, change: Document) -> None:
        self._found.forget(CredentialId(credential))
        older = {"_id": credential, "sequence": {"$lt": sequence}}
        try:
            with translated():
                await self._collection.update_one(older, {"$set": {**change, "sequence": sequence}}, upsert=True)
        except DuplicateId:
            return  # what is stored is as new: a duplicate, or an event that was overtaken

    async def find(self, credential: CredentialId) -> Credential | None:
        """The credential with this id, or None; as it was a second ago at most."""
        return await self._found.get(credential, lambda: self._find(credential))

    async def _find(self, credential: CredentialId) -> Credential | None:
        with translated():
            found = await self._collection.find_one({"_id": credential})
        if found is None or "secret_sha256" not in found:
            return None
        return Credential(
            id=credential,
            owner=OwnerId(found["owner"]),
            role=Role(found["role"]),
            secret_sha256=found["secret_sha256"],
            scopes=tuple(found["scopes"]),
            expires_at=found["expires_at"],
            revoked=found.get("revoked", False),
        )
