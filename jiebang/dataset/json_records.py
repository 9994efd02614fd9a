"""The records of a JSON file: lines, the elements of a top-level array, or one object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jiebang.dataset.dialect import is_blank
from jiebang.dataset.encoding import Encoding, is_utf8, utf8_blocks
from jiebang.dataset.json_array import elements
from jiebang.dataset.json_shapes import ScannedLines, Shape, Shaped, shape_of, unescaped
from jiebang.dataset.json_values import RecordFails, cells_of, parse_line
from jiebang.dataset.opening import DataFile, FileKind
from jiebang.dataset.spool import Spool
from jiebang.dataset.tally import MAX_RECORD_BYTES, TOO_MANY_COLUMNS, Batch, Tally
from jiebang.dataset.text_columns import Block, Views, nullable_view_array, replace_cells, view_array
from jiebang.declaration import MAX_COLUMNS

_UNDECODABLE = "it holds an undecodable byte"
_TOO_LONG = f"it is longer than {MAX_RECORD_BYTES >> 20} MiB"
_BLANKS = b" \t\r\n"
_MOST_SHAPES = 8
_FEW_LINES = 50  # fewer are read one by one sooner than a shape is learned
_BATCH_CELLS = 200_000

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass
class JsonFile:
    """A JSON file that has been read once into a spool, because its columns are those of all its records."""

    file: DataFile
    encoding: Encoding
    spool: Spool
    family: str = "json"
    names: tuple[str, ...] = ()
    problem: str | None = None
    _tally: Tally = field(default_factory=lambda: Tally(""))

    @property
    def proves(self) -> bool:
        """Cells come without proofs."""
        return False

    @property
    def text_bytes(self) -> int:
        """The bytes of the file."""
        return self.file.location.stat().st_size

    def types(self, wanted: Sequence[int | None]) -> tuple[pa.DataType, ...]:
        """Every column is text."""
        return (pa.string_view(),) * len(wanted)

    def batches(
        self, wanted: Sequence[int | None], tally: Tally, markers: Mapping[int, int] | None = None
    ) -> Iterator[Batch]:
        """The parsed records, in batches of the wanted columns."""
        if self.problem is not None:
            return iter(())
        tally.attempted, tally.records = self._tally.attempted, self._tally.records
        tally.failures = list(self._tally.failures)
        return self.spool.read([None if index is None else self.names[index] for index in wanted])


def open_json(file: DataFile, encoding: Encoding, scratch: Path) -> JsonFile:
    """Read a JSON file's records into a spool in the scratch folder."""
    tally = Tally(file.path)
    json = JsonFile(file, encoding, Spool(scratch), _tally=tally)
    reader = _Reader(json.spool, tally, strict=encoding.strict)
    try:
        if file.kind is FileKind.JSONL:
            reader.read_lines(utf8_blocks(file.location, encoding))
        else:
            reader.read_document(utf8_blocks(file.location, encoding))
    except _TooManyColumns:
        json.problem = TOO_MANY_COLUMNS
        return json
    finally:
        json.spool.finish()
    json.names = tuple(reader.names)
    return json


class _TooManyColumns(Exception):
    """The records of a file name more columns than are read."""


class _Reader:
    """Reads records into a spool, counting them."""

    def __init__(self, spool: Spool, tally: Tally, *, strict: bool) -> None:
        self.names: dict[str, None] = {}
        self._spool = spool
        self._tally = tally
        self._strict = strict
        self._shapes: list[Shape] = []
        self._rows: list[tuple[int, dict[str, bytes | None]]] = []
        self._row_names: dict[str, None] = {}

    def read_document(self, blocks: Iterator[bytes]) -> None:
        """A `.json` file: an array of records, one object, or lines."""
        head = b""
        for block in blocks:
            head += block
            if len(head) > MAX_RECORD_BYTES:
                break
        if head.lstrip(_BLANKS)[:1] == b"[":
            self._read_array(chain((head,), blocks))
        elif len(head) <= MAX_RECORD_BYTES and (cells := _one_object(head)) is not None:
            self._tally.attempted += 1
            self._name(cells)
            self._keep(self._tally.attempted, cells)
            self._flush()
        else:
            self.read_lines(chain((head,), blocks))

    def read_lines(self, blocks: Iterable[bytes]) -> None:
        """Lines, each ended by LF alone; blank ones are no records."""
        rest = b""
        skipping = False
        for part in blocks:
            if skipping:
                end = part.find(b"\n")
                if end < 0:
                    continue
                part, skipping = part[end + 1 :], False
            block = Block(rest, part)
            end = block.raw.rfind(b"\n", 0, block.length) + 1
            if end:
                self._split(block, end)
            rest = block.raw[end : block.length]
            if len(rest) > MAX_RECORD_BYTES:
                self._fail(_TOO_LONG)
                rest, skipping = b"", True
        if rest:
            block = Block(rest, b"\n")
            self._split(block, block.length)

    def _fail(self, why: str) -> None:
        self._tally.attempted += 1
        self._tally.failed(self._tally.attempted, why)

    def _split(self, block: Block, end: int) -> None:
        """The lines of a block up to `end`: those of known shapes together, the others one by one."""
        scanned = ScannedLines(block, end)
        scanned.irregular |= scanned.ends - scanned.starts > MAX_RECORD_BYTES
        open_lines = np.ones(len(scanned.ends), dtype=np.bool_)
        found: list[tuple[Shape, Shaped]] = []
        if self._strict or is_utf8(block.raw[:end]):
            tried = 0
            while tried < len(self._shapes) or self._learn(block, scanned, open_lines):
                shape = self._shapes[tried]
                tried += 1
                shaped = scanned.matching(shape, open_lines)
                open_lines[shaped.lines] = False
                if shaped.lines.size:
                    found.append((shape, shaped))
        self._take(block, scanned, open_lines, found)

    def _learn(self, block: Block, scanned: ScannedLines, open_lines: Mask) -> bool:
        """Learn a shape from some open line; false when there is none, or it is not worth it."""
        lines = np.flatnonzero(open_lines & ~scanned.irregular)
        if len(lines) < _FEW_LINES or len(self._shapes) == _MOST_SHAPES:
            return False
        known = {shape.written for shape in self._shapes}
        for line in lines[:: len(lines) // 4][:4]:
            text = block.raw[scanned.starts[line] : scanned.ends[line]]
            try:
                shape = shape_of(text, tuple(parse_line(text.decode("utf-8"))))
            except ValueError:
                continue
            if shape is not None and shape.written not in known:
                self._shapes.append(shape)
                return True
        return False

    def _take(self, block: Block, scanned: ScannedLines, open_lines: Mask, found: list[tuple[Shape, Shaped]]) -> None:
        """Count the lines of a block in their order, and spool their cells."""
        attempted = np.ones(len(open_lines), dtype=np.bool_)
        lines = {int(line): block.raw[scanned.starts[line] : scanned.ends[line]] for line in np.flatnonzero(open_lines)}
        for line, text in lines.items():
            attempted[line] = not is_blank(text)
        ordinals: Positions = np.cumsum(attempted, dtype=np.int64) + self._tally.attempted
        failures: list[tuple[int, str]] = []
        first_seen: list[tuple[int, tuple[str, ...]]] = []
        for line, text in lines.items():
            if not attempted[line]:
                continue
            ordinal = int(ordinals[line])
            try:
                cells = _parse(text)
            except RecordFails as failure:
                failures.append((ordinal, str(failure)))
                continue
            if not cells.keys() <= self.names.keys():
                first_seen.append((ordinal, tuple(cells)))
            self._keep(ordinal, cells)
        for shape, shaped in found:
            batch = _shaped_batch(block, shaped, ordinals[shaped.lines], failures)
            if len(batch.ordinals):
                first_seen.append((int(batch.ordinals[0]), shape.names))
                self._tally.records += len(batch.ordinals)
                self._spool.write(shape.names, batch)
        if len(ordinals):
            self._tally.attempted = int(ordinals[-1])
        for ordinal, why in sorted(failures):
            self._tally.failed(ordinal, why)
        # Columns are in the order in which records name them, however the lines were read.
        for _, names in sorted(first_seen):
            self._name(names)
        self._flush()

    def _name(self, names: Iterable[str]) -> None:
        """Know the names of a record's columns."""
        self.names.update(dict.fromkeys(names))
        if len(self.names) > MAX_COLUMNS:
            raise _TooManyColumns

    def _keep(self, ordinal: int, cells: dict[str, bytes | None]) -> None:
        """Keep a parsed record until there are enough for a batch."""
        self._rows.append((ordinal, cells))
        self._row_names.update(dict.fromkeys(cells))
        if len(self._row_names) > MAX_COLUMNS:
            raise _TooManyColumns
        if len(self._rows) * len(self._row_names) > _BATCH_CELLS:
            self._flush()

    def _flush(self) -> None:
        """Spool the records that were kept."""
        if not self._rows:
            return
        names = tuple(self._row_names)
        columns = [nullable_view_array([cells.get(name) for _, cells in self._rows]) for name in names]
        ordinals = np.fromiter((ordinal for ordinal, _ in self._rows), dtype=np.int64, count=len(self._rows))
        self._spool.write(names, Batch(ordinals, columns))
        self._tally.records += len(self._rows)
        self._rows, self._row_names = [], {}

    def _read_array(self, blocks: Iterable[bytes]) -> None:
        """The elements of a top-level array; one that cannot be parted from the rest fails and ends the reading."""
        for element in elements(blocks):
            try:
                if element.problem is not None:
                    raise RecordFails(element.problem)
                cells = cells_of(element.value)
            except RecordFails as failure:
                self._fail(str(failure))
            else:
                self._tally.attempted += 1
                self._name(cells)
                self._keep(self._tally.attempted, cells)
        self._flush()


def _parse(line: bytes) -> dict[str, bytes | None]:
    if len(line) > MAX_RECORD_BYTES:
        raise RecordFails(_TOO_LONG)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise RecordFails(_UNDECODABLE) from None
    return parse_line(text)


def _one_object(text: bytes) -> dict[str, bytes | None] | None:
    """The cells of a text that is one JSON object; None if it is not."""
    try:
        return _parse(text)
    except RecordFails:
        return None


def _shaped_batch(block: Block, shaped: Shaped, ordinals: Positions, failures: list[tuple[int, str]]) -> Batch:
    """The cells of lines of one shape; a line with a wrong escape is told in `failures` and left out."""
    good = np.ones(len(ordinals), dtype=np.bool_)
    arrays: list[tuple[Views, list[pa.Buffer], Mask]] = []
    for column in range(shaped.starts.shape[1]):
        starts, lengths = shaped.starts[:, column], shaped.lengths[:, column]
        views = block.views(starts, np.maximum(lengths, 0))
        buffers = [block.buffer]
        rows = np.flatnonzero(shaped.escaped[:, column])
        if rows.size:
            places = zip((starts[rows] - 1).tolist(), (starts[rows] + lengths[rows] + 1).tolist(), strict=True)
            texts = unescaped([block.raw[start:end] for start, end in places])
            cells = []
            for row, text in zip(rows.tolist(), texts, strict=True):
                if isinstance(text, RecordFails):
                    if good[row]:
                        failures.append((int(ordinals[row]), str(text)))
                    good[row] = False
                    text = b""
                cells.append(text)
            sizes = np.fromiter(map(len, cells), dtype=np.int32, count=len(cells))
            buffers.append(replace_cells(views, rows, b"".join(cells), sizes))
        arrays.append((views, buffers, lengths >= 0))
    if good.all():
        columns = [view_array(views, *buffers, present=present) for views, buffers, present in arrays]
        return Batch(ordinals, columns)
    columns = [view_array(views[good], *buffers, present=present[good]) for views, buffers, present in arrays]
    return Batch(ordinals[good], columns)
