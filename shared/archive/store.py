"""Documents of all services: read as they were at one moment, compared with those that are there, and written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from bson import CodecOptions, decode_iter
from bson import encode as encode_document
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import OperationFailure

from shared.archive.container import ArchiveRefused, damaged
from shared.contracts.registry import topics
from shared.failures import DependencyDown
from shared.mongo import Client, DuplicateId, database, translated
from shared.settings import Settings

SERVICES = tuple(dict.fromkeys(row.owner for row in topics()))
"""Every service has a database of its own."""

_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
_SNAPSHOT_TOO_OLD = 239
_AT_ONCE = 500


class Snapshot:
    """The databases as they were when it was opened, whatever is written meanwhile."""

    def __init__(self, connection: Client, session: AsyncIOMotorClientSession, settings: Settings) -> None:
        self._connection = connection
        self._session = session
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def of(cls, connection: Client, settings: Settings) -> AsyncIterator[Snapshot]:
        """Open a snapshot.

        Raises:
            ArchiveRefused: it lasted longer than the database keeps what it was.
        """
        try:
            with translated():
                async with await connection.start_session(snapshot=True) as session:
                    snapshot = cls(connection, session, settings)
                    await snapshot._settle()
                    yield snapshot
        except DependencyDown as error:
            if _caused_by(error, _SNAPSHOT_TOO_OLD):
                raise ArchiveRefused(
                    "snapshot_too_old",
                    "The database no longer knows what it was when the export began.",
                    "Let it remember for longer: db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: "
                    "3600}).",
                ) from error
            raise

    async def _settle(self) -> None:
        """Settle the moment, which the first reading does: of a collection that is there, for none other has one."""
        for service in SERVICES:
            for name in await self.collections(service):
                found = database(self._connection, self._settings, service)[name]
                await found.find_one({}, {"_id": 1}, session=self._session)
                return

    async def collections(self, service: str) -> list[str]:
        """The collections of a service's database."""
        names = await database(self._connection, self._settings, service).list_collection_names()
        return sorted(name for name in names if not name.startswith("system."))

    async def documents(self, service: str, collection: str) -> AsyncIterator[bytes]:
        """Every document of a collection, encoded."""
        found = database(self._connection, self._settings, service).get_collection(collection, codec_options=_RAW)
        async for document in found.find({}, session=self._session):
            yield document.raw

    async def count(self, service: str, collection: str) -> int:
        """About how many documents a collection has now."""
        found = database(self._connection, self._settings, service)[collection]
        return int(await found.estimated_document_count())

    async def sequences(self, service: str, subjects: Collection[str]) -> dict[str, int]:
        """For some of the subjects that a service tells of, the number of the last event that was saved of each."""
        last: dict[str, int] = {}
        for name in await self.collections(service):
            collection = database(self._connection, self._settings, service)[name]
            query = {"subject": {"$in": sorted(subjects)}, "sequence": {"$type": "number"}}
            async for document in collection.find(query, {"subject": 1, "sequence": 1}, session=self._session):
                last[document["subject"]] = max(int(document["sequence"]), last.get(document["subject"], 0))
        return last


def _caused_by(error: BaseException | None, code: int) -> bool:
    while error is not None:
        if isinstance(error, OperationFailure) and error.code == code:
            return True
        error = error.__cause__
    return False


def encoded(fields: dict[str, Any]) -> bytes:
    """A document made here, encoded."""
    return encode_document(fields)


def decoded(block: bytes, name: str) -> list[dict[str, Any]]:
    """The documents of a block.

    Raises:
        ArchiveRefused: these are none.
    """
    try:
        return list(decode_iter(block))
    except (BSONError, ValueError) as error:
        raise damaged(f"{name} holds no documents: {error}") from None


class Documents:
    """The documents that are there, where an archive is to be imported."""

    def __init__(self, connection: Client, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._imports = connection[f"{settings.mongo_database_prefix}_archive"]["imports"]

    async def missing(self, service: str, collection: str, block: bytes) -> tuple[list[bytes], list[str]]:
        """Of the documents in a block, those that are not there, and the ids of those that are there and different."""
        wanted = {_id(document): document for document in decode_iter(block, _RAW)}
        found = database(self._connection, self._settings, service).get_collection(collection, codec_options=_RAW)
        different = []
        ids = [document["_id"] for document in wanted.values()]
        with translated():
            for start in range(0, len(ids), _AT_ONCE):
                async for document in found.find({"_id": {"$in": ids[start : start + _AT_ONCE]}}):
                    if wanted.pop(_id(document)).raw != document.raw:
                        different.append(f"{service}.{collection} {document['_id']}")
        return [document.raw for document in wanted.values()], different

    async def write(self, service: str, collection: str, documents: Sequence[bytes]) -> None:
        """Write documents that are not there.

        Raises:
            ArchiveRefused: another document holds what only one may hold.
        """
        found = database(self._connection, self._settings, service)[collection]
        for start in range(0, len(documents), _AT_ONCE):
            try:
                with translated():
                    await found.insert_many([RawBSONDocument(raw) for raw in documents[start : start + _AT_ONCE]])
            except DuplicateId as error:
                raise ArchiveRefused(
                    "conflict", f"{service}.{collection} has another document with the same key: {error}.", _ELSEWHERE
                ) from error

    # --- what is noted of imports

    async def noted(self, archive: str) -> dict[str, Any] | None:
        """What is noted of the import of an archive.

        Raises:
            ArchiveRefused: another import was begun here and has not ended.
        """
        with translated():
            other = await self._imports.find_one({"_id": {"$ne": archive}, "done_at": None})
            mine = await self._imports.find_one({"_id": archive})
        if other is not None and mine is None:
            raise ArchiveRefused(
                "another_import",
                f"The import of another archive was begun on {other['begun_at']:%Y-%m-%d %H:%M} UTC and has not ended.",
                "Import that one first, again, to its end.",
                archive=other["_id"],
            )
        return mine

    async def begin(self, archive: str, bases: dict[str, Any], at: datetime) -> None:
        """Note that an import begins, and what is in the topics before it."""
        with translated():
            await self._imports.update_one(
                {"_id": archive}, {"$setOnInsert": {"begun_at": at, "done_at": None, "bases": bases}}, upsert=True
            )

    async def end(self, archive: str, at: datetime) -> None:
        """Note that an import is done."""
        with translated():
            await self._imports.update_one({"_id": archive, "done_at": None}, {"$set": {"done_at": at}})


_ELSEWHERE = "Import into an installation that has none of it, or another prefix."


def conflict(different: Iterable[str], more: int) -> ArchiveRefused:
    """The refusal of an archive that says something else than what is there."""
    shown = list(different)
    rest = f" and {more - len(shown)} more" if more > len(shown) else ""
    return ArchiveRefused(
        "conflict",
        f"What is here is not what the archive has: {', '.join(shown)}{rest}. Nothing was written.",
        _ELSEWHERE,
        conflicts=more,
    )


def _id(document: RawBSONDocument) -> bytes:
    return encode_document({"_id": document["_id"]})
