"""Putting an archive back, where none of it is or not all of it, while no service runs.

Everything is looked at before anything is written: every byte of the archive, and whether what is here says something
else. Then come the objects, the documents that name them, the records, and how far they had been read. An import that
was interrupted goes on where it stopped; one that was done is never done again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.archive.container import ArchiveRefused, Entry, Reader, damaged
from shared.archive.exporting import Told
from shared.archive.store import SERVICES, Documents, conflict, decoded
from shared.archive.streams import READERS, TOPICS, Streams
from shared.contracts.envelope import rfc3339
from shared.kafka import ensure_topics
from shared.mongo import client, database_now
from shared.objects import Objects
from shared.settings import Settings

_SHOWN = 5


@dataclass(slots=True)
class Imported:
    """What an import has written."""

    archive: str
    taken_at: str
    changed: bool = True
    done_at: str | None = None
    documents: int = 0
    records: int = 0
    objects: int = 0

    def summary(self) -> dict[str, Any]:
        """The numbers, for people and programs."""
        return {
            "archive": self.archive,
            "taken_at": self.taken_at,
            "changed": self.changed,
            "done_at": self.done_at,
            "documents": self.documents,
            "records": self.records,
            "objects": self.objects,
        }


@dataclass(slots=True)
class _Census:
    """What an archive turns out to hold, counted while it is verified."""

    documents: Counter[str] = field(default_factory=Counter)
    records: Counter[tuple[str, int]] = field(default_factory=Counter)
    objects: int = 0

    def look(self, entry: Entry) -> None:
        if entry.service is not None:
            if entry.service not in SERVICES:
                raise _foreign(f"documents of {entry.service}")
            self.documents[f"{entry.service}.{entry.collection}"] += len(decoded(entry.block(), entry.name))
        elif entry.topic is not None:
            partition = entry.partition or 0
            if partition >= TOPICS.get(entry.topic, 0):
                raise _foreign(f"partition {partition} of {entry.topic}")
            records = decoded(entry.block(), entry.name)
            if any(record.keys() != {"offset", "at", "key", "value", "headers"} for record in records):
                raise damaged(f"{entry.name} holds no records")
            self.records[entry.topic, partition] += len(records)
        else:
            self.objects += 1

    def compare(self, manifest: dict[str, Any]) -> None:
        said = (
            {name: count for name, count in manifest["documents"].items() if count},
            {(topic, int(number)): count for topic, its in manifest["records"].items() for number, count in its.items()
             if count},
            manifest["objects"]["count"],
        )  # fmt: skip
        if said != (dict(self.documents), dict(self.records), self.objects):
            raise damaged("it does not hold what its manifest says")


def _foreign(what: str) -> ArchiveRefused:
    return ArchiveRefused(
        "archive_foreign",
        f"The archive holds {what}, which this release does not know.",
        "Import it with the release that it was made with, or a later one.",
    )


def verified(file: Path, told: Told) -> Reader:
    """An archive of which every byte is what it was.

    Raises:
        ArchiveRefused: it is not.
    """
    reader, census = Reader(file), _Census()
    told.stage("verifying", reader.bytes)
    reader.verify(told.done, census.look)
    try:
        census.compare(reader.manifest)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise damaged("its manifest lacks something") from None
    return reader


async def import_archive(file: Path, settings: Settings, told: Told) -> Imported:
    """Put an archive into the platform that the settings lead to.

    Raises:
        ArchiveRefused: it is damaged, something else is here, or the platform runs; nothing was written.
        DependencyDown: a server is away; the same import again goes on.
    """
    archive = verified(file, told)
    imported = Imported(archive.id, archive.manifest["taken_at"])
    connection = client(settings)
    documents, objects, streams = Documents(connection, settings), Objects(settings.objects_url), Streams(settings)
    try:
        noted = await documents.noted(archive.id)
        if noted is not None and noted["done_at"] is not None:
            imported.changed, imported.done_at = False, rfc3339(noted["done_at"])
            return imported
        await streams.refuse_while_running()
        await _compare(archive, documents, objects, told)
        await ensure_topics(settings)
        async with streams.connected():
            bounds = await streams.all_bounds()
            if noted is None:
                await streams.refuse_what_is_unread(bounds)
                bases = {topic: {str(at): each.end for at, each in its.items()} for topic, its in bounds.items()}
                # A dot in a name would be a path in the database.
                noted = {"bases": [{"topic": topic, "ends": ends} for topic, ends in bases.items()]}
                await documents.begin(archive.id, noted["bases"], await database_now(connection))
            base = {(row["topic"], int(at)): end for row in noted["bases"] for at, end in row["ends"].items()}
            there = {(topic, at): each.end for topic, its in bounds.items() for at, each in its.items()}
            await _write(archive, documents, objects, imported, told)
            await _publish(archive, streams, base, there, imported, told)
        await documents.end(archive.id, await database_now(connection))
        return imported
    finally:
        connection.close()


async def _compare(archive: Reader, documents: Documents, objects: Objects, told: Told) -> None:
    """Refuse the archive if anything is here that it has otherwise."""
    told.stage("comparing", archive.bytes)
    sizes = {info.name: info.bytes async for info in objects.list("")}
    shown: list[str] = []
    count = 0
    for entry in archive.entries(told.done):
        different: list[str] = []
        if entry.service is not None and entry.collection is not None:
            _, different = await documents.missing(entry.service, entry.collection, entry.block())
        elif entry.object is not None and entry.object in sizes:
            same = sizes[entry.object] == entry.size and await _same(entry, objects)
            different = [] if same else [f"object {entry.object}"]
        count += len(different)
        shown += different[: _SHOWN - len(shown)]
    if count:
        raise conflict(shown, count)


async def _same(entry: Entry, objects: Objects) -> bool:
    mine, its = hashlib.sha256(), hashlib.sha256()
    for piece in entry.pieces():
        mine.update(piece)
    assert entry.object is not None
    async for piece in objects.stream(entry.object):
        its.update(piece)
    return mine.digest() == its.digest()


async def _write(archive: Reader, documents: Documents, objects: Objects, imported: Imported, told: Told) -> None:
    there = {info.name async for info in objects.list("")}
    told.stage("objects", archive.bytes)
    for entry in archive.entries(told.done):
        if entry.object is not None and entry.object not in there:
            await _put(entry, objects)
            imported.objects += 1
    told.stage("documents", archive.bytes)
    for entry in archive.entries(told.done):
        if entry.service is not None and entry.collection is not None:
            missing, different = await documents.missing(entry.service, entry.collection, entry.block())
            if different:
                raise conflict(different[:_SHOWN], len(different))
            await documents.write(entry.service, entry.collection, missing)
            imported.documents += len(missing)


async def _put(entry: Entry, objects: Objects) -> None:
    assert entry.object is not None

    async def pieces() -> Any:
        for piece in entry.pieces():
            yield piece

    await objects.put(entry.object, pieces())


async def _publish(
    archive: Reader,
    streams: Streams,
    base: dict[tuple[str, int], int],
    there: dict[tuple[str, int], int],
    imported: Imported,
    told: Told,
) -> None:
    """Put the records behind what was there before, and each service where it was in them."""
    told.stage("events", archive.bytes)
    positions = {
        (reader, topic, int(at)): offset
        for reader, topic in READERS
        for at, offset in archive.manifest["positions"].get(f"{reader} {topic}", {}).items()
    }
    read: Counter[tuple[str, str, int]] = Counter()
    passed: Counter[tuple[str, int]] = Counter()
    async with streams.producer() as producer:
        for topic, partition, records in _records(archive, told):
            place = (topic, partition)
            for reader, its in READERS:
                until = positions.get((reader, topic, partition), 0) if its == topic else 0
                read[reader, topic, partition] += sum(record["offset"] < until for record in records)
            # An interrupted import has put some of them there already, and nobody else has put anything.
            skipped = min(len(records), max(0, there[place] - base[place] - passed[place]))
            await streams.put(producer, topic, partition, records[skipped:])
            passed[place] += len(records)
            imported.records += len(records) - skipped
    for reader, topic in READERS:
        offsets = {
            at: base[topic, at] + read[reader, topic, at]
            for at in range(TOPICS[topic])
            if (reader, topic, at) in positions
        }
        await streams.place(reader, topic, offsets)


def _records(archive: Reader, told: Told) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    for entry in archive.entries(told.done):
        if entry.topic is not None and entry.partition is not None:
            yield entry.topic, entry.partition, decoded(entry.block(), entry.name)
