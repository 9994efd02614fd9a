"""Statements that anyone can check offline: DSSE envelopes signed with Ed25519 over canonical JSON."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)

RECEIPT_TYPE = "application/vnd.jiebang.receipt+json"


class SignatureRefused(ValueError):
    """An envelope is not what it says, or is signed by nobody we know."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with."""

    keyid: str
    raw: bytes

    @property
    def base64(self) -> str:
        """The 32 bytes in base64."""
        return base64.b64encode(self.raw).decode()

    @property
    def pem(self) -> str:
        """The key as PEM, for other tools."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Signer:
    """Signs statements with one private key, which is never shown."""

    def __init__(
        self, key: Ed25519PrivateKey, since: datetime | None = None, retired: Sequence[Ed25519PublicKey] = ()
    ) -> None:
        self._key = key
        self.retired = tuple(PublicKey(keyid_of(each.public_bytes_raw()), each.public_bytes_raw()) for each in retired)
        """Keys that were signed with before: what they have signed stays good."""
        self.since = since
        """Since when the key's file is there, if it is in one."""
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = PublicKey(keyid_of(raw), raw)

    @classmethod
    def load(cls, file: Path) -> Signer:
        """The signer whose key is in a PEM file; a new key is made and kept there if there is no file.

        Behind it there may be public keys (PEM) that were signed with before.

        Raises:
            ValueError: the file holds no Ed25519 private key in PEM without a password.
            OSError: the file cannot be read, or made.
        """
        if not file.exists():
            _create(file)
        written = file.read_bytes()
        before = [block.group() for block in _PUBLIC.finditer(written)]
        try:
            key = load_pem_private_key(_PUBLIC.sub(b"", written), None)
            retired = [load_pem_public_key(block) for block in before]
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key, retired = None, []
        known = [each for each in retired if isinstance(each, Ed25519PublicKey)]
        if not isinstance(key, Ed25519PrivateKey) or len(known) < len(before):
            raise ValueError(f"{file} holds no Ed25519 private key (PEM, without a password)")
        return cls(key, datetime.fromtimestamp(file.stat().st_mtime, UTC), known)

    def sign(self, payload: Mapping[str, Any], payload_type: str) -> dict[str, Any]:
        """A DSSE envelope around the canonical JSON (RFC 8785) of a statement."""
        body = rfc8785.dumps(dict(payload))
        signature = self._key.sign(_pre_authentication(payload_type, body))
        return {
            "payload": base64.b64encode(body).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": self.public.keyid, "sig": base64.b64encode(signature).decode()}],
        }


def verify(envelope: Mapping[str, Any], keys: Mapping[str, bytes], payload_type: str) -> bytes:
    """The payload of an envelope that one of `keys` (key id → 32 raw bytes) has signed.

    Raises:
        SignatureRefused: malformed, of another type, or signed by none of them.
    """
    try:
        body = base64.b64decode(envelope["payload"], validate=True)
        signatures = [
            (entry["keyid"], base64.b64decode(entry["sig"], validate=True)) for entry in envelope["signatures"]
        ]
        kind = envelope["payloadType"]
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureRefused("not a DSSE envelope") from error
    if kind != payload_type:
        raise SignatureRefused(f"a statement of type {kind}, not {payload_type}")
    for keyid, signature in signatures:
        if keyid in keys:
            try:
                Ed25519PublicKey.from_public_bytes(keys[keyid]).verify(signature, _pre_authentication(kind, body))
            except InvalidSignature:
                continue
            return body
    raise SignatureRefused("signed by none of the keys")


def keyid_of(raw: bytes) -> str:
    """The id of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:16]


def _pre_authentication(payload_type: str, body: bytes) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def _create(file: Path) -> None:
    """Write a new key so that two processes starting at once end up with one: the first link wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, pem)
        os.fsync(descriptor)
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        draft.unlink()
