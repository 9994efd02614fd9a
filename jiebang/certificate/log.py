"""The log of certificates: append-only, each entry chained to the one before by its digest.

A withdrawn result stays visible, and nothing can be taken out or changed without breaking the chain. Every list of
revocations names the length and the head of the log at its time, signed: so a log that lost its end, or was written
anew as a whole, does not fit a list that somebody has kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import rfc8785

from jiebang.certificate.signing import KeyList, SigningKey, moment
from jiebang.certificate.verification import REVOCATIONS, Wrong, open_envelope, sha256
from jiebang.errors import Fault, JiebangError

ISSUED, REVOKED = "issued", "revoked"
EMPTY = "0" * 64
"""What the first entry is chained to."""


class LogBroken(JiebangError):
    """The log has a gap, or an entry is not what it was."""

    fault = Fault.PLATFORM


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: a certificate was issued or revoked.

    `seq` counts from 1; `envelope` is the SHA-256 of the certificate's envelope; `previous` that of the entry before.
    """

    seq: int
    at: str
    event: str
    certificate: str
    envelope: str
    reason: str | None
    previous: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the entry's canonical JSON, which the next entry names."""
        return sha256(rfc8785.dumps(self.as_dict()))

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON."""
        return {
            "seq": self.seq,
            "at": self.at,
            "event": self.event,
            "certificate": self.certificate,
            "envelope": self.envelope,
            "reason": self.reason,
            "previous": self.previous,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Entry:
        """An entry from JSON."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Head:
    """How long a log is, and the digest of its last entry."""

    size: int = 0
    digest: str = EMPTY

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Head:
        """The head of a log."""
        return cls(len(entries), entries[-1].digest) if entries else cls()

    def next(self, at: datetime, event: str, certificate: str, envelope: str, reason: str | None = None) -> Entry:
        """The entry that follows."""
        return Entry(self.size + 1, moment(at), event, certificate, envelope, reason, self.digest)


def check_chain(entries: Sequence[Entry], *, head: Head | None = None) -> None:
    """Raise `LogBroken`, naming the first entry that does not fit, unless the log is whole.

    `head` is that of an earlier moment, such as a signed list of revocations names: the log must contain it.
    """
    last = Head()
    reached = head is None or head == last
    for place, entry in enumerate(entries, 1):
        if entry.seq != place or entry.previous != last.digest:
            title = f"Entry {place} of the log does not follow the one before."
            raise LogBroken("log_broken", title, "An entry was taken out, added or changed there.", entry=place)
        last = replace(last, size=place, digest=entry.digest)
        reached = reached or last == head
    if not reached and head is not None:
        title = f"The log does not contain the state of {head.size} entries that was signed."
        raise LogBroken("log_rewritten", title, "Its end is lost, or it was written anew.", entry=head.size)


def read_log(text: str) -> list[Entry]:
    """The entries of a log, one JSON object a line; raises `LogBroken` for a line that is none."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entries.append(Entry.of(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            title = f"Line {number} of the log is no entry."
            raise LogBroken("log_broken", title, "It was damaged there.", entry=number) from None
    return entries


def revocation_list(entries: Sequence[Entry], key: SigningKey, *, now: datetime) -> bytes:
    """The signed list of what is revoked in a log, with its date and the head of the log."""
    return sign_revocations([entry for entry in entries if entry.event == REVOKED], Head.of(entries), key, now=now)


def sign_revocations(revoked: Sequence[Entry], head: Head, key: SigningKey, *, now: datetime) -> bytes:
    """The signed list of these revocations, which are all that a log with this head holds."""
    payload = {
        "as_of": moment(now),
        "revoked": [
            {"certificate": entry.certificate, "revoked_at": entry.at, "reason": entry.reason} for entry in revoked
        ],
        "log": {"size": head.size, "head": head.digest},
    }
    return key.sign(payload, REVOCATIONS)


def head_of(signed: bytes, keys: KeyList) -> Head:
    """The head of the log that a signed list of revocations names; raises `LogBroken` if no listed key signed it."""
    try:
        payload = json.loads(open_envelope(signed, REVOCATIONS, {key.id: key.public for key in keys.keys}))
        return Head(int(payload["log"]["size"]), str(payload["log"]["head"]))
    except (Wrong, ValueError, KeyError, TypeError) as wrong:
        title = f"The list of revocations is not genuine: {wrong}."
        raise LogBroken("revocations_broken", title, "It was changed, or a key was taken off the list.") from None
