"""The memory of ingest in this process: the same intents without a server, for tests of everything above the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.ingest.challenge import Challenge
from services.ingest.pace import Pace
from services.ingest.quota import Entry, EntryState, Ledger
from services.ingest.store import Attempts, KeyTaken, Missing, Preflight, SubmissionChange, Unsubmitted, visible
from services.ingest.submission import Stage, Submission, SubmissionState
from services.ingest.upload import Part, Upload, UploadState
from shared.auth import Principal
from shared.clock import Clock
from shared.contracts.envelope import Event, Fact


@dataclass(slots=True)
class MemoryUploads:
    """See `store.Uploads`."""

    clock: Clock
    uploads: dict[str, Upload] = field(default_factory=dict)

    async def add(self, upload: Upload) -> Upload:
        """See `store.Uploads`."""
        if upload.key is not None and (other := await self.made_by(upload.key)) is not None:
            return other
        self.uploads[upload.id] = upload
        return upload

    async def load(self, id: str, reader: Principal | None) -> Upload:
        """See `store.Uploads`."""
        upload = self.uploads.get(id)
        if upload is None or not visible(upload.team, reader):
            raise Missing("upload", id)
        return upload

    async def append(self, upload: Upload, parts: tuple[Part, ...]) -> Upload:
        """See `store.Uploads`."""
        moved = self.uploads[upload.id].append(upload.offset, parts, self.clock.now())
        self.uploads[upload.id] = moved
        return moved

    async def update(self, id: str, change: Callable[[Upload, datetime], Upload]) -> Upload:
        """See `store.Uploads`."""
        self.uploads[id] = change(await self.load(id, None), self.clock.now())
        return self.uploads[id]

    async def replace(self, upload: Upload, change: Callable[[Upload, datetime], Upload]) -> Upload:
        """See `store.Uploads`."""
        return await self.update(upload.id, change)

    async def made_by(self, key: str) -> Upload | None:
        """See `store.Uploads`."""
        return next((upload for upload in self.uploads.values() if upload.key == key), None)

    async def unsubmitted(self, team: str) -> list[Unsubmitted]:
        """See `store.Uploads`."""
        mine = (upload for upload in self.uploads.values() if upload.team == team and not upload.kept)
        return [Unsubmitted(upload.id, upload.length, upload.ended) for upload in mine if upload.holds_room]

    async def keep(self, ids: Iterable[str]) -> None:
        """See `store.Uploads`."""
        self.uploads |= {id: self.uploads[id].keep() for id in ids}

    async def verifying_since(self, age: timedelta) -> list[str]:
        """See `store.Uploads`."""
        return self._untouched({UploadState.VERIFYING}, age)

    async def untouched_for(self, age: timedelta) -> list[str]:
        """See `store.Uploads`."""
        return self._untouched({UploadState.RECEIVING, UploadState.VERIFIED}, age)

    async def uncollected(self, age: timedelta) -> list[Upload]:
        """See `store.Uploads`."""
        before = self.clock.now() - age
        return [
            upload
            for upload in self.uploads.values()
            if upload.state in (UploadState.REFUSED, UploadState.EXPIRED)
            and not upload.collected
            and upload.state_at <= before
        ]

    def _untouched(self, states: set[UploadState], age: timedelta) -> list[str]:
        before = self.clock.now() - age
        return [
            upload.id
            for upload in self.uploads.values()
            if upload.state in states and not upload.kept and upload.touched_at <= before
        ]


@dataclass(slots=True)
class MemorySubmissions:
    """See `store.Submissions`; `facts` is every fact stored, in order."""

    clock: Clock
    submissions: dict[str, Submission] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    causes: set[tuple[str, str]] = field(default_factory=set)

    async def now(self) -> datetime:
        """See `store.Submissions`."""
        return self.clock.now()

    async def add(self, submission: Submission, facts: Sequence[Fact]) -> Submission:
        """See `store.Submissions`."""
        existing = await self.made_by(submission.key)
        if existing is not None:
            raise KeyTaken(existing)
        self.submissions[submission.id] = submission
        self.facts.extend(facts)
        return submission

    async def load(self, id: str, reader: Principal | None) -> Submission:
        """See `store.Submissions`."""
        submission = self.submissions.get(id)
        if submission is None or not visible(submission.team, reader):
            raise Missing("submission", id)
        return submission

    async def made_by(self, key: str) -> Submission | None:
        """See `store.Submissions`."""
        return next((found for found in self.submissions.values() if found.key == key), None)

    async def update(self, id: str, change: SubmissionChange, cause: Event[Fact] | None = None) -> Submission:
        """See `store.Submissions`."""
        before = await self.load(id, None)
        if cause is not None and (id, cause.id) in self.causes:
            return before
        after, facts = change(before, self.clock.now())
        self.submissions[id] = after
        self.facts.extend(facts)
        if cause is not None:
            self.causes.add((id, cause.id))
        return after

    async def page(self, team: str, challenge: str | None, after: str | None, limit: int) -> list[Submission]:
        """See `store.Submissions`."""
        found = [
            submission
            for submission in self.submissions.values()
            if submission.team == team
            and challenge in (None, submission.challenge)
            and (after is None or submission.id < after)
        ]
        return sorted(found, key=lambda submission: submission.id, reverse=True)[:limit]

    async def overdue(self, limit: int) -> list[str]:
        """See `store.Submissions`."""
        now = self.clock.now()
        late = [(sub.deadline_at, sub.id) for sub in self.submissions.values() if sub.deadline_at is not None]
        return [id for deadline, id in sorted(late) if deadline <= now][:limit]

    async def received_before(self, age: timedelta, limit: int) -> list[Submission]:
        """See `store.Submissions`."""
        before = self.clock.now() - age
        found = [
            submission
            for submission in self.submissions.values()
            if submission.state is SubmissionState.RECEIVED and submission.created_at <= before
        ]
        return sorted(found, key=lambda submission: submission.received_at)[:limit]

    async def owed_refunds(self, limit: int) -> list[str]:
        """See `store.Submissions`."""
        return [submission.id for submission in self.submissions.values() if submission.refund_due][:limit]

    async def ahead_of(self, submission: Submission) -> int:
        """See `store.Submissions`."""
        return sum(
            other.state is submission.state and other.received_at < submission.received_at
            for other in self.submissions.values()
        )

    async def pace(self, stage: Stage) -> Pace:
        """See `store.Submissions`."""
        return Pace.of(stage, list(self.submissions.values()))

    async def oldest(self, state: SubmissionState) -> timedelta | None:
        """See `store.Submissions`."""
        received = [found.received_at for found in self.submissions.values() if found.state is state]
        return self.clock.now() - min(received) if received else None

    async def accounted(self, forgotten: timedelta) -> int:
        """See `store.Submissions`."""
        late = self.clock.now() - forgotten
        return sum(
            found.ended or (found.deadline_at is not None and found.deadline_at > late)
            for found in self.submissions.values()
        )

    async def uses(self, upload: str) -> bool:
        """See `store.Submissions`."""
        return any(submission.upload == upload for submission in self.submissions.values())

    async def submitted(self, uploads: Iterable[str]) -> set[str]:
        """See `store.Submissions`."""
        return {submission.upload for submission in self.submissions.values()} & set(uploads)


@dataclass(slots=True)
class MemoryLedgers:
    """See `store.Ledgers`."""

    clock: Clock
    ledgers: dict[tuple[str, str], Ledger] = field(default_factory=dict)

    async def load(self, team: str, challenge: str) -> Ledger:
        """See `store.Ledgers`."""
        return self.ledgers.get((team, challenge)) or Ledger(team, challenge)

    async def update(self, team: str, challenge: str, change: Callable[[Ledger], Ledger]) -> Ledger:
        """See `store.Ledgers`."""
        changed = change(await self.load(team, challenge))
        self.ledgers[team, challenge] = changed
        return changed

    async def orphans(self, age: timedelta, limit: int) -> Mapping[tuple[str, str], dict[str, Entry]]:
        """See `store.Ledgers`."""
        before = self.clock.now() - age
        held = {place: ledger.orphans(before) for place, ledger in self.ledgers.items()}
        return dict([(place, orphans) for place, orphans in held.items() if orphans][:limit])

    async def attempts(self) -> Attempts:
        """See `store.Ledgers`."""
        entries = [entry for ledger in self.ledgers.values() for entry in ledger.entries.values()]
        held = sum(entry.state is EntryState.RESERVED for entry in entries)
        folded = sum(sum(ledger.folded.values()) for ledger in self.ledgers.values())
        return Attempts(used=folded + len(entries) - held, held=held)


@dataclass(slots=True)
class MemoryBoard:
    """See `store.Board`."""

    challenges: dict[str, tuple[int, Challenge]] = field(default_factory=dict)
    registrations: set[tuple[str, str]] = field(default_factory=set)

    async def put_challenge(self, challenge: Challenge, sequence: int) -> None:
        """See `store.Board`."""
        kept = self.challenges.get(challenge.id)
        if kept is None or kept[0] < sequence:
            self.challenges[challenge.id] = (sequence, challenge)

    async def challenge(self, id: str) -> Challenge:
        """See `store.Board`."""
        kept = self.challenges.get(id)
        if kept is None:
            raise Missing("challenge", id)
        return kept[1]

    async def put_registration(self, team: str, challenge: str) -> None:
        """See `store.Board`."""
        self.registrations.add((team, challenge))

    async def is_registered(self, team: str, challenge: str) -> bool:
        """See `store.Board`."""
        return (team, challenge) in self.registrations


@dataclass(slots=True)
class MemoryPreflights:
    """See `store.Preflights`."""

    preflights: dict[str, Preflight] = field(default_factory=dict)

    async def begin(self, preflight: Preflight) -> Preflight:
        """See `store.Preflights`."""
        return self.preflights.setdefault(preflight.id, preflight)

    async def load(self, id: str, reader: Principal | None) -> Preflight:
        """See `store.Preflights`."""
        preflight = self.preflights.get(id)
        if preflight is None or not visible(preflight.team, reader):
            raise Missing("preflight", id)
        return preflight

    async def answer(self, preflight: Preflight) -> None:
        """See `store.Preflights`."""
        self.preflights[preflight.id] = preflight
