"""Opening what was handed in: files, folders and archives become a list of data files, a digest, and gates.

A failed gate does not raise: the gates of the result say it. Nothing is trusted: sizes are counted on written bytes,
and what an archive holds is written under names of our own.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import rfc8785

from jiebang.errors import DatasetRefused
from jiebang.folders import entries_below
from jiebang.gates.content import Container, FileKind, container_of, parquet_size, sniff
from jiebang.gates.limits import MAX_REASONS, Budget, GateFails, Limits, MemberBudget
from jiebang.gates.paths import UniquePaths, decode_name, is_junk, safe_path, shown, without_top_folder
from jiebang.gates.tar_members import Readable, is_tar, tar_members
from jiebang.gates.zip_members import zip_member_bytes, zip_members
from jiebang.result import GateResult, GateStatus, Reason
from jiebang.structure.annotation_files import annotation_files
from jiebang.structure.names import is_image

__all__ = ["DataFile", "FileKind", "Limits", "OpenedDataset", "dataset_digest", "open_dataset"]

_PIECE = 1 << 20
_NAMED = 5
_COMPRESSED = {Container.GZIP: (".gz", "gzip"), Container.ZSTD: (".zst", "zstd")}
_TAR_SHORT = (".tgz", ".tzst")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset.

    `path` is relative, in NFC, with `/`; `bytes` and `sha256` are of the file as it was handed in (out of an archive,
    but still compressed if it is `.gz` or `.zst`); `location` is where its plain content can be read.
    """

    path: str
    bytes: int
    sha256: str
    location: Path
    kind: FileKind


@dataclass(frozen=True)
class OpenedDataset:
    """What was handed in: files sorted by the UTF-8 bytes of their paths, the dataset's digest, and what gates say."""

    files: tuple[DataFile, ...]
    digest: str
    gates: tuple[GateResult, ...]
    warnings: tuple[str, ...]


def open_dataset(
    paths: Sequence[Path], *, scratch: Path, limits: Limits | None = None, progress: Progress | None = None
) -> OpenedDataset:
    """Open one file, several, a folder, or an archive (zip, tar, tar.gz, tar.zst) of them.

    What has to be unpacked is written to a new folder in `scratch`, which stays until the caller removes it. Gates G1
    (archive, sizes, names) and G3 (types) are in the result; when one failed, `files` is what is safe to list.
    Raises DatasetRefused where there is nothing to judge: a path that does not exist, no file at all.
    """
    found = list(_handed_in(paths))
    opening = _Opening(Path(tempfile.mkdtemp(prefix="opened-", dir=scratch)), limits or Limits(), progress)
    opening.open_all(found)
    if not opening.files and not opening.has_failed:
        raise DatasetRefused(
            "not_a_dataset",
            "There is no file in what was handed in.",
            "Hand in a CSV, JSON lines or Parquet file, or a folder or archive of them.",
        )
    opening.set_annotations_apart()
    opening.demand_data()
    files = sorted(opening.files, key=lambda file: file.path.encode("utf-8"))
    return OpenedDataset(
        tuple(files), dataset_digest(files), opening.gates(), () if opening.has_failed else unread(files)
    )


def dataset_digest(files: Iterable[DataFile]) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of the files' paths, sizes and digests, in the order of the paths."""
    listed: Any = [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in files]
    return hashlib.sha256(rfc8785.dumps(listed)).hexdigest()


def unread(files: Sequence[DataFile], read: Collection[str] = ()) -> tuple[str, ...]:
    """One warning of all files that are no table and not among those read, since there may be very many."""
    others = [shown(file.path) for file in files if file.kind is FileKind.OTHER and file.path not in read]
    if not others:
        return ()
    names = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    return (f"{names}: no table, so nothing of it is read.",)


@dataclass(frozen=True)
class _Found:
    """A file on disk: `named` if it was named itself, not found in a folder; `alone` if nothing else was handed in."""

    name: str
    location: Path
    named: bool = False
    alone: bool = False


def _handed_in(paths: Sequence[Path]) -> Iterator[_Found]:
    if not paths:
        raise DatasetRefused("not_a_dataset", "Nothing was handed in.", "Name a file, a folder or an archive.")
    for path in paths:
        if not path.exists():
            title = f"There is nothing at {shown(str(path))}."
            raise DatasetRefused("not_a_dataset", title, "Name a file, a folder or an archive.", path=str(path))
    if len(paths) == 1:
        path = paths[0]
        if path.is_dir():
            yield from _walk(path, "")
        else:
            yield _Found(
                _name(path.resolve().name if path.name in ("", "..") else path.name), path, named=True, alone=True
            )
        return
    parent = os.path.commonpath([str(path.absolute().parent) for path in paths])
    for path in paths:
        name = _name(os.path.relpath(path.absolute(), parent).replace(os.sep, "/"))
        if path.is_dir():
            yield from _walk(path, f"{name}/")
        else:
            yield _Found(name, path, named=True)


def _walk(folder: Path, prefix: str) -> Iterator[_Found]:
    for entry in entries_below(folder):
        path = Path(entry.path)
        yield _Found(prefix + "/".join(_name(part) for part in path.relative_to(folder).parts), path)


def _name(name: str) -> str:
    """A name from the file system, whose bytes need not be UTF-8."""
    try:
        return decode_name(os.fsencode(name))
    except GateFails:
        return name.encode("utf-8", "replace").decode("utf-8")


class _Opening:
    """Goes through what was handed in, and collects files and the reasons of gates."""

    def __init__(self, folder: Path, limits: Limits, progress: Progress | None) -> None:
        self.files: list[DataFile] = []
        self._folder = folder
        self._limits = limits
        self._budget = Budget(limits)
        self._unique = UniquePaths()
        self._reasons: dict[str, list[Reason]] = {"G1": [], "G3": []}
        self._unpacked = 0
        self._progress = progress

    @property
    def has_failed(self) -> bool:
        """Whether a gate has failed."""
        return any(self._reasons.values())

    def gates(self) -> tuple[GateResult, ...]:
        """The gates' answers."""
        return tuple(
            GateResult(gate, GateStatus.FAILED if reasons else GateStatus.PASSED, tuple(reasons[:MAX_REASONS]))
            for gate, reasons in self._reasons.items()
        )

    def open_all(self, found: Sequence[_Found]) -> None:
        """Open every file that was handed in, until a limit ends it."""
        done = 0
        kept = [item for item in found if not is_junk(item.name)]
        whole = sum(item.location.lstat().st_size for item in kept)
        try:
            self._budget.hand_in(whole)
        except GateFails as failure:
            self._fails("G1", failure, None)
            return
        for item in kept:
            try:
                self._open_found(item)
            except GateFails as failure:
                self._fails("G1", failure, shown(item.name))
                if failure.final:
                    return
            done += item.location.lstat().st_size
            if self._progress:
                self._progress("open", done / whole if whole else 1.0)

    def set_annotations_apart(self) -> None:
        """Take files that annotate images for what they are, and not for tables."""
        apart = annotation_files(self.files).paths
        self.files = [replace(file, kind=FileKind.OTHER) if file.path in apart else file for file in self.files]

    def demand_data(self) -> None:
        """Fail G3 where nothing that was opened is a table or an image; what a gate refused is reason enough."""
        if not self.has_failed and all(file.kind is FileKind.OTHER and not is_image(file.path) for file in self.files):
            sentence = "No file holds data. Hand in a CSV, JSON lines or Parquet file, or a folder or archive of them."
            self._fails("G3", GateFails("not_a_dataset", sentence), None)

    def _fails(self, gate: str, failure: GateFails, path: str | None) -> None:
        self._reasons[gate].append(failure.reason(path))

    def _open_found(self, item: _Found) -> None:
        self._budget.enter()
        mode = item.location.lstat().st_mode
        if not stat.S_ISREG(mode) and not (item.named and item.location.is_file()):
            kind = "a link" if stat.S_ISLNK(mode) else "a special file"
            raise GateFails("linked_entry", f"{shown(item.name)} is {kind}; hand in the file itself.")
        path = safe_path(item.name, self._limits)
        with item.location.open("rb") as stream:
            size, digest = _digest(stream)
        before = len(self.files)
        try:
            self._open_file(path, item.location, size, digest, depth=0, prefix="" if item.alone else f"{path}/")
        except GateFails:
            # An archive that fails is listed as what was handed in, not by what came out of it so far.
            del self.files[before:]
            self.files.append(DataFile(path, size, digest, item.location, FileKind.OTHER))
            raise

    def _open_file(self, path: str, location: Path, size: int, digest: str, *, depth: int, prefix: str) -> None:
        """List a file, or what it holds if it is an archive; `prefix` is put before the paths of an archive's files."""
        with location.open("rb") as stream:
            container = container_of(path, stream.read(512))
        if container in (Container.ZIP, Container.TAR):
            self._check_depth(depth + 1)
            with location.open("rb") as stream:
                members = self._zip(stream) if container is Container.ZIP else self._tar(stream)
                self._open_members(members, depth + 1, prefix)
            return
        plain = location
        name = path
        if container is not None:
            extension, codec = _COMPRESSED[container]
            budget = self._budget.member(size)
            name = path[: -len(extension)] if path.lower().endswith(extension) else path
            with pa.OSFile(str(location)) as stored:
                counted = _Counted(pa.CompressedInputStream(stored, codec), budget)
                head = counted.read(512)
                if is_tar(head) and (name.lower().endswith(".tar") or path.lower().endswith(_TAR_SHORT)):
                    self._check_depth(depth + 1)
                    self._open_members(self._tar(_Again(head, counted)), depth + 1, prefix)
                    return
                plain = self._new_location()
                with plain.open("xb") as target:
                    for piece in _pieces(_Again(head, counted)):
                        target.write(piece)
        self._unique.add(path)
        kind = self._kind(path, name, plain, container is not None)
        if kind is FileKind.PARQUET:
            # Compressed and repeated values make a small file large too; what reads it holds it to these claims.
            expanded, cells = parquet_size(plain)
            self._budget.member(size).write(expanded)
            self._budget.read(cells)
        self.files.append(DataFile(path, size, digest, plain, kind))

    def _kind(self, path: str, name: str, location: Path, compressed: bool) -> FileKind:
        try:
            kind = sniff(name, location)
            if compressed and kind not in (FileKind.CSV, FileKind.JSONL, FileKind.JSON):
                raise GateFails(
                    "unsupported_compression",
                    f"{shown(path)}: only CSV and JSON may be compressed; hand this file in as it is.",
                )
        except GateFails as failure:
            self._fails("G3", failure, path)
            return FileKind.OTHER
        return kind

    def _check_depth(self, depth: int) -> None:
        if depth > self._limits.depth:
            raise GateFails(
                "nested_too_deep",
                f"Archives lie more than {self._limits.depth} deep in each other; unpack the inner ones.",
                limit=self._limits.depth,
            )

    def _new_location(self) -> Path:
        self._unpacked += 1
        return self._folder / f"{self._unpacked:06d}"

    def _zip(self, stream: BinaryIO) -> Iterator[tuple[str, Iterator[bytes]]]:
        for member in zip_members(stream, self._limits.entries):
            self._budget.enter()
            if member.is_folder:
                safe_path(member.name, self._limits)
            else:
                budget = self._budget.member(member.stored)
                yield member.name, _counted(zip_member_bytes(stream, member), budget)

    def _tar(self, stream: Readable) -> Iterator[tuple[str, Iterator[bytes]]]:
        for member in tar_members(stream):
            self._budget.enter()
            yield member.name, _counted(member.content, self._budget)

    def _open_members(self, members: Iterator[tuple[str, Iterator[bytes]]], depth: int, prefix: str) -> None:
        """Write the members of an archive, then open each as a file of its own."""
        written: list[tuple[str, Path, int, str]] = []
        unique = UniquePaths()
        for name, content in members:
            path = safe_path(name, self._limits)
            if not path or is_junk(path):
                for _ in content:  # still counted
                    pass
                continue
            unique.add(path)
            location = self._new_location()
            written.append((path, location, *_write(location, content)))
        for path, (_, location, size, digest) in zip(
            without_top_folder([path for path, *_ in written]), written, strict=True
        ):
            full = safe_path(prefix + path, self._limits)
            self._open_file(full, location, size, digest, depth=depth, prefix=f"{full}/")


class _Counted:
    """A decompressing stream whose bytes are counted, and whose errors are a gate's."""

    def __init__(self, stream: pa.NativeFile, budget: MemberBudget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int) -> bytes:
        try:
            piece: bytes = self._stream.read(size)
        except (OSError, pa.ArrowException) as error:
            if "Truncated" in str(error):
                raise GateFails("truncated", "The compressed file is cut off; upload it again.") from None
            raise GateFails("corrupt_file", "The compressed file is damaged; compress it anew.") from None
        self._budget.write(len(piece))
        return piece


class _Again:
    """A stream with bytes put back in front of it."""

    def __init__(self, head: bytes, stream: _Counted) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._stream.read(size)


def _pieces(stream: Readable) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _counted(pieces: Iterator[bytes], budget: Budget | MemberBudget) -> Iterator[bytes]:
    for piece in pieces:
        budget.write(len(piece))
        yield piece


def _write(location: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Write pieces to a new file; its size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    with location.open("xb") as target:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            target.write(piece)
    return size, digest.hexdigest()


def _digest(stream: BufferedReader) -> tuple[int, str]:
    digest = hashlib.file_digest(stream, "sha256")
    return stream.tell(), digest.hexdigest()
