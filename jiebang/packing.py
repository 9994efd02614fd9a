"""What travels when a dataset is handed in: a file as it is, a folder as a tar that is made while it is sent."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jiebang.errors import DatasetRefused
from jiebang.folders import entries_below

_BLOCK = 512
_RECORD = 20 * _BLOCK
_CHUNK = 1024 * 1024

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A run of bytes of the package: given ones, or those of a file."""

    start: int
    length: int
    content: bytes = b""
    file: Path | None = None


class Package:
    """A dataset as one run of bytes that can be read from any offset, so that an upload can resume.

    A folder's tar holds its files under the folder's name, sorted, without times and owners: the same folder gives
    the same bytes. Nothing is copied to disk.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            self.filename = f"{path.resolve().name}.tar"
            self.media_type = "application/x-tar"
            self._stretches = _tar(path)
        elif path.is_file():
            self.filename = path.name
            self.media_type = "application/octet-stream"
            self._stretches = [_Stretch(0, path.stat().st_size, file=path)]
        else:
            raise DatasetRefused(
                "no_such_path", f"There is nothing at {path}.", "Name a file or a folder.", path=str(path)
            )
        last = self._stretches[-1]
        self.length = last.start + last.length

    def read(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from `offset` on, in pieces; raises `DatasetRefused` when a file has changed its size meanwhile."""
        for stretch in self._stretches:
            skipped = max(0, offset - stretch.start)
            if skipped >= stretch.length:
                continue
            if stretch.file is None:
                yield stretch.content[skipped:]
            else:
                yield from _read(stretch.file, skipped, stretch.length)

    def sha256(self, progress: Progress | None = None) -> str:
        """The SHA-256 of the whole, as lower-case hex digits; `progress` is told how many bytes were read."""
        digest = hashlib.sha256()
        done = 0
        for piece in self.read():
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress(done)
        return digest.hexdigest()


def _read(path: Path, start: int, end: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        left = end - start
        while left:
            piece = file.read(min(_CHUNK, left))
            if not piece:
                raise DatasetRefused(
                    "changed_meanwhile",
                    f"{path} became shorter while it was read.",
                    "Wait until nothing writes to the dataset, then hand it in again.",
                    path=str(path),
                )
            left -= len(piece)
            yield piece


def _tar(folder: Path) -> list[_Stretch]:
    stretches: list[_Stretch] = []
    position = 0

    def add(length: int, content: bytes = b"", file: Path | None = None) -> None:
        nonlocal position
        if length:
            stretches.append(_Stretch(position, length, content, file))
            position += length

    top = folder.resolve().name
    for path in _files(folder):
        entry = tarfile.TarInfo(f"{top}/{path.relative_to(folder).as_posix()}")
        entry.size = path.stat().st_size
        header = entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        add(len(header), header)
        add(entry.size, file=path)
        padding = -entry.size % _BLOCK
        add(padding, bytes(padding))
    end = 2 * _BLOCK + -(position + 2 * _BLOCK) % _RECORD
    add(end, bytes(end))
    return stretches


def _files(folder: Path) -> list[Path]:
    files = []
    for entry in entries_below(folder):
        path = Path(entry.path)
        if not entry.is_file(follow_symlinks=False):
            raise DatasetRefused(
                "not_a_plain_file",
                f"{path} is a link or a device, which no submission may hold.",
                "Replace it with the file itself, or take it out of the folder.",
                path=str(path),
            )
        files.append(path)
    if not files:
        raise DatasetRefused("empty_folder", f"There is no file in {folder}.", "Name the folder that holds the data.")
    return sorted(files, key=lambda path: os.fsencode(path.relative_to(folder)))
