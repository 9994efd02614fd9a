"""What ingest remembers, as intents. `store_mongo.py` keeps it in MongoDB, `store_memory.py` in this process.

Every read that answers a person takes the reader, and what is not theirs does not exist for them. Moments that decide
something (when an upload was complete, what is past its deadline) are those of the store's own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from services.ingest.challenge import Challenge
from services.ingest.pace import Pace
from services.ingest.quota import Entry, Ledger
from services.ingest.submission import Reason, Stage, Submission, SubmissionState
from services.ingest.upload import Part, Upload
from shared.auth import Principal
from shared.contracts.board import Role
from shared.contracts.envelope import Event, Fact
from shared.failures import PermanentError


class Missing(PermanentError):
    """There is no such thing, or it is not the reader's."""

    def __init__(self, what: str, id: str) -> None:
        super().__init__(f"no {what} {id}")
        self.what = what
        self.id = id


def visible(team: str, reader: Principal | None) -> bool:
    """Whether a reader (None: the platform itself) may see what belongs to a team."""
    if reader is None or reader.role in (Role.ORGANISER, Role.OPERATOR):
        return True
    return reader.role is Role.TEAM and reader.owner == team


class KeyTaken(Exception):
    """The idempotency key has already made a submission; `submission` is that one."""

    def __init__(self, submission: Submission) -> None:
        super().__init__(submission.key)
        self.submission = submission


SubmissionChange = Callable[[Submission, datetime], tuple[Submission, Sequence[Fact]]]
"""A pure change: the submission and the moment, to the submission and its events."""


@dataclass(frozen=True, slots=True)
class Unsubmitted:
    """An upload that holds room and is not known to have a submission; `ended` if its bytes are only to be deleted."""

    id: str
    length: int
    ended: bool


class Uploads(Protocol):
    """The uploads."""

    async def add(self, upload: Upload) -> Upload:
        """Store a new upload; if its key has made one before, that one is the answer and nothing is stored."""
        ...

    async def load(self, id: str, reader: Principal | None) -> Upload:
        """The upload, if it is the reader's (None: the platform itself).

        Raises:
            Missing: there is none, or it belongs to somebody else.
        """
        ...

    async def append(self, upload: Upload, parts: tuple[Part, ...]) -> Upload:
        """Move the offset of an upload over stored parts; the last byte's moment is the store's.

        Raises:
            OffsetConflict, UploadClosed: somebody else was first.
        """
        ...

    async def update(self, id: str, change: Callable[[Upload, datetime], Upload]) -> Upload:
        """Apply a pure change; it may be applied again if another writer was first."""
        ...

    async def replace(self, upload: Upload, change: Callable[[Upload, datetime], Upload]) -> Upload:
        """Apply a pure change to an upload as it was read just now; the same as `update`, a read cheaper."""
        ...

    async def made_by(self, key: str) -> Upload | None:
        """The upload that an idempotency key has made, if any."""
        ...

    async def unsubmitted(self, team: str) -> list[Unsubmitted]:
        """A team's uploads that hold room and are not kept: unended ones, and whole ones given up not long ago."""
        ...

    async def keep(self, ids: Iterable[str]) -> None:
        """Note that submissions were made of uploads."""
        ...

    async def verifying_since(self, age: timedelta) -> list[str]:
        """Uploads that have been waiting for their verification for longer than that."""
        ...

    async def untouched_for(self, age: timedelta) -> list[str]:
        """Receiving and verified uploads that got no byte for longer than that and are not kept."""
        ...

    async def uncollected(self, age: timedelta) -> list[Upload]:
        """Uploads that reached their end longer ago than that and whose spare objects are still there."""
        ...


class Submissions(Protocol):
    """The submissions, each with the outbox of its events."""

    async def now(self) -> datetime:
        """The present moment by the store's clock."""
        ...

    async def add(self, submission: Submission, facts: Sequence[Fact]) -> Submission:
        """Store a new submission with its events.

        Raises:
            KeyTaken: its idempotency key has already made one.
        """
        ...

    async def load(self, id: str, reader: Principal | None) -> Submission:
        """The submission, if the reader may see it (None: the platform itself).

        Raises:
            Missing: there is none, or it belongs to somebody else.
        """
        ...

    async def made_by(self, key: str) -> Submission | None:
        """The submission that an idempotency key has made, if any."""
        ...

    async def update(self, id: str, change: SubmissionChange, cause: Event[Fact] | None = None) -> Submission:
        """Apply a pure change and store it with its events, once per cause.

        Raises:
            Missing: there is none.
        """
        ...

    async def page(self, team: str, challenge: str | None, after: str | None, limit: int) -> list[Submission]:
        """A team's submissions, newest first, those older than `after` only."""
        ...

    async def overdue(self, limit: int) -> list[str]:
        """Submissions that are past their deadline, the longest overdue first."""
        ...

    async def received_before(self, age: timedelta, limit: int) -> list[Submission]:
        """Submissions that have been waiting for their scan for longer than that, oldest first."""
        ...

    async def owed_refunds(self, limit: int) -> list[str]:
        """Submissions whose attempt is still to be given back."""
        ...

    async def ahead_of(self, submission: Submission) -> int:
        """How many older submissions wait for the same stage."""
        ...

    async def pace(self, stage: Stage) -> Pace:
        """How fast a stage has been going lately."""
        ...

    async def oldest(self, state: SubmissionState) -> timedelta | None:
        """How long ago the oldest submission in a waiting state was received; None when there is none."""
        ...

    async def accounted(self, forgotten: timedelta) -> int:
        """How many submissions ended or wait under a deadline; one that nobody drove for so long after it is not."""
        ...

    async def uses(self, upload: str) -> bool:
        """Whether any submission was made of an upload."""
        ...

    async def submitted(self, uploads: Iterable[str]) -> set[str]:
        """Which of some uploads a submission was made of."""
        ...


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many attempts have a submission, whether consumed or given back, and how many are only held for one."""

    used: int
    held: int


class Ledgers(Protocol):
    """The quota ledgers, one per team and challenge."""

    async def load(self, team: str, challenge: str) -> Ledger:
        """The ledger; an empty one if nothing was ever booked."""
        ...

    async def update(self, team: str, challenge: str, change: Callable[[Ledger], Ledger]) -> Ledger:
        """Apply a pure change, again if another writer was first; what it raises passes through."""
        ...

    async def orphans(self, age: timedelta, limit: int) -> Mapping[tuple[str, str], dict[str, Entry]]:
        """Attempts held for longer than that, by team and challenge."""
        ...

    async def attempts(self) -> Attempts:
        """How many attempts there are in all ledgers."""
        ...


class Board(Protocol):
    """What ingest has learned from the board's events: challenges and who may submit to them."""

    async def put_challenge(self, challenge: Challenge, sequence: int) -> None:
        """Keep the newest version of a challenge; an older one than the one kept is dropped."""
        ...

    async def challenge(self, id: str) -> Challenge:
        """A challenge.

        Raises:
            Missing: none of that id was announced.
        """
        ...

    async def put_registration(self, team: str, challenge: str) -> None:
        """Remember that a team may submit to a challenge."""
        ...

    async def is_registered(self, team: str, challenge: str) -> bool:
        """Whether a team may submit to a challenge."""
        ...


@dataclass(frozen=True, slots=True)
class Preflight:
    """The gates' answer about an upload, without a submission; `reasons` is empty when nothing is against it."""

    id: str
    team: str
    challenge: str
    upload: str
    passed: bool | None = None
    dataset_digest: str | None = None
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()


class Preflights(Protocol):
    """The answers of free checks before a submission."""

    async def begin(self, preflight: Preflight) -> Preflight:
        """Remember that an answer is asked for; the one that is there already is kept and returned."""
        ...

    async def load(self, id: str, reader: Principal | None) -> Preflight:
        """A check, answered or not.

        Raises:
            Missing: there is none, or it is not the reader's.
        """
        ...

    async def answer(self, preflight: Preflight) -> None:
        """Store the answer."""
        ...
