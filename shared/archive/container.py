"""The file itself: an uncompressed tar that is written and read as a stream, with the digest of each member.

    format.json                              what this is
    documents/<service>/<collection>/<n>     documents, in blocks (BSON, gzip)
    records/<topic>/<partition>/<n>          records of Kafka, in blocks
    objects/<name>                           objects, as they are
    SHA256SUMS                               of all of the above, as `sha256sum -c` takes them
    manifest.json                            counts, positions, and the digest of SHA256SUMS

The names of topics and databases are without the prefixes of the platform that it was taken from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, cast

from jiebang.errors import JiebangError

FORMAT = {"format": "jiebang-archive", "version": 1}
SUMS, MANIFEST, HEAD = "SHA256SUMS", "manifest.json", "format.json"

BLOCK_BYTES = 4 << 20
"""What a block of documents or records holds before it is compressed, and one document more."""
_LARGEST_BLOCK = BLOCK_BYTES + (20 << 20)
_LARGEST_NOTE = 256 << 20
_READ = 1 << 20
_TAR_BLOCK = 512
_UNREADABLE = (tarfile.TarError, EOFError, UnicodeError)
_NAME = re.compile(
    r"documents/(?P<service>[a-z]+)/(?P<collection>[A-Za-z0-9_.-]+)/[0-9]{6,}"
    r"|records/(?P<topic>[a-z_.]+)/(?P<partition>[0-9]+)/[0-9]{6,}"
    r"|objects/(?P<object>.+)"
)

Progress = Callable[[int], None]
"""Told how many bytes were read or written since the last time."""


class ArchiveRefused(JiebangError):
    """An archive is not what it says, or cannot be imported here; nothing was written."""


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, or all that are left."""
        ...


class Writer:
    """Writes an archive, which gets its name when it is whole, so that there is no half one."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        """Write to a file that is not there yet, or to whoever reads what is written."""
        self._sums: list[str] = []
        self._target = file if isinstance(file, Path) else None
        if self._target is None:
            self._file = cast(IO[bytes], file)
            return
        self._draft = self._target.with_name(f".{self._target.name}.{os.getpid()}.part")
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def add(self, name: str, data: bytes) -> None:
        """Write a member."""
        with self.member(name, len(data)) as write:
            write(data)

    def add_block(self, name: str, data: bytes) -> None:
        """Write a member, compressed."""
        self.add(name, _compressed(data))

    def member(self, name: str, size: int) -> _Member:
        """A member of known size to be written in pieces: `with writer.member(name, size) as write: write(piece)`."""
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o600
        self._file.write(header.tobuf(tarfile.PAX_FORMAT))
        return _Member(self._file, name, size, self._sums)

    def finish(self, manifest: dict[str, Any]) -> str:
        """Write digests and manifest, and let the archive appear; the digest of the manifest, by which it is known."""
        sums = "".join(self._sums).encode()
        self.add(SUMS, sums)
        written = json.dumps({**FORMAT, **manifest, "sums": hashlib.sha256(sums).hexdigest()}, indent=1).encode()
        self.add(MANIFEST, written)
        self._file.write(bytes(2 * _TAR_BLOCK))
        self._file.flush()
        if self._target is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._draft.rename(self._target)
        return hashlib.sha256(written).hexdigest()

    def abandon(self) -> None:
        """Remove what was written; what was read by somebody lacks its end, and is refused."""
        if self._target is not None:
            self._file.close()
            self._draft.unlink(missing_ok=True)


class _Member:
    def __init__(self, file: IO[bytes], name: str, size: int, sums: list[str]) -> None:
        self._file, self._name, self._size, self._sums = file, name, size, sums
        self._digest = hashlib.sha256()
        self._written = 0

    def __enter__(self) -> Callable[[bytes], None]:
        return self._write

    def _write(self, piece: bytes) -> None:
        self._written += len(piece)
        self._digest.update(piece)
        self._file.write(piece)

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is not None:
            return
        if self._written != self._size:
            raise ArchiveRefused(
                "changed_meanwhile",
                f"{self._name} is not what it was a moment ago: {self._written} bytes, not {self._size}.",
                "Export again.",
            )
        self._file.write(bytes(-self._size % _TAR_BLOCK))
        self._sums.append(f"{self._digest.hexdigest()}  {self._name}\n")


class Entry:
    """One member of an archive that is being read."""

    def __init__(self, name: str, size: int, file: Readable) -> None:
        self.name, self.size, self._file = name, size, file
        match = _NAME.fullmatch(name)
        parts = match.groupdict() if match else {}
        self.service: str | None = parts.get("service")
        self.collection: str | None = parts.get("collection")
        self.topic: str | None = parts.get("topic")
        self.partition: int | None = None if parts.get("partition") is None else int(parts["partition"])
        self.object: str | None = parts.get("object")
        if match is None or (self.object is not None and not _plain(self.object)):
            raise damaged(f"it holds something strange: {name[:200]!r}")

    def pieces(self) -> Iterator[bytes]:
        """The bytes."""
        while piece := self._file.read(_READ):
            yield piece

    def block(self) -> bytes:
        """The bytes of a block."""
        return _decompressed(self._file.read(), self.name)


class Reader:
    """Reads an archive, as often as is needed."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self.bytes = file.stat().st_size
        self.manifest: dict[str, Any] = {}
        self.id = ""
        """The digest of the manifest."""

    def verify(self, told: Progress, look: Callable[[Entry], None]) -> None:
        """Read all of it and compare each byte with the digests; `look` is shown every member meanwhile.

        Raises:
            ArchiveRefused: it is damaged, cut off, or of another kind.
        """
        computed: list[str] = []
        sums = b""
        for name, size, file in self._members(told):
            hashed = _Hashed(file)
            if name == MANIFEST:
                self._end(_note(hashed, size), sums)
            elif name == SUMS:
                sums = _note(hashed, size)
                _compare(computed, sums.decode("utf-8", "replace").splitlines())
            else:
                if name == HEAD:
                    _know(_note(hashed, size))
                elif not computed:
                    raise damaged("it does not begin as an archive does")
                else:
                    look(Entry(name, size, hashed))
                hashed.drain()
                computed.append(f"{hashed.digest.hexdigest()}  {name}")
        if not self.manifest:
            raise damaged("its end is missing")

    def entries(self, told: Progress) -> Iterator[Entry]:
        """Every member with documents, records or an object, in the order they were written."""
        for name, size, file in self._members(told):
            if name not in (HEAD, SUMS, MANIFEST):
                yield Entry(name, size, file)

    def _members(self, told: Progress) -> Iterator[tuple[str, int, Readable]]:
        before = 0
        try:
            with tarfile.open(self._path, "r:") as tar:
                while (member := tar.next()) is not None:
                    # It would remember each of millions.
                    tar.members.clear()  # type: ignore[attr-defined]
                    if not member.isreg() or (file := tar.extractfile(member)) is None:
                        raise damaged(f"{member.name[:200]!r} is no file")
                    yield member.name, member.size, _Translated(file)
                    told(tar.offset - before)
                    before = tar.offset
        except _UNREADABLE as error:
            raise damaged(f"it cannot be read: {error}") from None

    def _end(self, written: bytes, sums: bytes) -> None:
        manifest = _json(written)
        if manifest.get("sums") != hashlib.sha256(sums).hexdigest():
            raise damaged("its digests are not those of its manifest")
        self.manifest, self.id = manifest, hashlib.sha256(written).hexdigest()


class _Translated:
    """A member whose end may be missing."""

    def __init__(self, file: Readable) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._file.read(size)
        except _UNREADABLE as error:
            raise damaged(f"it cannot be read: {error}") from None


class _Hashed:
    """A member whose bytes are hashed as they are read."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data

    def drain(self) -> None:
        while self.read(_READ):
            pass


def damaged(what: str) -> ArchiveRefused:
    """The refusal of an archive that is not whole."""
    return ArchiveRefused("archive_damaged", f"The archive is damaged: {what}.", "Take another copy of it.")


def _note(file: Readable, size: int) -> bytes:
    if size > _LARGEST_NOTE:
        raise damaged("a list in it is too long")
    return file.read()


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise damaged("a note in it is not JSON")
    return value


def _know(head: bytes) -> None:
    known = _json(head)
    if known.get("format") != FORMAT["format"]:
        raise damaged("it is no archive of a platform")
    if known.get("version") != FORMAT["version"]:
        raise ArchiveRefused(
            "archive_too_new",
            f"The archive has version {known.get('version')}; this release reads version {FORMAT['version']}.",
            "Import it with the release that it was made with, or a later one.",
        )


def _compare(computed: list[str], written: list[str]) -> None:
    for mine, its in zip(computed, written, strict=False):
        if mine != its:
            raise damaged(f"{mine.split('  ', 1)[1]} is not what SHA256SUMS says")
    if len(computed) != len(written):
        raise damaged(f"it has {len(computed)} members, SHA256SUMS has {len(written)}")


def _plain(name: str) -> bool:
    parts = name.split("/")
    return all(part not in ("", ".", "..") for part in parts) and "\\" not in name and "\0" not in name


def _compressed(data: bytes) -> bytes:
    packer = zlib.compressobj(3, wbits=31)
    return packer.compress(data) + packer.flush()


def _decompressed(data: bytes, name: str) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, _LARGEST_BLOCK)
    except zlib.error:
        raise damaged(f"{name} cannot be unpacked") from None
    if not unpacker.eof:
        raise damaged(f"{name} is cut off, or larger than any block")
    return plain
