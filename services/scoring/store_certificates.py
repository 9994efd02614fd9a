"""Where scoring keeps certificates and their log: on MongoDB, and in memory for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from jiebang.certificate.log import REVOKED, Entry, Head
from services.scoring.certificate import Certificate
from shared.auth import Principal
from shared.contracts.board import Role
from shared.contracts.envelope import Event, Fact
from shared.mongo import Aggregates, Collection, DuplicateId, translated


class Certificates(Protocol):
    """The certificates, at most one per score."""

    async def add(self, certificate: Certificate, facts: Sequence[Fact], *, cause: Event[Any] | None = None) -> bool:
        """Store a certificate with its event, unless there is one of its id; True if it was stored."""
        ...

    async def find(self, id: str) -> Certificate | None:
        """The certificate of this id, for the work itself."""
        ...

    async def named(self, name: str) -> Certificate | None:
        """The certificate of this id, or of this submission."""
        ...

    async def readable(self, name: str, reader: Principal) -> Certificate | None:
        """The same, if `reader` may see it; what they may not see is not there for them."""
        ...

    async def revoke(self, id: str, reason: str, *, at: datetime) -> Certificate:
        """Revoke one that is there, with its event.

        Raises:
            AlreadyRevoked: it is, for another reason.
        """
        ...

    async def mark_logged(self, seen: Certificate) -> None:
        """Remember that the log has what had happened to a certificate when it was seen."""
        ...

    async def unlogged(self) -> Sequence[Certificate]:
        """Some of those of which the log may lack something."""
        ...


class CertificateLog(Protocol):
    """The chained log: entries are only ever added, each once."""

    async def append(
        self, event: str, certificate: str, envelope: str, *, at: datetime, reason: str | None = None
    ) -> None:
        """Add an entry, unless this event of the certificate is there."""
        ...

    async def head(self) -> Head:
        """How long the log is, and its last digest."""
        ...

    async def revoked(self, head: Head) -> Sequence[Entry]:
        """The entries of revocations up to a head."""
        ...

    async def entries(self, *, after: int, limit: int) -> Sequence[Entry]:
        """Some entries, in their order."""
        ...


def may_read(certificate: Certificate, reader: Principal) -> bool:
    """Whether a certificate is the reader's to fetch: those to whom its report is shown."""
    match reader.role:
        case Role.TEAM:
            return certificate.team == reader.owner
        case Role.SPONSOR:
            return certificate.sponsor == reader.owner
        case Role.ORGANISER | Role.OPERATOR:
            return True


class MongoCertificates:
    """Certificates are aggregates: one and its event are one write, and its id can exist once."""

    def __init__(self, certificates: Aggregates[Certificate]) -> None:
        self._certificates = certificates

    async def prepare(self) -> None:
        """Create the indexes."""
        collection = self._certificates.collection
        with translated():
            await collection.create_index([("state.submission", 1), ("state.issued_at", -1)])
            await collection.create_index("state.unlogged", partialFilterExpression={"state.unlogged": True})

    async def add(self, certificate: Certificate, facts: Sequence[Fact], *, cause: Event[Any] | None = None) -> bool:
        """Store a certificate with its event, unless there is one of its id; True if it was stored."""
        return await self._certificates.add_new(certificate.id, certificate, facts, cause=cause)

    async def find(self, id: str) -> Certificate | None:
        """The certificate of this id, for the work itself."""
        return await self._certificates.find(id)

    async def named(self, name: str) -> Certificate | None:
        """The certificate of this id, or of this submission."""
        query = {"$or": [{"_id": name}, {"state.submission": name}]}
        found = await self._certificates.query(query, sort=[("state.issued_at", -1), ("_id", 1)], limit=1)
        return next(iter(found), None)

    async def readable(self, name: str, reader: Principal) -> Certificate | None:
        """The same, if `reader` may see it; what they may not see is not there for them."""
        query: dict[str, Any] = {"$or": [{"_id": name}, {"state.submission": name}]}
        if reader.role is Role.TEAM:
            query["state.team"] = reader.owner
        elif reader.role is Role.SPONSOR:
            query["state.sponsor"] = reader.owner
        found = await self._certificates.query(query, sort=[("state.issued_at", -1), ("_id", 1)], limit=1)
        return next((each for each in found if may_read(each, reader)), None)

    async def revoke(self, id: str, reason: str, *, at: datetime) -> Certificate:
        """Revoke one that is there, with its event."""
        return await self._certificates.update(id, lambda certificate: certificate.revoke(reason, at=at))

    async def mark_logged(self, seen: Certificate) -> None:
        """Remember that the log has what had happened to a certificate when it was seen."""
        await self._certificates.update(seen.id, lambda certificate: certificate.logged(seen))

    async def unlogged(self) -> Sequence[Certificate]:
        """Some of those of which the log may lack something."""
        return await self._certificates.query({"state.unlogged": True})


class MongoCertificateLog:
    """One document per entry, whose id is its place: of two that add at once one finds the place taken."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def prepare(self) -> None:
        """Create the index that lets an event of a certificate be there once."""
        with translated():
            await self._collection.create_index([("certificate", 1), ("event", 1)], unique=True)

    async def append(
        self, event: str, certificate: str, envelope: str, *, at: datetime, reason: str | None = None
    ) -> None:
        """Add an entry, unless this event of the certificate is there."""
        while True:
            with translated():
                if await self._collection.find_one({"certificate": certificate, "event": event}) is not None:
                    return
            entry = (await self.head()).next(at, event, certificate, envelope, reason)
            try:
                with translated():
                    await self._collection.insert_one({"_id": entry.seq, **entry.as_dict()})
            except DuplicateId:
                continue  # somebody else took the place, or wrote this very entry
            return

    async def head(self) -> Head:
        """How long the log is, and its last digest."""
        with translated():
            last = await self._collection.find_one({}, sort=[("_id", -1)])
        return Head() if last is None else Head(last["seq"], Entry.of(last).digest)

    async def revoked(self, head: Head) -> Sequence[Entry]:
        """The entries of revocations up to a head."""
        with translated():
            cursor = self._collection.find({"event": REVOKED, "_id": {"$lte": head.size}}).sort("_id", 1)
            return [Entry.of(document) async for document in cursor]

    async def entries(self, *, after: int, limit: int) -> Sequence[Entry]:
        """Some entries, in their order."""
        with translated():
            cursor = self._collection.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
            return [Entry.of(document) async for document in cursor]


class MemoryCertificates:
    """The same in memory."""

    def __init__(self) -> None:
        self._certificates: dict[str, Certificate] = {}
        self.facts: list[Fact] = []

    async def add(self, certificate: Certificate, facts: Sequence[Fact], *, cause: Event[Any] | None = None) -> bool:
        """Store a certificate with its event, unless there is one of its id; True if it was stored."""
        if certificate.id in self._certificates:
            return False
        self._certificates[certificate.id] = certificate
        self.facts += facts
        return True

    async def find(self, id: str) -> Certificate | None:
        """The certificate of this id, for the work itself."""
        return self._certificates.get(id)

    async def named(self, name: str) -> Certificate | None:
        """The certificate of this id, or of this submission."""
        own = [each for each in self._certificates.values() if name in (each.id, each.submission)]
        return max(own, key=lambda certificate: certificate.issued_at, default=None)

    async def readable(self, name: str, reader: Principal) -> Certificate | None:
        """The same, if `reader` may see it; what they may not see is not there for them."""
        found = await self.named(name)
        return found if found is not None and may_read(found, reader) else None

    async def revoke(self, id: str, reason: str, *, at: datetime) -> Certificate:
        """Revoke one that is there, with its event."""
        self._certificates[id], facts = self._certificates[id].revoke(reason, at=at)
        self.facts += facts
        return self._certificates[id]

    async def mark_logged(self, seen: Certificate) -> None:
        """Remember that the log has what had happened to a certificate when it was seen."""
        self._certificates[seen.id], _ = self._certificates[seen.id].logged(seen)

    async def unlogged(self) -> Sequence[Certificate]:
        """Some of those of which the log may lack something."""
        return [each for each in self._certificates.values() if each.unlogged]


class MemoryCertificateLog:
    """The same in memory."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    async def append(
        self, event: str, certificate: str, envelope: str, *, at: datetime, reason: str | None = None
    ) -> None:
        """Add an entry, unless this event of the certificate is there."""
        if not any((entry.certificate, entry.event) == (certificate, event) for entry in self._entries):
            self._entries.append(Head.of(self._entries).next(at, event, certificate, envelope, reason))

    async def head(self) -> Head:
        """How long the log is, and its last digest."""
        return Head.of(self._entries)

    async def revoked(self, head: Head) -> Sequence[Entry]:
        """The entries of revocations up to a head."""
        return [entry for entry in self._entries[: head.size] if entry.event == REVOKED]

    async def entries(self, *, after: int, limit: int) -> Sequence[Entry]:
        """Some entries, in their order."""
        return self._entries[after : after + limit]
