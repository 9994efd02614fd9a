"""Taking in a submission, with the stores in this process so that a test can come between two steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from services.ingest.challenge import Challenge, Phase
from services.ingest.commands import Request, receive_submission, settle_reservation
from services.ingest.intake import Intake
from services.ingest.quota import Allowance, EntryState
from services.ingest.settings import IngestSettings
from services.ingest.store_memory import (
    MemoryBoard,
    MemoryLedgers,
    MemoryPreflights,
    MemorySubmissions,
    MemoryUploads,
)
from services.ingest.submission import Submission
from services.ingest.upload import Part, Upload
from shared.auth import Principal
from shared.contracts.board import Role
from shared.contracts.envelope import Fact
from shared.ids import CredentialId, OwnerId
from shared.jobs import Jobs
from shared.objects import Objects
from tests.fakes import CountingIds, FixedClock

TEAM = Principal(CredentialId("key_a"), OwnerId("team_a"), Role.TEAM)


class Queue:
    """Takes every job."""

    async def queue(self, id: str, payload: dict[str, Any], **_more: Any) -> bool:
        return True


@dataclass(slots=True)
class Freezing(MemorySubmissions):
    """Lets something happen right before a submission is stored, as if its request had been frozen there."""

    meanwhile: Callable[[Submission], Awaitable[None]] | None = None

    async def add(self, submission: Submission, facts: Sequence[Fact]) -> Submission:
        if self.meanwhile is not None:
            await self.meanwhile(submission)
        return await MemorySubmissions.add(self, submission, facts)


async def test_an_attempt_is_used_though_its_reservation_was_let_go_while_the_request_was_frozen() -> None:
    clock = FixedClock()
    submissions, uploads, board = Freezing(clock), MemoryUploads(clock), MemoryBoard()
    queue = cast(Jobs, Queue())
    intake = Intake(
        uploads=uploads,
        submissions=submissions,
        ledgers=MemoryLedgers(clock),
        board=board,
        preflights=MemoryPreflights(),
        objects=cast(Objects, None),
        scans=queue,
        verifications=queue,
        ids=CountingIds(),
        settings=IngestSettings(),
    )
    hour = timedelta(hours=1)
    phase = Phase("preliminary", clock.now() - hour, clock.now() + hour)
    await board.put_challenge(Challenge("chl_a", 1, "spn_a", (phase,), Allowance(1, 9), 1 << 20, ("csv",)), 1)
    await board.put_registration("team_a", "chl_a")
    upload = Upload.create(
        id="upl_a", team="team_a", length=1, sha256="0" * 64, filename="a.csv", filetype=None, at=clock.now()
    )
    await uploads.add(upload.append(0, (Part("0-a", 1),), clock.now()).verify("0" * 64, clock.now()))
    released: list[dict[str, Any]] = []

    async def sweep(submission: Submission) -> None:
        await settle_reservation("team_a", "chl_a", submission.key, submission.id, intake)
        released.append(dict((await intake.ledgers.load("team_a", "chl_a")).entries))

    submissions.meanwhile = sweep
    received = await receive_submission(Request("team_a", "chl_a", "upl_a", None, "k"), TEAM, intake)
    assert released == [{}], "the reservation was not let go: nothing was put to the test"
    ledger = await intake.ledgers.load("team_a", "chl_a")
    assert ledger.entries["k"].state is EntryState.COMMITTED
    assert (ledger.entries["k"].submission, ledger.used_total) == (received.submission.id, 1)
    assert received.ledger == ledger
