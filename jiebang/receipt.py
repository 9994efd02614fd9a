"""A receipt is checked without asking anybody: what was handed in, when, signed by the platform.

A receipt is a DSSE envelope (https://github.com/secure-systems-lab/dsse) signed with Ed25519 over RFC 8785 JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from jiebang.errors import JiebangError

PAYLOAD_TYPE = "application/vnd.jiebang.receipt+json"


class NotGenuine(JiebangError):
    """The receipt does not verify: it is damaged, changed, or signed by a key that is not known here."""


def verify_receipt(envelope: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform has signed, once a signature by one of `keys` was found good; else raises `NotGenuine`.

    `keys` is the document of `GET /v1/keys`, kept from before. The answer has the fields of `submission.received`
    and `submission`.
    """
    try:
        payload_type = str(envelope["payloadType"])
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = {
            str(entry["keyid"]): base64.b64decode(entry["sig"], validate=True) for entry in envelope["signatures"]
        }
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise NotGenuine(
            "not_a_receipt", "This is not a receipt.", "Give the file that `jiebang submit` or the server handed out."
        ) from None
    if payload_type != PAYLOAD_TYPE:
        raise NotGenuine(
            "not_a_receipt", f"This is signed as {payload_type!r}, not as a receipt.", f"A receipt is {PAYLOAD_TYPE}."
        )
    known = {str(key["keyid"]): str(key["public"]) for key in keys.get("keys", ())}
    signed = _pre_authentication_encoding(payload_type, payload)
    tried = 0
    for keyid, signature in signatures.items():
        if keyid not in known:
            continue
        tried += 1
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(known[keyid])).verify(signature, signed)
        except InvalidSignature:
            continue
        facts: dict[str, Any] = json.loads(payload)
        return facts
    if tried:
        raise NotGenuine(
            "wrong_signature", "The signature does not fit: the receipt was changed.", "Trust nothing that it says."
        )
    raise NotGenuine(
        "unknown_key",
        "The receipt is signed by a key that is not known here.",
        "Fetch the platform's keys again (`jiebang login`), or give them with --keys.",
        keyids=", ".join(signatures),
    )


def _pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
