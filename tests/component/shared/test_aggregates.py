"""State and events in one guarded write, on a real MongoDB."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from shared import metrics
from shared.codec import MAX_EVENT_BYTES
from shared.contracts.board import RegistrationAccepted, TeamRegistered
from shared.contracts.envelope import Fact
from shared.contracts.registry import parse
from shared.failures import PermanentError, TransientError
from shared.mongo import AggregateExists, AggregateMissing, Aggregates, Collection, Database, client, database
from shared.outbox import Relay
from shared.settings import Settings
from tests.component.shared.harness import team_event
from tests.eventually import eventually
from tests.fakes import CountingIds, FakePublisher, FixedClock


@dataclass(frozen=True)
class Team:
    id: str
    members: int = 0
    seen: tuple[str, ...] = ()


@dataclass
class Store:
    database: Database
    teams: Aggregates[Team]
    publisher: FakePublisher
    relay: Relay

    @property
    def collection(self) -> Collection:
        return self.teams.collection

    async def document(self, id: str) -> dict[str, Any]:
        found = await self.collection.find_one({"_id": id})
        assert found is not None
        return found

    async def settled(self, id: str) -> dict[str, Any]:
        """The document when its outbox is empty: marks are not waited for by a majority."""
        await self.relay.settle(5)

        async def empty() -> dict[str, Any] | None:
            document = await self.document(id)
            return document if document["outbox"] == [] else None

        found: dict[str, Any] = await eventually(empty, within=5)
        return found

    async def sequences(self) -> list[int]:
        await self.relay.settle(5)
        return [parse(value.encode()).sequence for value in self.publisher.values()]  # type: ignore[union-attr]


def store_in(mongo_database: Database, publisher: FakePublisher | None = None) -> Store:
    publisher = publisher or FakePublisher()
    relay = Relay(publisher, grace=timedelta(0))
    teams = Aggregates(
        mongo_database, "teams", Team, source="/jiebang/board", relay=relay, clock=FixedClock(), ids=CountingIds()
    )
    return Store(mongo_database, teams, publisher, relay)


@pytest.fixture
async def store(settings: Settings) -> Any:
    connection = client(settings)
    made = store_in(database(connection, settings, "board"))
    await made.teams.prepare()
    yield made
    await made.relay.settle(5)
    await connection.drop_database(made.database.name)
    connection.close()


def join(team: Team) -> tuple[Team, list[Fact]]:
    joined = replace(team, members=team.members + 1)
    return joined, [TeamRegistered(team=team.id, members=joined.members)]


async def test_an_aggregate_and_its_event_are_one_document(store: Store) -> None:
    store.publisher.open.clear()
    await store.teams.add("team_1", Team("team_1", 2), [TeamRegistered(team="team_1", members=2)])
    document = await store.document("team_1")
    assert document["state"] == {"id": "team_1", "members": 2, "seen": []}
    assert document["version"] == 1
    assert [entry["topic"] for entry in document["outbox"]] == ["board.teams"]
    assert document["outbox_since"] is not None
    store.publisher.open.set()
    assert "outbox_since" not in await store.settled("team_1")
    assert await store.teams.load("team_1") == Team("team_1", 2)


async def test_an_event_is_stamped_with_everything_it_needs(store: Store) -> None:
    cause = team_event("team_1")
    await store.teams.add("team_1", Team("team_1"))
    await store.teams.update("team_1", join, cause=cause)
    await store.relay.settle(5)
    (topic, key, value) = store.publisher.published[0]
    event = parse(value or b"")
    assert (topic, key) == ("board.teams", b"team_1")
    assert event.model_dump(include={"source", "type", "subject", "sequence", "correlationid", "causationid"}) == {
        "source": "/jiebang/board",
        "type": "team.registered.v1",
        "subject": "team_1",
        "sequence": 1,
        "correlationid": "team_1",
        "causationid": cause.id,
    }
    assert event.id.startswith("evt_")


async def test_fifty_writers_at_once_lose_nothing_and_count_without_a_gap(store: Store) -> None:
    await store.teams.add("team_1", Team("team_1"))
    conflicts = metrics.WRITE_CONFLICTS.labels("teams")._value.get()
    await asyncio.gather(*(store.teams.update("team_1", join) for _ in range(50)))
    assert (await store.teams.load("team_1")).members == 50
    assert (await store.document("team_1"))["version"] == 51
    assert await store.sequences() == list(range(1, 51))
    assert metrics.WRITE_CONFLICTS.labels("teams")._value.get() > conflicts, "they never met"


async def test_one_cause_has_its_effect_once_however_often_and_wherever_it_comes(
    store: Store, settings: Settings
) -> None:
    other = store_in(store.database, store.publisher)
    cause = team_event("team_1")
    await store.teams.add("team_1", Team("team_1"))
    duplicates = metrics.DUPLICATES.labels("teams")._value.get()
    await asyncio.gather(*(each.teams.update("team_1", join, cause=cause) for each in (store, other) * 10))
    assert (await store.teams.load("team_1")).members == 1
    assert metrics.DUPLICATES.labels("teams")._value.get() == duplicates + 19
    await other.relay.settle(5)
    assert set(await store.sequences()) == {1}


class Behind:
    """A collection whose majority is a version behind what its primary has, for the first so many looks."""

    def __init__(self, collection: Collection, looks: int) -> None:
        self._collection = collection
        self.left = looks

    async def find_one(self, *arguments: Any) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self._collection.find_one(*arguments)
        if found is not None and self.left > 0:
            self.left -= 1
            found["version"] -= 1
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


def nothing(team: Team) -> tuple[Team, list[Fact]]:
    return team, []


@pytest.mark.parametrize("again", [True, False], ids=["it came before", "it changes nothing"])
async def test_a_cause_is_done_with_only_when_a_majority_has_its_effect(store: Store, again: bool) -> None:
    """A primary that dies takes along what only it had: an event acknowledged for that would never come again."""
    cause = team_event("team_1")
    await store.teams.add("team_1", Team("team_1"))
    await store.teams.update("team_1", join, cause=cause)
    behind = Behind(store.collection, looks=3)
    store.teams.collection = behind  # type: ignore[assignment]
    change, cause = (join, cause) if again else (nothing, team_event("team_1", 2))
    assert (await store.teams.update("team_1", change, cause=cause)).members == 1
    assert behind.left == 0, "it did not wait"


async def test_what_stays_unsafe_is_tried_again_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.teams.add("team_1", Team("team_1"))
    monkeypatch.setattr("shared.mongo.LONGEST_CONFLICT", 0.05)
    store.teams.collection = Behind(store.collection, looks=1_000_000)  # type: ignore[assignment]
    with pytest.raises(TransientError, match="not safe yet"):
        await store.teams.update("team_1", nothing)


async def test_a_new_aggregate_remembers_the_cause_it_was_made_by(store: Store) -> None:
    cause = team_event("team_1")
    assert await store.teams.add_new("team_1", Team("team_1"), cause=cause)
    assert not await store.teams.add_new("team_1", Team("team_1", 9), cause=cause)
    assert await store.teams.update("team_1", join, cause=cause) == Team("team_1")


async def test_the_inbox_is_bounded(store: Store) -> None:
    await store.teams.add("team_1", Team("team_1"))
    for number in range(70):
        await store.teams.update("team_1", join, cause=team_event("team_1", number + 1))
    assert len((await store.document("team_1"))["inbox"]) == 64


async def test_the_outbox_is_never_cut(store: Store) -> None:
    store.publisher.open.clear()
    await store.teams.add("team_1", Team("team_1"))
    for _ in range(100):
        await store.teams.update("team_1", join)
    assert len((await store.document("team_1"))["outbox"]) == 100
    store.publisher.open.set()
    assert await store.sequences() == list(range(1, 101))


async def test_two_events_of_one_write_have_two_numbers(store: Store) -> None:
    def twice(team: Team) -> tuple[Team, list[Fact]]:
        facts: list[Fact] = [
            TeamRegistered(team=team.id, members=1),
            RegistrationAccepted(team=team.id, challenge="chl_1"),
        ]
        return replace(team, members=1), facts

    await store.teams.add("team_1", Team("team_1"), [TeamRegistered(team="team_1", members=0)])
    await store.teams.update("team_1", twice)
    assert await store.sequences() == [1, 2, 3]


async def test_a_change_that_changes_nothing_writes_nothing(store: Store) -> None:
    await store.teams.add("team_1", Team("team_1"))
    await store.teams.update("team_1", lambda team: (replace(team), []))
    assert (await store.document("team_1"))["version"] == 1


async def test_a_missing_aggregate_is_named_or_begun(store: Store) -> None:
    with pytest.raises(AggregateMissing, match="team_9"):
        await store.teams.update("team_9", join)
    assert await store.teams.find("team_9") is None
    await asyncio.gather(*(store.teams.update("team_9", join, initial=lambda: Team("team_9")) for _ in range(10)))
    assert await store.teams.load("team_9") == Team("team_9", 10)
    assert await store.sequences() == list(range(1, 11))


async def test_an_id_is_given_once(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(store.teams.add("team_1", Team("team_1", number)) for number in range(10)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [AggregateExists] * 9


async def test_an_event_that_is_too_large_to_publish_is_refused_with_its_state(store: Store) -> None:
    await store.teams.add("team_1", Team("team_1"))
    huge = RegistrationAccepted(team="team_1", challenge="x" * MAX_EVENT_BYTES)
    with pytest.raises(PermanentError, match=str(MAX_EVENT_BYTES)):
        await store.teams.update("team_1", lambda team: (replace(team, members=7), [huge]))
    assert await store.teams.load("team_1") == Team("team_1")
    assert (await store.document("team_1"))["outbox"] == []


async def test_events_of_two_subjects_in_one_document_are_a_mistake_that_shows(store: Store) -> None:
    await store.teams.add("team_1", Team("team_1"), [TeamRegistered(team="team_1", members=0)])
    with pytest.raises(TypeError, match="one subject"):
        await store.teams.update("team_1", lambda team: (team, [TeamRegistered(team="team_2", members=0)]))


async def test_a_relay_that_marks_between_our_read_and_our_write_hides_no_event(store: Store) -> None:
    """The mark takes `outbox_since` away without a new version: our write must put it there again."""
    store.publisher.down = True
    await store.teams.add("team_1", Team("team_1"), [TeamRegistered(team="team_1", members=0)])
    entry = (await store.document("team_1"))["outbox"][0]["id"]
    read = await store.collection.find_one({"_id": "team_1"})
    await store.teams.published({"team_1": [entry]})
    assert "outbox_since" not in await store.settled("team_1")
    assert read is not None
    assert await store.teams._write(read, Team("team_1", 1), [TeamRegistered(team="team_1", members=1)], None)
    document = await store.document("team_1")
    assert document["outbox_since"] is not None
    assert [pending.document_id for pending in await store.teams.pending(timedelta(0), 10)] == ["team_1"]


async def test_marking_takes_out_what_was_published_and_nothing_else(store: Store) -> None:
    store.publisher.open.clear()
    await store.teams.add("team_1", Team("team_1"))
    for _ in range(3):
        await store.teams.update("team_1", join)
    ids = [entry["id"] for entry in (await store.document("team_1"))["outbox"]]
    await store.teams.published({"team_1": ids[:2], "team_gone": ["evt"]})

    async def marked() -> dict[str, Any] | None:
        document = await store.document("team_1")
        return document if len(document["outbox"]) == 1 else None

    document = await eventually(marked, within=5)
    assert [entry["id"] for entry in document["outbox"]] == ids[2:]
    assert "outbox_since" in document
    assert (await store.teams.backlog())[0] == 1


async def test_two_relays_publish_everything_in_order_of_first_appearance(store: Store) -> None:
    """Both may publish an event; nobody sees a later one before an earlier one."""
    store.publisher.open.clear()
    ids = [f"team_{number}" for number in range(5)]
    for id in ids:
        await store.teams.add(id, Team(id))
        for _ in range(10):
            await store.teams.update(id, join)
    first, second = (store_in(store.database) for _ in range(2))
    log: list[tuple[str, int]] = []
    for each in (first, second):
        each.publisher.published = log_of(log)
    await asyncio.gather(first.relay.sweep(), second.relay.sweep())
    await asyncio.gather(first.relay.settle(10), second.relay.settle(10))
    for id in ids:
        seen = [sequence for subject, sequence in log if subject == id]
        assert list(dict.fromkeys(seen)) == list(range(1, 11))
    assert len(log) > 50, "the two never published the same"
    for id in ids:
        await first.settled(id)
    store.publisher.open.set()


class log_of(list[tuple[str, bytes | None, bytes | None]]):
    """A list of published records that notes subject and sequence in a log shared by two publishers."""

    def __init__(self, log: list[tuple[str, int]]) -> None:
        super().__init__()
        self._log = log

    def append(self, record: tuple[str, bytes | None, bytes | None]) -> None:
        event = parse(record[2] or b"")
        self._log.append((event.subject, event.sequence))  # type: ignore[union-attr]
        super().append(record)


async def test_a_relay_that_was_frozen_publishes_again_and_changes_nothing(store: Store) -> None:
    frozen = store
    frozen.publisher.open.clear()
    await frozen.teams.add("team_1", Team("team_1"))
    for _ in range(3):
        await frozen.teams.update("team_1", join)
    other = store_in(frozen.database)
    await asyncio.sleep(0)
    assert len(await other.teams.pending(timedelta(0), 10)) == 1
    other.relay.flush("teams", "team_1", (await other.teams.pending(timedelta(0), 10))[0].entries)
    await other.relay.settle(5)
    assert await other.sequences() == [1, 2, 3]
    await frozen.teams.update("team_1", join)
    frozen.publisher.open.set()
    assert (await frozen.sequences())[-1] == 4
    assert "outbox_since" not in await frozen.settled("team_1")


class Writes(CommandListener):
    """Notes every write that the driver sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("insert", "update", "findAndModify", "delete"):
            self.sent.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


async def test_state_and_events_are_one_write_so_that_nothing_can_come_between(settings: Settings) -> None:
    writes = Writes()
    connection: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(settings.mongo_uri, event_listeners=[writes])
    publisher = FakePublisher()
    publisher.open.clear()
    store = store_in(connection[f"{settings.mongo_database_prefix}_writes"], publisher)
    await store.teams.add("team_1", Team("team_1"), [TeamRegistered(team="team_1", members=0)])
    assert writes.sent == ["update"]
    await store.teams.update("team_1", join, cause=team_event("team_1"))
    assert writes.sent == ["update", "findAndModify"]
    document = await store.document("team_1")
    assert (document["state"]["members"], len(document["outbox"]), len(document["inbox"])) == (1, 2, 1)
    publisher.open.set()
    await store.relay.settle(5)
    await connection.drop_database(store.database.name)
    connection.close()
