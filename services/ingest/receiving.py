"""Taking in the bytes of an upload: a stream is cut into objects, and an object counts when the offset moves over it.

Two racing replicas cannot corrupt an upload, since both may store but only one moves the offset. While one piece is
being stored the next one is received, so at most three pieces are in memory at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

from services.ingest.intake import Intake
from services.ingest.upload import BeyondLength, Part, Upload

PIECE = 8 << 20
"""How many bytes one object of an upload holds."""


class BodyBroken(Exception):
    """The client went away in the middle of a body."""


class BodyStalled(Exception):
    """No byte came for too long."""


class ChecksumMismatch(Exception):
    """The body is not the one its checksum was made of; none of it counts."""


def piece_key(upload: str, part: Part) -> str:
    """Where a piece of an upload lies."""
    return f"{pieces_of(upload)}{part.name}"


def pieces_of(upload: str) -> str:
    """The prefix under which every piece of an upload lies, those that never counted included."""
    return f"uploads/{upload}/"


async def receive_bytes(
    upload: Upload,
    offset: int,
    body: AsyncIterator[bytes],
    *,
    checksum: bytes | None,
    intake: Intake,
) -> Upload:
    """Store a body at an offset and move the offset over it, piece by piece; with a checksum, all or nothing.

    What came before a break counts, so that the client can go on from there.

    Raises:
        OffsetConflict, UploadClosed, BeyondLength: the bytes do not belong there.
        ChecksumMismatch: the body is not what the client meant to send.
        BodyBroken, BodyStalled: the body ended early; what came of it is kept, unless it had a checksum.
    """
    upload.expect(offset)
    stream = _Stream(upload, checksum, intake)
    try:
        async for data in _paced(body, intake.settings.body_timeout):
            await stream.feed(data)
    except (BodyBroken, BodyStalled):
        await stream.keep()
        raise
    except BaseException:
        await stream.abandon()
        raise
    return await stream.finish()


async def _paced(body: AsyncIterator[bytes], timeout: timedelta) -> AsyncIterator[bytes]:
    seconds = timeout.total_seconds()
    pieces = aiter(body)
    while True:
        try:
            async with asyncio.timeout(seconds):
                data = await anext(pieces, None)
        except TimeoutError as error:
            raise BodyStalled from error
        if data is None:
            return
        if data:
            yield data


class _Stream:
    """One body on its way into the object store."""

    def __init__(self, upload: Upload, checksum: bytes | None, intake: Intake) -> None:
        self._upload = upload
        self._checksum = checksum
        self._hash = hashlib.sha256() if checksum is not None else None
        self._uploads = intake.uploads
        self._objects = intake.objects
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._position = upload.offset
        self._storing: asyncio.Task[None] | None = None
        self._staged: tuple[Part, ...] = ()

    async def feed(self, data: bytes) -> None:
        """Take some bytes in."""
        if self._position + self._buffered + len(data) > self._upload.length:
            raise BeyondLength(self._upload.id)
        while self._buffered + len(data) >= PIECE:
            room = PIECE - self._buffered
            self._buffer.append(data[:room])
            self._buffered = PIECE
            data = data[room:]
            await self._store_buffer()
        if data:
            self._buffer.append(data)
            self._buffered += len(data)

    async def finish(self) -> Upload:
        """Store the rest, and make everything count."""
        if self._buffered:
            await self._store_buffer()
        await self._settle()
        if self._hash is not None and self._checksum is not None:
            if not hmac.compare_digest(self._hash.digest(), self._checksum):
                await self._delete(self._staged)
                raise ChecksumMismatch
            if self._staged:
                self._upload = await self._uploads.append(self._upload, self._staged)
        return self._upload

    async def keep(self) -> None:
        """The body broke off: what has come counts, unless a checksum was to vouch for it."""
        if self._checksum is not None:
            await self.abandon()
        else:
            await self.finish()

    async def abandon(self) -> None:
        """The body is no good: what is stored of it and does not count goes away."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.wait([self._storing])
        await self._delete(self._staged)

    async def _store_buffer(self) -> None:
        pieces, self._buffer, self._buffered = self._buffer, [], 0
        await self._settle()
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        part = Part(f"{self._position:016d}-{secrets.token_hex(4)}", len(data))
        self._position += len(data)
        self._storing = asyncio.create_task(self._store(part, data))

    async def _store(self, part: Part, data: bytes) -> None:
        """Store a piece; without a checksum it counts as soon as it is there."""
        if self._hash is not None:
            await asyncio.to_thread(self._hash.update, data)
        await self._objects.put(piece_key(self._upload.id, part), data)
        if self._hash is None:
            self._upload = await self._uploads.append(self._upload, (part,))
        else:
            self._staged = (*self._staged, part)

    async def _settle(self) -> None:
        """Wait for the piece that is being stored, so that pieces count in their order."""
        if self._storing is not None:
            storing, self._storing = self._storing, None
            await storing

    async def _delete(self, parts: tuple[Part, ...]) -> None:
        await self._objects.delete([piece_key(self._upload.id, part) for part in parts])
