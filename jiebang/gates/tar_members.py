"""Reading a TAR stream that may lie, from front to back and in small pieces."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from jiebang.gates.limits import GateFails
from jiebang.gates.paths import decode_name, shown

_PIECE = 1 << 18
_MOST_HEADER = 1 << 20


@dataclass(frozen=True)
class TarMember:
    """A file in a TAR archive; its content can be read until the next member is asked for."""

    name: str
    size: int
    content: Iterator[bytes]


class Readable(Protocol):
    """What can be read on."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""


class _Forward:
    """A stream that is only read on; a long read is a header that lies about its length."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._at = 0
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence or offset < self._at:
            raise tarfile.ReadError("an archive is read forward only")
        while self._at < offset:
            if not self._read(min(_PIECE, offset - self._at)):
                break
        return self._at

    def read(self, size: int) -> bytes:
        if size < 0 or size > _MOST_HEADER:
            raise tarfile.ReadError("a header is too long")
        self.last = self._read(size)
        return self.last

    def _read(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self._stream.read(size)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        result = b"".join(pieces)
        self._at += len(result)
        return result


def tar_members(stream: Readable) -> Iterator[TarMember]:
    """The files of a TAR archive, uncompressed, in their order; raises GateFails for links, devices and damage."""
    forward: Any = _Forward(stream)
    try:
        with tarfile.TarFile(fileobj=forward, mode="r", encoding="utf-8", errors="surrogateescape") as archive:
            headers: list[tarfile.TarInfo] = archive.members  # type: ignore[attr-defined]  # it would keep every one
            while (info := archive.next()) is not None:
                headers.clear()
                name = decode_name(info.name.encode("utf-8", "surrogateescape"))
                if info.isdir():
                    continue
                _refuse_special(info, name)
                yield TarMember(name, info.size, _content(archive, info, name))
        if forward.last != bytes(tarfile.BLOCKSIZE):
            # Python's reader ends at a cut or wrong header as if it were the end of the archive.
            raise GateFails("truncated", "The TAR archive has no end; upload it again.")
        while stream.read(_PIECE):  # a compressed stream tells only at its own end whether it is whole
            pass
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise GateFails(
            "corrupt_archive", f"The TAR archive is damaged or malformed ({error}); make it anew."
        ) from None
    except RecursionError:
        # Each header that lengthens the next one's name is read within the one before it.
        raise GateFails(
            "corrupt_archive", "The TAR archive puts very many headers before one file; make it anew."
        ) from None


def _refuse_special(info: tarfile.TarInfo, name: str) -> None:
    if info.issym() or info.islnk():
        raise GateFails("linked_entry", f"{shown(name)} is a link; put the file itself into the archive.")
    if not info.isreg() or info.issparse() or info.size < 0:
        raise GateFails("linked_entry", f"{shown(name)} is a special file; put plain files into the archive.")


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str) -> Iterator[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # a regular file
    left = info.size
    while left:
        try:
            piece = content.read(min(_PIECE, left))
        except tarfile.ReadError:
            piece = b""
        if not piece:
            raise GateFails("truncated", f"The TAR archive is cut off in {shown(name)}; upload it again.")
        left -= len(piece)
        yield piece


def is_tar(head: bytes) -> bool:
    """Whether bytes are the beginning of a TAR archive."""
    if len(head) < 512:
        return False
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True
