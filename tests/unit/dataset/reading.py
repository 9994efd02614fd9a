"""What the readers of files make of bytes, as plain values that a test can compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiebang.dataset.opening import DataFile, FileKind
from jiebang.dataset.planning import Source
from jiebang.dataset.sources import open_source
from jiebang.dataset.tally import Tally
from jiebang.declaration import Declaration


@dataclass(frozen=True)
class Read:
    """A file as it was read: names, attempted records, and by ordinal the texts of the parsed ones."""

    names: tuple[str, ...]
    attempted: int
    records: dict[int, tuple[str | None, ...]]
    failures: dict[int, str]


def source_of(content: bytes, folder: Path, kind: FileKind = FileKind.CSV, **declared: str) -> Source:
    folder.mkdir(exist_ok=True)
    location = folder / "content"
    location.write_bytes(content)
    file = DataFile("a", len(content), "", location, kind)
    return open_source(file, 0, Declaration.parse(declared), folder, [])


def read(content: bytes, folder: Path, kind: FileKind = FileKind.CSV, **declared: str) -> Read:
    return read_source(source_of(content, folder, kind, **declared))


def read_source(source: Source) -> Read:
    tally = Tally("a")
    records: dict[int, tuple[str | None, ...]] = {}
    for batch in source.batches(range(len(source.names)), tally):
        cells = [column.to_pylist() for column in batch.columns]
        rows = zip(*cells, strict=True) if cells else [()] * len(batch.ordinals)
        for ordinal, row in zip(batch.ordinals.tolist(), rows, strict=True):
            assert ordinal not in records
            records[ordinal] = row
    assert tally.records == len(records)
    failures = {int(failure.row or 0): str(failure.note) for failure in tally.failures}
    return Read(source.names, tally.attempted, dict(sorted(records.items())), failures)
