"""Keys that sign: a root key that stays offline, and signing keys that it vouches for, each for a time.

The root key signs nothing but lists of signing keys. Whoever knows the root key knows which signing keys are good, and
until when; a key that was lost is taken off by a new list with a higher version.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from jiebang.certificate import verification
from jiebang.errors import Fault, JiebangError

USES = ("certificate", "revocations")
"""What a signing key may sign."""

KEY_LIVES = timedelta(days=730)
"""How long a signing key is valid if nobody says otherwise."""


class KeyRefused(JiebangError):
    """A key, or a list of keys, cannot be used for signing certificates."""

    fault = Fault.PLATFORM


class SigningKey:
    """One Ed25519 private key, which is never shown."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = verification.keyid(self.public)

    @classmethod
    def new(cls) -> SigningKey:
        """A key that nobody has yet."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, file: Path) -> SigningKey:
        """The key in a PEM file without a password; raises `KeyRefused` for a file that holds none."""
        try:
            key = load_pem_private_key(file.read_bytes(), None)
        except OSError as error:
            raise KeyRefused("no_key", f"{file} cannot be read: {error.strerror}.", "Name the key's file.") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            title = f"{file} holds no Ed25519 private key."
            raise KeyRefused("no_key", title, "Name a PEM file without a password.")
        return cls(key)

    def save(self, file: Path) -> None:
        """Write the key into a new file that only its owner can read; an existing file is left alone and an error."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(pem)

    def sign(self, payload: Mapping[str, Any], payload_type: str) -> bytes:
        """A DSSE envelope around the canonical JSON of a payload, itself as canonical JSON."""
        body = rfc8785.dumps(dict(payload))
        signature = self._key.sign(verification.pre_authentication(payload_type, body))
        envelope: dict[str, Any] = {
            "payload": base64.b64encode(body).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": self.id, "sig": base64.b64encode(signature).decode()}],
        }
        return rfc8785.dumps(envelope)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A signing key that the root key vouches for, from `not_before` until `not_after`."""

    public: bytes
    not_before: datetime
    not_after: datetime
    uses: tuple[str, ...] = USES

    @property
    def id(self) -> str:
        """The key's id."""
        return verification.keyid(self.public)

    def as_dict(self) -> dict[str, Any]:
        """The key as JSON."""
        return {
            "keyid": self.id,
            "algorithm": "ed25519",
            "public": base64.b64encode(self.public).decode(),
            "not_before": moment(self.not_before),
            "not_after": moment(self.not_after),
            "uses": list(self.uses),
        }


@dataclass(frozen=True, slots=True)
class KeyList:
    """A list of signing keys as the root key has signed it."""

    version: int
    keys: tuple[ListedKey, ...]
    root: bytes
    signed: bytes

    @classmethod
    def sign(cls, root: SigningKey, keys: Sequence[ListedKey], *, version: int, now: datetime) -> KeyList:
        """The list with these keys, signed."""
        payload = {"version": version, "issued_at": moment(now), "keys": [key.as_dict() for key in keys]}
        return cls(version, tuple(keys), root.public, root.sign(payload, verification.KEYS))

    @classmethod
    def read(cls, signed: bytes, root: bytes) -> KeyList:
        """The list that a root key has signed; raises `KeyRefused` if it has not."""
        try:
            payload = json.loads(
                verification.open_envelope(signed, verification.KEYS, {verification.keyid(root): root})
            )
            keys = tuple(
                ListedKey(
                    base64.b64decode(key["public"]),
                    datetime.fromisoformat(key["not_before"]),
                    datetime.fromisoformat(key["not_after"]),
                    tuple(key["uses"]),
                )
                for key in payload["keys"]
            )
            return cls(int(payload["version"]), keys, root, signed)
        except (verification.Wrong, ValueError, KeyError, TypeError) as wrong:
            title = f"The list of keys is not one that the root key has signed: {wrong}."
            raise KeyRefused("wrong_keys", title, "Sign it anew with the root key.") from None

    def with_key(self, root: SigningKey, key: ListedKey, *, now: datetime) -> KeyList:
        """The next version, with one more key."""
        return KeyList.sign(root, (*self.keys, key), version=self.version + 1, now=now)

    def require(self, key: SigningKey, now: datetime) -> None:
        """Raise `KeyRefused` unless the list says that a key may sign now."""
        listed = next((each for each in self.keys if each.public == key.public), None)
        if listed is None:
            detail = "Let the root key sign a list that has it."
            raise KeyRefused("unlisted_key", f"Key {key.id} is not on the list of keys.", detail)
        if not listed.not_before <= now < listed.not_after:
            valid = f"from {moment(listed.not_before)} to {moment(listed.not_after)}"
            raise KeyRefused("key_not_valid", f"Key {key.id} is valid {valid}.", "Make another signing key.")


def moment(at: datetime) -> str:
    """A moment in UTC to the second, as everything signed here says it; so moments compare as text."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
