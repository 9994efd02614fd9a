"""Taking an archive of a platform that goes on working.

The order makes it one moment. How far the services have read is asked first, so that the documents hold the effect of
all that counts as read. The documents are a snapshot. Of what is in the topics, an event is taken if its aggregate had
saved it in that snapshot: whatever was saved and not yet published is in its document's outbox. Objects come last:
they are never changed, and a document is written after the objects that it names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import jiebang
from shared.archive.container import BLOCK_BYTES, FORMAT, HEAD, Progress, Writer
from shared.archive.store import SERVICES, Snapshot, encoded
from shared.archive.streams import OWNERS, Bounds, Offsets, Streams
from shared.codec import Record
from shared.contracts.envelope import rfc3339
from shared.mongo import Client, client, database_now
from shared.objects import ObjectMissing, Objects
from shared.settings import Settings

_READ_WHOLE = 16 << 20


@dataclass(frozen=True, slots=True)
class Told:
    """Whom to tell how the work goes: the stage and how much there is to do, then how much was done."""

    stage: Any
    done: Progress


@dataclass(slots=True)
class Taken:
    """What came into an archive."""

    archive: str = ""
    taken_at: datetime | None = None
    documents: dict[str, int] = field(default_factory=dict)
    records: dict[str, dict[str, int]] = field(default_factory=dict)
    objects: int = 0
    object_bytes: int = 0
    left_out: int = 0
    """Events that were published after the archive's moment."""
    gone: int = 0
    """Objects that the platform removed while the archive was taken: pieces of uploads that are whole now."""

    def summary(self) -> dict[str, Any]:
        """The numbers, for people and programs."""
        return {
            "archive": self.archive,
            "taken_at": rfc3339(self.taken_at) if self.taken_at else None,
            "documents": sum(self.documents.values()),
            "records": sum(sum(each.values()) for each in self.records.values()),
            "objects": self.objects,
            "object_bytes": self.object_bytes,
        }


async def export(file: Path | IO[bytes], settings: Settings, told: Told) -> Taken:
    """Write an archive of the platform that the settings lead to.

    Raises:
        DependencyDown: a server is away; there is no archive then.
        ArchiveRefused: the database does not remember the moment for long enough.
    """
    connection = client(settings)
    objects = Objects(settings.objects_url)
    streams = Streams(settings)
    writer = Writer(file)
    try:
        writer.add(HEAD, json.dumps({**FORMAT, "made_by": jiebang.__version__}).encode())
        async with streams.connected():
            taken = await _take(writer, connection, objects, streams, settings, told)
        return taken
    except BaseException:
        writer.abandon()
        raise
    finally:
        connection.close()


async def _take(
    writer: Writer, connection: Client, objects: Objects, streams: Streams, settings: Settings, told: Told
) -> Taken:
    taken = Taken()
    positions, before = await streams.positions(), await streams.bounds()
    async with Snapshot.of(connection, settings) as snapshot:
        taken.taken_at = await database_now(connection)
        # Whatever was published before the snapshot lies before these ends.
        after = await streams.bounds()
        tail = {
            topic: {
                number: await _of(streams, topic, number, Bounds(before[topic][number].end, bounds.end))
                for number, bounds in partitions.items()
                if number in before.get(topic, {}) and bounds.end > before[topic][number].end
            }
            for topic, partitions in after.items()
        }
        sequences = await _sequences(snapshot, tail)
        await _documents(writer, snapshot, taken, told)
    await _records(writer, streams, before, tail, sequences, taken, told)
    await _objects(writer, objects, taken, told)
    taken.archive = writer.finish(
        {
            "made_by": jiebang.__version__,
            "taken_at": rfc3339(taken.taken_at),
            "documents": taken.documents,
            "records": taken.records,
            "positions": _written(positions),
            "objects": {"count": taken.objects, "bytes": taken.object_bytes},
            "left_out": taken.left_out,
            "gone": taken.gone,
        }
    )
    return taken


def _written(positions: Offsets) -> dict[str, dict[str, int]]:
    return {name: {str(number): offset for number, offset in each.items()} for name, each in positions.items()}


async def _of(streams: Streams, topic: str, partition: int, bounds: Bounds) -> list[Record]:
    return [record async for records in streams.read(topic, partition, bounds) for record in records]


# --- documents


async def _documents(writer: Writer, snapshot: Snapshot, taken: Taken, told: Told) -> None:
    names = [(service, name) for service in SERVICES for name in await snapshot.collections(service)]
    told.stage("documents", sum([await snapshot.count(*each) for each in names]))
    for service, collection in names:
        name = f"documents/{service}/{collection}"
        count = await _blocks(writer, name, snapshot.documents(service, collection), told)
        taken.documents[f"{service}.{collection}"] = count


async def _blocks(writer: Writer, name: str, items: AsyncIterator[bytes], told: Told) -> int:
    """Write items in blocks; how many they were."""
    block, size, number, count = [], 0, 0, 0
    async for item in items:
        block.append(item)
        size += len(item)
        if size >= BLOCK_BYTES:
            number += 1
            writer.add_block(f"{name}/{number:06}", b"".join(block))
            told.done(len(block))
            count += len(block)
            block, size = [], 0
    if block:
        writer.add_block(f"{name}/{number + 1:06}", b"".join(block))
        told.done(len(block))
    return count + len(block)


# --- records


async def _sequences(snapshot: Snapshot, tail: dict[str, dict[int, list[Record]]]) -> dict[tuple[str, str], int]:
    """For every subject in the tail, the number of the last of its events that the snapshot knows of."""
    subjects: dict[str, set[str]] = {}
    for topic, partitions in tail.items():
        if (owner := OWNERS.get(topic)) is not None:
            found = {place[0] for records in partitions.values() for each in records if (place := _place(each))}
            subjects.setdefault(owner, set()).update(found)
    return {
        (owner, subject): last
        for owner, its in subjects.items()
        if its
        for subject, last in (await snapshot.sequences(owner, its)).items()
    }


def _place(record: Record) -> tuple[str, int] | None:
    """Subject and number of an event; None for a record that is none."""
    try:
        event = json.loads(record.value or b"")
        return str(event["subject"]), int(event["sequence"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


async def _records(
    writer: Writer,
    streams: Streams,
    before: dict[str, dict[int, Bounds]],
    tail: dict[str, dict[int, list[Record]]],
    sequences: dict[tuple[str, str], int],
    taken: Taken,
    told: Told,
) -> None:
    told.stage("events", sum(each.end - each.start for its in before.values() for each in its.values()))
    for topic, partitions in before.items():
        for number, bounds in sorted(partitions.items()):
            late = tail.get(topic, {}).get(number, [])
            kept = [record for record in late if _known(topic, record, sequences)]
            taken.left_out += len(late) - len(kept)

            async def every(topic: str = topic, number: int = number, bounds: Bounds = bounds,
                            kept: Sequence[Record] = kept) -> AsyncIterator[bytes]:  # fmt: skip
                async for records in streams.read(topic, number, bounds):
                    for record in records:
                        yield _encoded(record)
                for record in kept:
                    yield _encoded(record)

            count = await _blocks(writer, f"records/{topic}/{number}", every(), told)
            taken.records.setdefault(topic, {})[str(number)] = count


def _known(topic: str, record: Record, sequences: dict[tuple[str, str], int]) -> bool:
    owner = OWNERS.get(topic)
    if owner is None:
        return False  # a dead letter since: what it was made of is read again
    place = _place(record)
    return place is None or place[1] <= sequences.get((owner, place[0]), 0)


def _encoded(record: Record) -> bytes:
    return encoded(
        {
            "offset": record.offset,
            "at": record.timestamp,
            "key": record.key,
            "value": record.value,
            "headers": [[name, bytes(value)] for name, value in record.headers],
        }
    )


# --- objects


async def _objects(writer: Writer, objects: Objects, taken: Taken, told: Told) -> None:
    found = sorted([info async for info in objects.list("")], key=lambda info: info.name)
    told.stage("objects", sum(info.bytes for info in found))
    for info in found:
        try:
            size = await _object(writer, objects, info.name, info.bytes)
        except ObjectMissing:
            taken.gone += 1
            continue
        finally:
            told.done(info.bytes)
        taken.objects += 1
        taken.object_bytes += size


async def _object(writer: Writer, objects: Objects, name: str, size: int) -> int:
    member = f"objects/{name}"
    if size <= _READ_WHOLE:
        data = await objects.get(name)  # one written anew since it was listed may have another size
        writer.add(member, data)
        return len(data)
    stream = objects.stream(name)
    piece = await anext(stream)
    with writer.member(member, size) as write:
        write(piece)
        async for piece in stream:
            write(piece)
    return size
