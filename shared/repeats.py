"""Requests that come twice: with the same Idempotency-Key the same thing is made once, and the same answer given.

Also where the answer holds an API key, which nobody keeps: its secret is made anew each time from the caller's own key
and a salt that is stored with the request. Neither alone says anything about it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from shared.auth import Principal
from shared.http import LONGEST_IDEMPOTENCY_KEY, IdempotencyKeys, fingerprint
from shared.ids import Ids
from shared.problems import Problem


@dataclass(frozen=True, slots=True)
class Planned:
    """The ids that a request makes things under, fixed before anything is made; `entropy` is for an API key."""

    ids: Sequence[str]
    entropy: bytes | None

    def __repr__(self) -> str:
        return f"Planned(ids={self.ids!r})"


def shown_before() -> Problem:
    """409 for a repeated request whose answer held a secret that can only be made anew with the key it came with."""
    return Problem(
        409,
        "secret_shown_before",
        "This request was answered before, and its secret was shown then.",
        "Repeat it with the API key that it was first sent with, or ask for a new secret.",
    )


class Repeats:
    """Plans what a request makes, and plans the same for its repetition."""

    def __init__(self, keys: IdempotencyKeys, ids: Ids) -> None:
        self._keys = keys
        self._ids = ids

    async def plan(self, request: Request, principal: Principal, body: Any, *prefixes: str) -> Planned:
        """Ids with these prefixes for what the request makes; 409 if its key came with another request before."""
        key = request.headers.get("idempotency-key")
        fresh = [self._ids.new(prefix) for prefix in prefixes]
        if key is None:
            return Planned(fresh, None)
        if not 0 < len(key) <= LONGEST_IDEMPOTENCY_KEY or not key.isascii():
            raise Problem(
                400,
                "idempotency_key_invalid",
                "This Idempotency-Key cannot be used.",
                f"Send 1 to {LONGEST_IDEMPOTENCY_KEY} ASCII characters.",
            )
        made, _ = await self._keys.id_for(
            principal.owner,
            key,
            fingerprint({"route": request.url.path, "body": body}),
            lambda: json.dumps({"ids": fresh, "salt": secrets.token_hex(32)}),
        )
        planned = json.loads(made)
        own_key = request.headers.get("authorization", "").encode("latin-1")
        entropy = hmac.new(own_key, bytes.fromhex(planned["salt"]), hashlib.sha256).digest()
        return Planned(planned["ids"], entropy)
