"""The object store: uploaded bytes and reports, in a local directory or in S3, by one interface.

A name is only ever made by us (`uploads/<upload>/…`), never from what somebody sent. An object is either whole or
not there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.failures import DependencyDown, PermanentError
from shared.settings import SettingsError

READ_BYTES = 8 * 1024 * 1024


class ObjectMissing(PermanentError):
    """There is no object of this name."""


class StorageFull(DependencyDown):
    """No room is left for an object; nothing of it was kept. HTTP: 507."""

    def __init__(self) -> None:
        super().__init__("object store", "it is full")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object without reading it."""

    name: str
    bytes: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Composed:
    """An object that was put together, and the digest of its bytes."""

    bytes: int
    sha256: str


class Objects:
    """Stores and finds objects by name."""

    def __init__(self, url: str) -> None:
        """Open the store at `file:///folder` (made if it is not there) or `s3://bucket/prefix`.

        Raises:
            SettingsError: there can be no store at this address, or with these keys.
        """
        try:
            if urlsplit(url).scheme == "file":
                Path(urlsplit(url).path).mkdir(parents=True, exist_ok=True)
            self._store: ObjectStore = from_url(url)
        except (BaseError, ValueError, OSError) as error:
            words = str(error).splitlines()[0].removeprefix("Generic ")
            raise SettingsError(
                f"JIEBANG_OBJECTS_URL: file:///a/folder or s3://a-bucket/a-prefix is needed: {words}"
            ) from None

    async def put(self, name: str, data: bytes | AsyncIterator[bytes]) -> None:
        """Store an object, replacing one of that name; all of it or nothing.

        Raises:
            StorageFull: there is no room.
            DependencyDown: the store is away.
        """
        with _translated(name):
            await self._store.put_async(name, data)

    async def get(self, name: str) -> bytes:
        """The bytes of a small object.

        Raises:
            ObjectMissing: there is none.
        """
        with _translated(name):
            result = await self._store.get_async(name)
            return bytes(await result.bytes_async())

    async def stream(self, name: str) -> AsyncIterator[bytes]:
        """The bytes of an object, a piece at a time."""
        with _translated(name):
            result = await self._store.get_async(name)
            async for piece in result.stream(min_chunk_size=1024 * 1024):
                yield bytes(piece)

    async def info(self, name: str) -> ObjectInfo | None:
        """Size and age of an object, or None if there is none."""
        try:
            with _translated(name):
                meta = await self._store.head_async(name)
        except ObjectMissing:
            return None
        return ObjectInfo(name, meta["size"], meta["last_modified"])

    async def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""
        for name in names:
            try:
                with _translated(name):
                    await self._store.delete_async(name)
            except ObjectMissing:
                continue

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """The objects whose names begin with a folder's name."""
        with _translated(prefix):
            async for batch in self._store.list_async(prefix=prefix):
                for meta in batch:
                    yield ObjectInfo(meta["path"], meta["size"], meta["last_modified"])

    async def compose(self, parts: Sequence[str], name: str) -> Composed:
        """Put one object together from others of some MiB each, reading each once; hashed off the event loop.

        While one part is hashed and written the next one is read, so that a few parts are in memory at once.

        Raises:
            ObjectMissing: a part is not there; nothing was stored.
        """
        digest = hashlib.sha256()
        size = 0

        async def pieces() -> AsyncIterator[memoryview]:
            nonlocal size
            following = asyncio.ensure_future(self._view(parts[0])) if parts else None
            try:
                for number in range(1, len(parts) + 1):
                    assert following is not None
                    view = await following
                    following = asyncio.ensure_future(self._view(parts[number])) if number < len(parts) else None
                    await asyncio.to_thread(digest.update, view)
                    size += len(view)
                    yield view
            finally:
                if following is not None:
                    following.cancel()

        with _translated(name):
            await self._store.put_async(name, pieces(), chunk_size=READ_BYTES, max_concurrency=2)
        return Composed(size, digest.hexdigest())

    async def _view(self, name: str) -> memoryview:
        with _translated(name):
            return memoryview(await (await self._store.get_async(name)).bytes_async())

    async def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a file, off the event loop."""
        await asyncio.to_thread(self._fetch, name, target)

    def _fetch(self, name: str, target: Path) -> None:
        with _translated(name):
            found = self._store.get(name)
            with target.open("wb") as file:
                for piece in found.stream(min_chunk_size=READ_BYTES):
                    file.write(memoryview(piece))

    async def check(self) -> None:
        """Ask the store for a sign of life.

        Raises:
            DependencyDown: it gave none.
        """
        if isinstance(self._store, LocalStore):
            return
        with _translated(""):
            async for _ in self._store.list_async(prefix="none"):
                return


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing(name) from error
    except (BaseError, OSError) as error:
        if "No space left" in str(error) or "os error 28" in str(error) or "quota exceeded" in str(error).lower():
            raise StorageFull from error
        raise DependencyDown("object store", str(error)[:300]) from error
