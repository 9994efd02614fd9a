"""What was accepted is compared with what became of it, while other requests go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from services.ingest.intake import Intake
from services.ingest.quota import Allowance
from services.ingest.settings import IngestSettings
from services.ingest.store import Attempts
from services.ingest.store_memory import (
    MemoryBoard,
    MemoryLedgers,
    MemoryPreflights,
    MemorySubmissions,
    MemoryUploads,
)
from services.ingest.submission import Deadlines, Submission
from services.ingest.sweeping import Sweeping
from shared import metrics
from shared.jobs import Jobs
from shared.objects import Objects
from tests.fakes import CountingIds, FixedClock


@dataclass(slots=True)
class Watched(MemoryLedgers):
    """Ledgers that take in a whole submission each time right after they were counted."""

    world: World | None = None

    async def attempts(self) -> Attempts:
        counted = await MemoryLedgers.attempts(self)
        if self.world is not None:
            await self.world.receive()
        return counted


@dataclass
class World:
    """The memory of ingest, with submissions in it."""

    clock: FixedClock = field(default_factory=FixedClock)
    ids: CountingIds = field(default_factory=CountingIds)

    def __post_init__(self) -> None:
        self.submissions = MemorySubmissions(self.clock)
        self.ledgers = Watched(self.clock)
        self.intake = Intake(
            uploads=MemoryUploads(self.clock),
            submissions=self.submissions,
            ledgers=self.ledgers,
            board=MemoryBoard(),
            preflights=MemoryPreflights(),
            objects=cast(Objects, None),
            scans=cast(Jobs, None),
            verifications=cast(Jobs, None),
            ids=self.ids,
            settings=IngestSettings(),
        )

    async def receive(self, *, stored: bool = True, consumed: bool = True) -> Submission:
        """A submission, as far as its request came."""
        now, id = self.clock.now(), self.ids.new("sub")
        made, facts = Submission.receive(
            id=id, challenge="chl_a", challenge_version=1, phase="p", team="team_a", upload="upl_a", digest="d" * 64,
            bytes=1, formats=("csv",), received_at=now, key=id, fingerprint="f", quota_day="2026-03-01", note=None,
            deadlines=Deadlines(), at=now,
        )  # fmt: skip
        everything = Allowance(1000, 1000)
        await self.ledgers.update(
            "team_a",
            "chl_a",
            lambda ledger: ledger.reserve(
                id, submission=id, fingerprint="f", allowance=everything, received_at=now, at=now
            )[0],
        )
        if stored:
            await self.submissions.add(made, facts)
        if consumed:
            await self.ledgers.update("team_a", "chl_a", lambda ledger: ledger.commit(id, id))
        return made

    async def delta(self) -> float:
        """What is exported."""
        await Sweeping(self.intake).measure_conservation()
        return float(metrics.CONSERVATION_DELTA._value.get())


async def test_nothing_is_missing_where_everything_ended_or_waits_under_a_deadline() -> None:
    world = World()
    for _ in range(40):
        await world.receive()
    ended = await world.receive()
    await world.submissions.update(ended.id, lambda submission, at: submission.cancel(at))
    assert await world.delta() == 0


async def test_a_request_under_way_is_no_loss_whether_its_submission_is_stored_or_not() -> None:
    world = World()
    await world.receive(consumed=False)
    await world.receive(stored=False, consumed=False)
    assert await world.delta() == 0


async def test_submissions_that_come_while_it_is_counted_are_no_loss() -> None:
    world = World()
    world.ledgers.world = world
    assert [await world.delta() for _ in range(3)] == [0, 0, 0]
    assert len(world.submissions.submissions) == 6, "nothing came in between: nothing was put to the test"


async def test_an_attempt_whose_submission_is_gone_is_one_too_few() -> None:
    world = World()
    await world.receive()
    gone = await world.receive()
    del world.submissions.submissions[gone.id]
    assert await world.delta() == 1


async def test_a_submission_that_nobody_drives_after_its_deadline_is_missing() -> None:
    world = World()
    await world.receive()
    world.clock.advance(Deadlines().scan + timedelta(minutes=4))
    assert await world.delta() == 0
    world.clock.advance(timedelta(minutes=2))
    assert await world.delta() == 1


async def test_a_submission_without_an_attempt_is_one_too_many() -> None:
    world = World()
    await world.receive()
    world.ledgers.ledgers.clear()
    assert await world.delta() == -1
