"""The records of a CSV file, by the rules alone: quote-aware, streaming, in bounded memory.

A block is split by arithmetic on the positions of delimiters, line ends and quotes, wherever the quotes prove regular
(each opens a field, is doubled, or closes one). From the first quote that is not, a plain state machine reads a growing
number of records, then arithmetic is tried again. Both read the same rules, so where the border lies changes nothing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jiebang.dataset.dialect import Header, closing_quote, find_header, is_blank
from jiebang.dataset.encoding import Encoding, is_utf8, utf8_blocks
from jiebang.dataset.opening import DataFile
from jiebang.dataset.proofs import unstable, whole_texts
from jiebang.dataset.tally import MAX_FAILURES, MAX_RECORD_BYTES, TOO_MANY_COLUMNS, Batch, Tally
from jiebang.dataset.text_columns import Block, Views, nullable_view_array, replace_cells, view_array
from jiebang.declaration import MAX_COLUMNS

_LF, _CR, _QUOTE = 10, 13, 34
_BLANK_STARTS = np.zeros(256, dtype=np.bool_)
_BLANK_STARTS[[9, 32, 0xC2, 0xE3]] = True  # the first bytes of a tab, a space, U+00A0 and U+3000

_SURPLUS = "its number of fields is not the header's"
_AFTER_QUOTE = "text follows a closing quote"
_OPEN_QUOTE = "a quote is never closed"
_UNDECODABLE = "it holds an undecodable byte"
_TOO_LONG = f"it is longer than {MAX_RECORD_BYTES >> 20} MiB"

# How many records the state machine reads before arithmetic is tried again; it doubles with each failure.
_LEAST_PATIENCE, _MOST_PATIENCE = 64, 1 << 17

Positions = npt.NDArray[np.int32]
Indexes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose encoding and header are known; `header` is None for a file without any record."""

    file: DataFile
    encoding: Encoding
    header: Header | None
    problem: str | None = None

    @property
    def family(self) -> str:
        """CSV in all its dialects."""
        return "csv"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return self.header.names if self.header else ()

    @property
    def text_bytes(self) -> int:
        """The bytes of the file."""
        return self.file.location.stat().st_size

    def types(self, wanted: Sequence[int | None]) -> tuple[pa.DataType, ...]:
        """Every column is text."""
        return (pa.string_view(),) * len(wanted)

    @property
    def proves(self) -> bool:
        """Cells come with proofs where no undecodable byte can be among them."""
        return self.encoding.strict

    def batches(
        self, wanted: Sequence[int | None], tally: Tally, markers: Mapping[int, int] | None = None
    ) -> Iterator[Batch]:
        """The parsed records, in batches of the wanted columns."""
        return CsvReader(self, wanted, tally, markers or {}).batches() if self.header else iter(())


def open_csv(file: DataFile, encoding: Encoding) -> CsvFile:
    """Read the header of a CSV file; a header that is too long to be one is told in `problem`."""
    text = b""
    for block in utf8_blocks(file.location, encoding):
        text += block
        header = find_header(text, final=False)
        if header:
            return _with_header(file, encoding, header)
        if len(text) > MAX_RECORD_BYTES:
            # A quote that never closes may only have hidden where the header ends.
            header = find_header(text, final=True)
            if header is None or header.end == len(text):
                return CsvFile(file, encoding, None, f"the header is longer than {MAX_RECORD_BYTES >> 20} MiB")
            return _with_header(file, encoding, header)
    return _with_header(file, encoding, find_header(text, final=True))


def _with_header(file: DataFile, encoding: Encoding, header: Header | None) -> CsvFile:
    if header and len(header.names) > MAX_COLUMNS:
        return CsvFile(file, encoding, None, TOO_MANY_COLUMNS)
    return CsvFile(file, encoding, header)


class CsvReader:
    """Reads a CSV file's records into batches of the wanted columns; a column wanted as None is nowhere."""

    def __init__(self, csv: CsvFile, wanted: Sequence[int | None], tally: Tally, markers: Mapping[int, int]) -> None:
        assert csv.header is not None
        self._csv = csv
        self._header = csv.header
        self._wanted = wanted
        self._markers = markers if csv.encoding.strict else {}
        self._tally = tally
        self._width = len(csv.header.names)
        self._delimiter = csv.header.delimiter[0] if csv.header.delimiter else None
        self._strict = csv.encoding.strict
        separators = csv.header.delimiter + b"\r\n"
        self._unquoted = re.compile(rb"[^" + re.escape(separators) + rb"]*")
        self._separates = np.zeros(256, dtype=np.bool_)
        self._separates[list(separators)] = True
        self._patience = _LEAST_PATIENCE

    def batches(self) -> Iterator[Batch]:
        """The parsed records in order; the tally is complete when the last batch has been taken."""
        rest = b""
        skip = self._header.end
        overlong: _OverlongRecord | None = None
        for part in utf8_blocks(self._csv.file.location, self._csv.encoding):
            if skip:
                part, skip = part[skip:], max(0, skip - len(part))
            if overlong:
                end = overlong.feed(part)
                if end is None:
                    continue
                part, overlong = part[end:], None
            block = Block(rest, part)
            at = yield from self._split(block, final=False)
            rest = block.raw[at : block.length]
            if len(rest) > MAX_RECORD_BYTES:
                self._fail(_TOO_LONG)
                overlong = _OverlongRecord(self._separates)
                overlong.feed(rest)
                rest = b""
        if rest:
            yield from self._split(Block(rest), final=True)

    def _fail(self, why: str) -> None:
        self._tally.attempted += 1
        self._tally.failed(self._tally.attempted, why)

    def _split(self, block: Block, *, final: bool) -> Generator[Batch, None, int]:
        """The complete records of a block; returns where the incomplete one begins."""
        at = 0
        while at < block.length:
            at, irregular, batch = self._regular(block, at, final=final)
            if batch:
                yield batch
            if not irregular:
                self._patience = max(_LEAST_PATIENCE, self._patience // 2)
                break
            at, complete, batch = self._plain(block, at, self._patience, final=final)
            self._patience = min(_MOST_PATIENCE, self._patience * 2)
            if batch:
                yield batch
            if not complete:
                break
        return at

    def _regular(self, block: Block, at: int, *, final: bool) -> tuple[int, bool, Batch | None]:
        """The records before the first irregular quote: where they end, whether there is one, and the records."""
        data = block.bytes[at : block.length]
        size = len(data)
        structural = data == _LF
        structural |= data == _CR
        if self._delimiter is not None:
            structural |= data == self._delimiter
        positions: Positions = np.flatnonzero(structural).astype(np.int32)
        quotes = _Quotes(data, self._separates, final=final)
        if quotes.positions.size:
            positions = quotes.outside(positions)
        if self._delimiter is None:
            ends = np.arange(len(positions))
        else:
            ends = np.flatnonzero(data[positions] != self._delimiter)
        irregular = quotes.irregular is not None
        if quotes.irregular is not None:
            ends = ends[: np.searchsorted(positions[ends], quotes.irregular)]
        elif final and not quotes.open and size and (not ends.size or positions[ends[-1]] != size - 1):
            positions = np.append(positions, np.int32(size))  # the last line needs no end
            ends = np.append(ends, len(positions) - 1)
        batch = None
        consumed = 0
        if ends.size:
            positions = positions[: ends[-1] + 1]
            consumed = int(positions[-1]) + 1
            batch = self._gather(block, at, positions, ends, quotes)
        if final and not irregular:
            if quotes.open:
                self._fail(_OPEN_QUOTE)
            return block.length, False, batch
        return min(at + consumed, block.length), irregular, batch

    def _gather(self, block: Block, at: int, positions: Positions, ends: Indexes, quotes: _Quotes) -> Batch | None:
        """The cells of complete lines: `positions` end their fields, `ends` are the indexes of those that end lines."""
        line_ends = positions[ends]
        line_starts = np.empty_like(line_ends)
        line_starts[0] = 0
        np.add(line_ends[:-1], 1, out=line_starts[1:])
        fields = np.diff(ends, prepend=-1)
        blank = self._blank(block, at, line_starts, line_ends, fields)
        good = fields == self._width
        good &= ~blank
        undecodable = self._undecodable(block, at, line_ends)
        if undecodable is not None:
            good &= ~undecodable
        if block.length > MAX_RECORD_BYTES:
            # Whether a long record was cut by the end of a block must not decide.
            good &= line_ends - line_starts <= MAX_RECORD_BYTES
        attempted = ~blank
        ordinals = np.cumsum(attempted, dtype=np.int64)
        ordinals += self._tally.attempted
        self._tally.attempted = int(ordinals[-1])
        failed = np.flatnonzero(attempted & ~good)
        for line in failed[:MAX_FAILURES]:
            why = _UNDECODABLE if undecodable is not None and undecodable[line] else _SURPLUS
            if line_ends[line] - line_starts[line] > MAX_RECORD_BYTES:
                why = _TOO_LONG
            self._tally.failed(int(ordinals[line]), why)
        quoted, doubled = quotes.fields(positions)
        odd = quoted[:0]
        if self._markers:
            odd = np.searchsorted(positions, unstable(block.bytes[at : at + int(positions[-1])]))
        rows = np.cumsum(good) - 1
        if not good.all():
            positions = positions[np.repeat(good, fields)]
            line_starts, ordinals = line_starts[good], ordinals[good]
        records = len(ordinals)
        if not records:
            return None
        self._tally.records += records
        # Column by column, so that each is one run of memory.
        ends_of = np.ascontiguousarray(positions.reshape(records, self._width).T)
        starts = np.empty_like(ends_of)
        starts[0] = line_starts
        np.add(ends_of[:-1], 1, out=starts[1:])
        lengths = np.subtract(ends_of, starts, out=ends_of)
        if at:
            starts += at
        holds_doubled: dict[int, tuple[Indexes, Indexes, list[bytes]]] = {}
        if quoted.size:
            column, row = self._cells(quoted, ends, fields, good, rows)
            starts[column, row] += 1
            lengths[column, row] -= 2
            column, row = self._cells(doubled, ends, fields, good, rows)
            for number in np.unique(column).tolist():
                found, pairs = np.unique(row[column == number], return_counts=True)
                places = (starts[number, found].tolist(), lengths[number, found].tolist())
                cells = [block.raw[start : start + length] for start, length in zip(*places, strict=True)]
                holds_doubled[number] = (found, pairs, cells)
        proven = {}
        if self._markers:
            odd_column, odd_row = self._cells(odd, ends, fields, good, rows)
            for place, longest in self._markers.items():
                column_index = self._wanted[place]
                if column_index is not None:
                    proven[place] = whole_texts(block, starts[column_index], lengths[column_index], longest)
                    proven[place][odd_row[odd_column == column_index]] = False
        columns = [index for index in self._wanted if index is not None]
        if columns != list(range(self._width)):
            starts, lengths = starts[columns], lengths[columns]
        views = iter(block.views(starts, lengths))
        arrays = [
            pa.nulls(records, pa.string_view())
            if index is None
            else _column(block, next(views), holds_doubled.get(index))
            for index in self._wanted
        ]
        return Batch(ordinals, arrays, int(line_ends[-1]) + 1, proven)

    def _cells(self, chosen: Indexes, ends: Indexes, fields: Indexes, good: Mask, rows: Indexes) -> tuple[Indexes, ...]:
        """The columns and rows, among the good lines, of the fields with these indexes."""
        line = np.searchsorted(ends, chosen)
        kept = good[line]
        chosen, line = chosen[kept], line[kept]
        return chosen - (ends[line] - self._width + 1), rows[line]

    def _blank(self, block: Block, at: int, starts: Positions, ends: Positions, fields: Positions) -> Mask:
        """Which lines are no records: without delimiter, and nothing but trimmed characters."""
        blank: Mask = fields == 1
        single = np.flatnonzero(blank)
        if not single.size:
            return blank
        filled = single[starts[single] < ends[single]]
        suspect = _BLANK_STARTS[block.bytes[starts[filled] + at]]
        blank[filled] = False
        for line in filled[suspect]:
            blank[line] = is_blank(block.raw[at + starts[line] : at + ends[line]])
        return blank

    def _undecodable(self, block: Block, at: int, line_ends: Positions) -> Mask | None:
        """Which lines hold an undecodable byte; None where none does."""
        if self._strict:
            return None
        text = memoryview(block.raw)[at : at + int(line_ends[-1])]
        if is_utf8(text):
            return None
        # Each wrong byte comes back as a question mark, everything else as it was.
        shown = codecs.utf_8_decode(text, "surrogateescape", True)[0].encode("utf-8", "replace")
        wrong = np.zeros(len(line_ends), dtype=np.bool_)
        differing = np.frombuffer(shown, dtype=np.uint8) != block.bytes[at : at + len(text)]
        wrong[np.searchsorted(line_ends, np.flatnonzero(differing))] = True
        return wrong

    def _plain(self, block: Block, at: int, most: int, *, final: bool) -> tuple[int, bool, Batch | None]:
        """At most `most` records by the state machine: where they end, whether all were complete, and they."""
        begin = at
        ordinals: list[int] = []
        rows: list[list[bytes]] = []
        complete = True
        while most and at < block.length:
            record = self._record(block.raw, at, block.length, final=final)
            if record is None:
                complete = False
                break
            following, line_end, fields, why = record
            line = block.raw[at:line_end]
            at = following
            if len(fields) == 1 and why is None and is_blank(line):
                continue
            most -= 1
            if why is None and len(fields) != self._width:
                why = _SURPLUS
            if not self._strict and not is_utf8(line):
                why = _UNDECODABLE
            if len(line) > MAX_RECORD_BYTES:
                why = _TOO_LONG
            if why is not None:
                self._fail(why)
                continue
            self._tally.attempted += 1
            ordinals.append(self._tally.attempted)
            rows.append(fields)
        if not rows:
            return at, complete, None
        self._tally.records += len(rows)
        columns = [
            pa.nulls(len(rows), pa.string_view()) if column is None else nullable_view_array([r[column] for r in rows])
            for column in self._wanted
        ]
        return at, complete, Batch(np.array(ordinals, dtype=np.int64), columns, at - begin)

    def _record(self, raw: bytes, at: int, end: int, *, final: bool) -> tuple[int, int, list[bytes], str | None] | None:
        """One record: where the next begins, where its line ends, its fields, and why it fails; None if incomplete."""
        fields: list[bytes] = []
        why = None
        while True:
            if at < end and raw[at] == _QUOTE:
                closing = closing_quote(raw, at + 1, end)
                if closing is None:
                    return (end, end, fields, _OPEN_QUOTE) if final else None
                fields.append(raw[at + 1 : closing].replace(b'""', b'"'))
                at = closing + 1
                if at < end and not self._separates[raw[at]]:
                    why = _AFTER_QUOTE
                    at = self._end_of_unquoted(raw, at, end)
            else:
                start, at = at, self._end_of_unquoted(raw, at, end)
                fields.append(raw[start:at])
            if at >= end:
                return (end, end, fields, why) if final else None
            if raw[at] != self._delimiter:
                return at + 1, at, fields, why
            at += 1

    def _end_of_unquoted(self, raw: bytes, at: int, end: int) -> int:
        match = self._unquoted.match(raw, at, end)
        assert match is not None  # the pattern also matches nothing
        return match.end()


class _Quotes:
    """The quotes of a block, read as opening and closing in turn, as far as that is proved right.

    By induction from the block's start: before an opening quote all is balanced, so a separator in front of it lies
    outside quotes; a closing quote is followed by a separator, or by the second of a doubled quote.
    `irregular` is the position of the first quote that breaks this, `open` whether the last one is never closed.
    """

    def __init__(self, data: npt.NDArray[np.uint8], separates: Mask, *, final: bool) -> None:
        self.positions = np.flatnonzero(data == _QUOTE)
        self.irregular: int | None = None
        self.open = bool(self.positions.size & 1)
        if not self.positions.size:
            return
        self._opening, self._closing = self.positions[0::2], self.positions[1::2]
        before = data[self._opening - 1]
        if self._opening[0] == 0:
            before[0] = _LF
        self._doubled = before == _QUOTE
        wrong = self._opening[~(separates[before] | self._doubled)]
        after = data[np.minimum(self._closing + 1, len(data) - 1)]
        if self._closing.size and self._closing[-1] == len(data) - 1:
            after[-1] = _LF  # at the end of a block that is not the last, the record is incomplete in any case
        wrong_after = self._closing[~(separates[after] | (after == _QUOTE))]
        firsts = [int(found[0]) for found in (wrong, wrong_after) if found.size]
        self.irregular = min(firsts) if firsts else None

    def outside(self, positions: Positions) -> Positions:
        """Those of the positions that do not lie within quotes."""
        low = np.searchsorted(positions, self._opening)
        high = np.full(len(low), len(positions))
        high[: len(self._closing)] = np.searchsorted(positions, self._closing)
        holding = high > low
        if not holding.any():
            return positions
        low, counts = low[holding], (high - low)[holding]
        # The indexes low, low + 1, … of every span, one span after the other.
        inside = np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)
        return np.delete(positions, inside)

    def fields(self, positions: Positions) -> tuple[Indexes, Indexes]:
        """Of the fields that end at `positions`, the indexes of those that are quoted and that hold doubled quotes."""
        if not self.positions.size:
            return self.positions, self.positions
        opening = self._opening[: np.searchsorted(self._opening, positions[-1])]
        doubled = self._doubled[: len(opening)]
        return np.searchsorted(positions, opening[~doubled]), np.searchsorted(positions, opening[doubled])


def _column(block: Block, views: Views, doubled: tuple[Indexes, Indexes, list[bytes]] | None) -> pa.Array:
    """One column of a block as an array of strings; in some rows, pairs of doubled quotes are undone."""
    if doubled is None:
        return view_array(views, block.buffer)
    rows, pairs, cells = doubled
    # Every run of quotes in a quoted field is even, so the cells can be undone as one text.
    undone = b"".join(cells).replace(b'""', b'"')
    lengths = np.fromiter(map(len, cells), dtype=np.int32, count=len(cells)) - pairs.astype(np.int32)
    return view_array(views, block.buffer, replace_cells(views, rows, undone, lengths))


class _OverlongRecord:
    """Finds the end of a record that is too long to be held: the quote-aware state between blocks, and nothing else."""

    _FIELD_START, _UNQUOTED, _QUOTED, _AFTER_QUOTE = range(4)

    def __init__(self, separates: Mask) -> None:
        separators = bytes(np.flatnonzero(separates).astype(np.uint8))
        self._separator = re.compile(rb"[" + re.escape(separators) + rb"]")
        self._state = self._FIELD_START

    def feed(self, part: bytes) -> int | None:
        """Read on; where the next record begins in `part`, or None when the record goes on."""
        at = 0
        while at < len(part):
            if self._state == self._FIELD_START:
                quoted = part[at] == _QUOTE
                self._state = self._QUOTED if quoted else self._UNQUOTED
                at += quoted
            elif self._state == self._UNQUOTED:
                separator = self._separator.search(part, at)
                if separator is None:
                    return None
                at = separator.end()
                if separator.group() in (b"\r", b"\n"):
                    return at
                self._state = self._FIELD_START
            elif self._state == self._QUOTED:
                quote = part.find(b'"', at)
                if quote < 0:
                    return None
                at = quote + 1
                self._state = self._AFTER_QUOTE
            else:
                doubled = part[at] == _QUOTE
                self._state = self._QUOTED if doubled else self._UNQUOTED
                at += doubled
        return None
