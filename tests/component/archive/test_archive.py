"""Archives of real servers: one moment of what is written to all the time, put back whole, once, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import tarfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.archive import exporting
from shared.archive.container import ArchiveRefused
from shared.archive.exporting import Taken, Told, export
from shared.archive.importing import Imported, import_archive
from shared.archive.store import SERVICES
from shared.archive.streams import Streams
from shared.clock import SystemClock
from shared.contracts.board import TeamRegistered
from shared.failures import DependencyDown
from shared.ids import SystemIds
from shared.kafka import Producer, ensure_topics, handled, read_records
from shared.mongo import Aggregates, Client, client, database
from shared.objects import Objects
from shared.outbox import Relay
from shared.settings import Settings
from tests.component.shared.harness import delete_topics
from tests.eventually import eventually

pytestmark = pytest.mark.timeout(180)
TOPIC = "board.teams"
TEAMS = [f"team_{number}" for number in range(12)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks for a partition, of a few records each."""
    monkeypatch.setattr(exporting, "BLOCK_BYTES", 500)


@dataclass(frozen=True)
class Team:
    id: str
    members: int = 0


@dataclass
class Installation:
    """The servers under names of one's own, as a platform has them."""

    settings: Settings
    mongo: Client
    objects: Objects
    stages: list[str] = field(default_factory=list)

    async def export(self, file: Path) -> Taken:
        return await export(file, self.settings, Told(lambda *_: None, lambda *_: None))

    async def take(self, file: Path, *, interrupt: tuple[str, int] | None = None) -> Imported:
        """Import; with `interrupt`, break off in a stage after so many members of the archive."""
        stage, members = "", 0

        def begin(name: str, total: int) -> None:
            nonlocal stage, members
            stage, members = name, 0

        def done(count: int) -> None:
            nonlocal members
            members += 1
            if interrupt == (stage, members):
                raise Interrupted

        return await import_archive(file, self.settings, Told(begin, done))

    async def documents(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for service in SERVICES:
            its = database(self.mongo, self.settings, service)
            for name in await its.list_collection_names():
                found |= {f"{service}.{name} {each['_id']}": each async for each in its[name].find()}
        return found

    async def records(self, topic: str = TOPIC) -> dict[int, list[tuple[Any, ...]]]:
        """What lies in each partition of a topic, in order."""
        found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        async for records in read_records(self.settings, f"{self.settings.kafka_topic_prefix}{topic}"):
            for each in records:
                found[each.partition].append((each.key, each.value, tuple(each.headers)))
        return dict(found)

    async def count(self) -> int:
        """How many records lie in the topic."""
        return sum(map(len, (await self.records()).values()))

    async def stored(self) -> dict[str, bytes]:
        return {info.name: await self.objects.get(info.name) async for info in self.objects.list("")}


class Interrupted(Exception):
    """The import was broken off."""


@asynccontextmanager
async def installed(kafka: KafkaServer, mongo: MongoServer, folder: Path) -> AsyncIterator[Installation]:
    prefix = f"t{secrets.token_hex(5)}"
    settings = Settings(
        kafka_bootstrap=(kafka.bootstrap,),
        kafka_topic_prefix=f"{prefix}.",
        mongo_uri=mongo.uri,
        mongo_database_prefix=prefix,
        objects_url=(folder / prefix).as_uri(),
    )
    connection = client(settings)
    yield Installation(settings, connection, Objects(settings.objects_url))
    for service in (*SERVICES, "archive"):
        await connection.drop_database(database(connection, settings, service).name)
    connection.close()
    await delete_topics(settings)


@pytest.fixture
async def season(kafka: KafkaServer, mongo: MongoServer, tmp_path: Path) -> AsyncIterator[Installation]:
    """Where an archive is taken."""
    async with installed(kafka, mongo, tmp_path) as made:
        await ensure_topics(made.settings)
        yield made


@pytest.fixture
async def empty(kafka: KafkaServer, mongo: MongoServer, tmp_path: Path) -> AsyncIterator[Installation]:
    """Where it is put back."""
    async with installed(kafka, mongo, tmp_path) as made:
        yield made


@asynccontextmanager
async def board(installation: Installation) -> AsyncIterator[Aggregates[Team]]:
    """The board's teams, whose events are published as a service does."""
    producer = Producer(installation.settings)
    await producer.start()
    relay = Relay(producer, topic_prefix=installation.settings.kafka_topic_prefix)
    stored = database(installation.mongo, installation.settings, "board")
    yield Aggregates(stored, "teams", Team, source="/jiebang/board", relay=relay, clock=SystemClock(), ids=SystemIds())
    await relay.stop(10)
    await producer.stop()


async def grow(teams: Aggregates[Team], id: str) -> None:
    def change(before: Team) -> tuple[Team, Sequence[TeamRegistered]]:
        after = replace(before, members=before.members + 1)
        return after, [TeamRegistered(team=id, members=after.members)]

    await teams.update(id, change, initial=lambda: Team(id))


async def fill(installation: Installation, *, rounds: int = 3) -> None:
    """Some teams with their events, some objects, and a reader that has read all of it but one event."""
    async with board(installation) as teams:
        for _, id in itertools.product(range(rounds), TEAMS):
            await grow(teams, id)
    for number in range(4):
        await installation.objects.put(f"datasets/upl_{number}/dataset", bytes([number]) * 1000)
    await installation.objects.put("reports/empty", b"")
    await read_to(installation, {number: len(each) for number, each in (await installation.records()).items()})


async def read_to(installation: Installation, offsets: Mapping[int, int]) -> None:
    streams = Streams(installation.settings)
    for reader in ("ingest", "scoring", "ranking", "notify"):
        await streams.place(reader, TOPIC, offsets)


# --- the moment -----------------------------------------------------------------------------------------------------


async def test_what_is_taken_while_all_is_written_to_is_of_one_moment(
    season: Installation, empty: Installation, tmp_path: Path
) -> None:
    """Each team has exactly the events that it had saved: those in the topic and those in its outbox."""
    stop, written = asyncio.Event(), 0

    async def write(teams: Aggregates[Team], id: str) -> None:
        nonlocal written
        while not stop.is_set():
            await grow(teams, id)
            written += 1

    async with board(season) as teams:
        writers = [asyncio.create_task(write(teams, id)) for id in TEAMS]
        await eventually(lambda: written > 200)
        before = written
        taken = await season.export(tmp_path / "a.tar")
        during = written - before
        await eventually(lambda: written > before + during + 50)
        stop.set()
        await asyncio.gather(*writers)
    assert during > 20, "it was not written to meanwhile"
    await empty.take(tmp_path / "a.tar")
    published: dict[str, list[int]] = defaultdict(list)
    for partition in (await empty.records()).values():
        for _, value, _ in partition:
            event = json.loads(value)
            published[event["subject"]].append(event["sequence"])
    found = await empty.documents()
    assert len(found) == len(TEAMS)
    for document in found.values():
        waiting = [json.loads(entry["body"])["sequence"] for entry in document["outbox"]]
        its = published[document["state"]["id"]]
        assert its == list(range(1, len(its) + 1)), "in order, each once"
        assert set(its) | set(waiting) == set(range(1, document["sequence"] + 1)), "all that was saved, and no more"
        assert document["state"]["members"] == document["sequence"]
    total = sum(document["sequence"] for document in found.values())
    assert before <= total <= before + during + len(TEAMS), f"not a moment of the export: {taken}"


async def test_a_later_event_of_what_the_archive_holds_is_left_out(season: Installation, tmp_path: Path) -> None:
    """What the tail of a topic says of after the snapshot would make readers ahead of the writer."""
    await fill(season)
    done = asyncio.Event()

    async def busy() -> None:
        async with board(season) as teams:
            while not done.is_set():
                await asyncio.gather(*(grow(teams, id) for id in TEAMS))

    left_out = 0
    writing = asyncio.create_task(busy())
    try:
        for number in range(20):
            left_out += (await season.export(tmp_path / f"{number}.tar")).left_out
            if left_out:
                break
    finally:
        done.set()
        await writing
    assert left_out, "no export met an event of after its moment"


# --- putting it back ------------------------------------------------------------------------------------------------


async def same(one: Installation, other: Installation) -> None:
    assert await one.documents() == await other.documents()
    assert await one.records() == await other.records()
    assert await one.stored() == await other.stored()
    for reader in ("ingest", "scoring", "ranking", "notify"):
        positions = [await handled(each.settings, service=reader, topic=TOPIC) for each in (one, other)]
        assert positions[0] == positions[1]
        assert positions[0]


async def test_all_of_it_is_put_back_once(season: Installation, empty: Installation, tmp_path: Path) -> None:
    await fill(season)
    taken = await season.export(tmp_path / "a.tar")
    imported = await empty.take(tmp_path / "a.tar")
    assert (imported.documents, imported.records, imported.objects) == (len(TEAMS), 3 * len(TEAMS), 5)
    assert imported.archive == taken.archive
    await same(season, empty)
    again = await empty.take(tmp_path / "a.tar")
    assert not again.changed
    await same(season, empty)


@pytest.mark.parametrize("written", [1, 2])
@pytest.mark.parametrize("stage", ["objects", "documents", "events"])
async def test_an_import_that_was_broken_off_goes_on(
    season: Installation, empty: Installation, tmp_path: Path, stage: str, written: int
) -> None:
    await fill(season, rounds=9)
    await season.export(tmp_path / "a.tar")
    folder = "records/" if stage == "events" else f"{stage}/"
    with tarfile.open(tmp_path / "a.tar") as tar:
        places = [number for number, name in enumerate(tar.getnames(), start=1) if name.startswith(folder)]
    after = places[written - 1]
    with pytest.raises(Interrupted):
        await empty.take(tmp_path / "a.tar", interrupt=(stage, after))
    there = {
        "objects": (len(await empty.stored()), 5),
        "documents": (len(await empty.documents()), len(TEAMS)),
        "events": (await eventually(empty.count) if stage == "events" else 0, 9 * len(TEAMS)),
    }
    assert 0 < there[stage][0] < there[stage][1], f"it was not broken off in the middle: {there}"
    imported = await empty.take(tmp_path / "a.tar")
    assert imported.changed
    await same(season, empty)


async def test_a_block_of_which_half_was_published_is_not_published_again(
    season: Installation, empty: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "BLOCK_BYTES", 1 << 20)
    await fill(season, rounds=9)
    await season.export(tmp_path / "a.tar")
    whole = Streams.put

    async def half(
        self: Streams, producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Mapping[str, Any]]
    ) -> None:
        assert len(records) > 1
        await whole(self, producer, topic, partition, records[: len(records) // 2])
        raise DependencyDown("kafka", "broken off")

    monkeypatch.setattr(Streams, "put", half)
    with pytest.raises(DependencyDown):
        await empty.take(tmp_path / "a.tar")
    monkeypatch.setattr(Streams, "put", whole)
    assert sum(map(len, (await empty.records()).values())) > 0, "some of it is there"
    await empty.take(tmp_path / "a.tar")
    await same(season, empty)


async def test_another_season_is_put_beside_the_one_that_is_there(
    season: Installation, empty: Installation, tmp_path: Path
) -> None:
    await fill(season)
    await season.export(tmp_path / "a.tar")
    await ensure_topics(empty.settings)
    async with board(empty) as teams:
        for number in range(30):
            await grow(teams, f"other_{number}")
    mine = await empty.records()
    with pytest.raises(ArchiveRefused) as told:
        await empty.take(tmp_path / "a.tar")
    assert told.value.code == "unread_events", "what is put behind it would count as read"
    await read_to(empty, {number: len(each) for number, each in mine.items()})
    await empty.take(tmp_path / "a.tar")
    its, both = await season.records(), await empty.records()
    for partition, records in both.items():
        assert records == mine.get(partition, []) + its.get(partition, [])
    position = await handled(empty.settings, service="ranking", topic=TOPIC)
    assert position == {number: len(each) for number, each in both.items()}


# --- refusals -------------------------------------------------------------------------------------------------------


async def untouched(installation: Installation) -> None:
    assert await installation.documents() == {}
    assert await installation.stored() == {}


async def test_a_document_that_says_something_else_refuses_the_whole(
    season: Installation, empty: Installation, tmp_path: Path
) -> None:
    await fill(season)
    await season.export(tmp_path / "a.tar")
    teams = database(empty.mongo, empty.settings, "board")["teams"]
    await teams.insert_one({"_id": TEAMS[3], "state": "another"})
    with pytest.raises(ArchiveRefused) as told:
        await empty.take(tmp_path / "a.tar")
    assert told.value.code == "conflict"
    assert f"board.teams {TEAMS[3]}" in told.value.title
    assert len(await empty.documents()) == 1
    assert await empty.stored() == {}


async def test_an_object_that_says_something_else_refuses_the_whole(
    season: Installation, empty: Installation, tmp_path: Path
) -> None:
    await fill(season)
    await season.export(tmp_path / "a.tar")
    await empty.objects.put("datasets/upl_1/dataset", b"\x02" * 1000)
    with pytest.raises(ArchiveRefused) as told:
        await empty.take(tmp_path / "a.tar")
    assert "object datasets/upl_1/dataset" in told.value.title
    assert await empty.documents() == {}


async def test_a_damaged_archive_writes_nothing(season: Installation, empty: Installation, tmp_path: Path) -> None:
    await fill(season)
    await season.export(tmp_path / "a.tar")
    body = bytearray((tmp_path / "a.tar").read_bytes())
    place = body.index(b"\x02" * 1000)
    body[place] = 3
    (tmp_path / "a.tar").write_bytes(bytes(body))
    with pytest.raises(ArchiveRefused, match="datasets/upl_2/dataset is not what SHA256SUMS says"):
        await empty.take(tmp_path / "a.tar")
    await untouched(empty)


async def test_nothing_is_put_under_a_service_that_reads(
    season: Installation, empty: Installation, tmp_path: Path
) -> None:
    await fill(season)
    await season.export(tmp_path / "a.tar")
    await ensure_topics(empty.settings)
    prefix = empty.settings.kafka_topic_prefix
    reader = AIOKafkaConsumer(
        f"{prefix}{TOPIC}",
        bootstrap_servers=list(empty.settings.kafka_bootstrap),
        group_id=f"{prefix}scoring.{TOPIC}",
    )
    await reader.start()
    try:
        with pytest.raises(ArchiveRefused) as told:
            await empty.take(tmp_path / "a.tar")
    finally:
        await reader.stop()
    assert told.value.fields["running"] == ["scoring"]
    await untouched(empty)


async def test_one_import_is_ended_before_another_is_begun(
    season: Installation, empty: Installation, tmp_path: Path
) -> None:
    await fill(season)
    await season.export(tmp_path / "a.tar")
    await season.objects.put("datasets/later", b"later")
    await season.export(tmp_path / "b.tar")
    with pytest.raises(Interrupted):
        await empty.take(tmp_path / "a.tar", interrupt=("documents", 2))
    with pytest.raises(ArchiveRefused) as told:
        await empty.take(tmp_path / "b.tar")
    assert told.value.code == "another_import"
    await empty.take(tmp_path / "a.tar")


async def test_an_export_that_fails_leaves_no_file(season: Installation, tmp_path: Path) -> None:
    away = season.settings.model_copy(update={"kafka_bootstrap": ("127.0.0.1:1",)})
    with pytest.raises(DependencyDown):
        await export(tmp_path / "a.tar", away, Told(lambda *_: None, lambda *_: None))
    assert [name for name in os.listdir(tmp_path) if "a.tar" in name] == []
