"""Identifiers: a prefix and a UUIDv7 in lower-case Crockford base32, so that ids sort by when they were made."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NewType, Protocol

ChallengeId = NewType("ChallengeId", str)
TeamId = NewType("TeamId", str)
UploadId = NewType("UploadId", str)
SubmissionId = NewType("SubmissionId", str)
ReportId = NewType("ReportId", str)
EventId = NewType("EventId", str)
SubscriptionId = NewType("SubscriptionId", str)
DeliveryId = NewType("DeliveryId", str)
CredentialId = NewType("CredentialId", str)
OwnerId = NewType("OwnerId", str)
"""A team, a sponsor or an organiser: whoever a credential speaks for."""

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_COUNTER_BITS = 12


class Ids(Protocol):
    """Makes identifiers for whoever may not make their own."""

    def new(self, prefix: str) -> str:
        """A new id such as `sub_01k2…`; later calls of one process sort after earlier ones."""
        ...

    def uuid7(self) -> uuid.UUID:
        """A new UUIDv7 (RFC 9562)."""
        ...


def base32(value: uuid.UUID) -> str:
    """The 128 bits as 26 characters of lower-case Crockford base32."""
    number = value.int
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def made_at(id: str) -> datetime | None:
    """The moment that an id of the form `<prefix>_<26 characters>` claims to be made at; anybody can claim anything."""
    number = 0
    for character in id.rpartition("_")[2]:
        number = number << 5 | CROCKFORD.index(character)
    try:
        return datetime.fromtimestamp((number >> 80) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


class SystemIds:
    """Ids from the system's clock and random source; increasing within a process even if the clock steps back."""

    def __init__(self, milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._milliseconds = milliseconds
        self._lock = threading.Lock()
        self._last = 0  # milliseconds and counter, the part of an id that orders it
        self._random = b""

    def uuid7(self) -> uuid.UUID:
        """A new UUIDv7 with a monotonic counter in `rand_a` (RFC 9562, 6.2, method 1)."""
        with self._lock:
            self._last = max(self._milliseconds() << _COUNTER_BITS, self._last + 1)
            ordered = self._last
            # The kernel is asked for many ids' worth at once: each question lets other threads run, and waits for them.
            if not self._random:
                self._random = os.urandom(512 * 8)
            random = int.from_bytes(self._random[:8]) & ((1 << 62) - 1)
            self._random = self._random[8:]
        milliseconds, counter = ordered >> _COUNTER_BITS, ordered & ((1 << _COUNTER_BITS) - 1)
        return uuid.UUID(int=milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | random)

    def new(self, prefix: str) -> str:
        """A new id such as `sub_01k2…`."""
        return f"{prefix}_{base32(self.uuid7())}"
