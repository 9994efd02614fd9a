"""The quota ledger of one team in one challenge: attempts are reserved, committed and, where it is fair, refunded.

A day is a day in Asia/Shanghai of the moment an upload was complete. Every change is keyed by the request that
caused it, so that doing it twice does nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum
from itertools import islice

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has had one zone without summer time since 1991, so a fixed offset is exact and needs no zone database."""

ENTRIES_KEPT = 32
"""How many of the newest committed entries stay whole; older ones become a number per day, so a ledger stays small."""


class EntryState(StrEnum):
    """What an attempt is to the quota: held for a request in flight, consumed, or given back."""

    RESERVED = "reserved"
    COMMITTED = "committed"
    REFUNDED = "refunded"


class QuotaLimit(StrEnum):
    """Which of the two limits is used up."""

    PER_DAY = "per_day"
    TOTAL = "total"


class QuotaExhausted(Exception):
    """No attempt is left `at` a moment; one comes back at `returns_at` (None, where waiting never helps)."""

    def __init__(self, limit: QuotaLimit, allowed: int, day: str, *, at: datetime, returns_at: datetime | None) -> None:
        super().__init__(f"{limit}: {allowed} used up on {day}")
        self.limit = limit
        self.allowed = allowed
        self.day = day
        self.at = at
        self.returns_at = returns_at


class KeyReused(Exception):
    """An idempotency key came back with another request body."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many attempts a challenge gives a team, per day and in all."""

    per_day: int
    total: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt: its submission, a fingerprint of the request, the day it counts for, and since when."""

    submission: str
    fingerprint: str
    day: str
    state: EntryState
    at: datetime


def day_of(moment: datetime) -> str:
    """The day in Asia/Shanghai that a moment belongs to, as `YYYY-MM-DD`."""
    return moment.astimezone(SHANGHAI).date().isoformat()


def end_of(day: str) -> datetime:
    """The moment at which the day after `day` begins."""
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), SHANGHAI)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every attempt of one team in one challenge.

    `entries` holds the attempts that can still change, by request key in order of arrival; `folded` counts older
    committed ones per day; `cancelled` counts the refunds for cancelling on the last day there was one, which are
    limited; `held_since` is the moment of the oldest attempt that is only held.
    """

    team: str
    challenge: str
    entries: Mapping[str, Entry] = field(default_factory=dict)
    folded: Mapping[str, int] = field(default_factory=dict)
    cancelled: Mapping[str, int] = field(default_factory=dict)
    held_since: datetime | None = None

    def used_on(self, day: str) -> int:
        """How many attempts of a day are held or consumed."""
        return self.folded.get(day, 0) + sum(
            entry.day == day and entry.state is not EntryState.REFUNDED for entry in self.entries.values()
        )

    @property
    def used_total(self) -> int:
        """How many attempts are held or consumed in all."""
        return sum(self.folded.values()) + sum(
            entry.state is not EntryState.REFUNDED for entry in self.entries.values()
        )

    def reserve(
        self, key: str, *, submission: str, fingerprint: str, allowance: Allowance, received_at: datetime, at: datetime
    ) -> tuple[Ledger, Entry]:
        """Hold an attempt for a request; the same request again gets the entry it already has.

        Raises:
            KeyReused: the key belongs to a request with another body.
            QuotaExhausted: nothing is left for the day of `received_at`, or in all.
        """
        held = self.entries.get(key)
        if held is not None:
            if held.fingerprint != fingerprint:
                raise KeyReused(key)
            return self, held
        day = day_of(received_at)
        if self.used_total >= allowance.total:
            raise QuotaExhausted(QuotaLimit.TOTAL, allowance.total, day, at=at, returns_at=None)
        if self.used_on(day) >= allowance.per_day:
            raise QuotaExhausted(QuotaLimit.PER_DAY, allowance.per_day, day, at=at, returns_at=end_of(day))
        entry = Entry(submission, fingerprint, day, EntryState.RESERVED, at)
        return self._with(key, entry), entry

    def commit(self, key: str, submission: str) -> Ledger:
        """Consume the attempt held for a submission that is stored now; fold old entries while at it."""
        entry = self._held(key, submission)
        if entry is None:
            return self
        return self._with(key, replace(entry, state=EntryState.COMMITTED))._folded()

    def consume(self, key: str, attempt: Entry) -> Ledger:
        """Consume the attempt of a submission that was stored just now, whatever became of its reservation.

        A request that was frozen for longer than a reservation lives finds it let go, or held by the same request sent
        again: the submission is there, so the attempt is used.
        """
        entry = self.entries.get(key)
        if entry is not None and entry.state is not EntryState.RESERVED:
            return self
        return self._with(key, replace(attempt, state=EntryState.COMMITTED))._folded()

    def release(self, key: str, submission: str) -> Ledger:
        """Let go of an attempt whose submission was never stored."""
        if self._held(key, submission) is None:
            return self
        return self._keeping({other: entry for other, entry in self.entries.items() if other != key})

    def refund(self, key: str, *, submission: str, day: str, fingerprint: str, at: datetime) -> Ledger:
        """Give an attempt back to its own day, because the platform failed; twice is once."""
        entry = self.entries.get(key)
        if entry is None:
            if self.folded.get(day, 0) == 0:
                return self
            # A folded attempt comes back as a refunded entry: that is what makes a second refund do nothing.
            returned = Entry(submission, fingerprint, day, EntryState.REFUNDED, at)
            return replace(self._with(key, returned), folded={**self.folded, day: self.folded[day] - 1})
        if entry.state is EntryState.REFUNDED or entry.submission != submission:
            return self
        return self._with(key, replace(entry, state=EntryState.REFUNDED))

    def refund_cancelled(
        self, key: str, *, submission: str, day: str, fingerprint: str, per_day: int, at: datetime
    ) -> Ledger:
        """Give the attempt of a cancelled submission back, at most as often a day as the daily quota."""
        today = day_of(at)
        if self.cancelled.get(today, 0) >= per_day:
            return self
        refunded = self.refund(key, submission=submission, day=day, fingerprint=fingerprint, at=at)
        if refunded is self:
            return self
        return replace(refunded, cancelled={today: self.cancelled.get(today, 0) + 1})

    def is_refunded(self, key: str) -> bool:
        """Whether the attempt of a request was given back."""
        entry = self.entries.get(key)
        return entry is not None and entry.state is EntryState.REFUNDED

    def orphans(self, before: datetime) -> dict[str, Entry]:
        """The attempts held since before a moment: their requests are over, one way or the other."""
        return {
            key: entry
            for key, entry in self.entries.items()
            if entry.state is EntryState.RESERVED and entry.at < before
        }

    def _held(self, key: str, submission: str) -> Entry | None:
        entry = self.entries.get(key)
        if entry is None or entry.state is not EntryState.RESERVED or entry.submission != submission:
            return None
        return entry

    def _with(self, key: str, entry: Entry) -> Ledger:
        return self._keeping({**self.entries, key: entry})

    def _keeping(self, entries: Mapping[str, Entry]) -> Ledger:
        held = (entry.at for entry in entries.values() if entry.state is EntryState.RESERVED)
        return replace(self, entries=entries, held_since=min(held, default=None))

    def _folded(self) -> Ledger:
        committed = [key for key, entry in self.entries.items() if entry.state is EntryState.COMMITTED]
        old = set(islice(committed, max(0, len(committed) - ENTRIES_KEPT)))
        if not old:
            return self
        folded = dict(self.folded)
        for key in old:
            day = self.entries[key].day
            folded[day] = folded.get(day, 0) + 1
        left = {key: entry for key, entry in self.entries.items() if key not in old}
        return replace(self._keeping(left), folded=folded)
