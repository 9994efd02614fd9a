"""JSON lines of one shape, read by arithmetic: the same names in the same order, and nothing nested.

A shape is learned from a line. A line has it when its separators outside strings are of the same kinds in the same
order, the bytes of its names are the same, and each value is proved a string, a plain number, true, false or null.
Every other line is read one by one, so a shape only saves time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from json import JSONDecoder

import numpy as np
import numpy.typing as npt

from jiebang.dataset.json_values import NOT_JSON, UNPAIRED_SURROGATE, RecordFails
from jiebang.dataset.text_columns import Block

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LF, _QUOTE, _COMMA, _COLON, _BACKSLASH = b'\n",:\\'
_OPEN, _CLOSE = b"{}"
_MINUS, _POINT, _ZERO, _NINE = b"-.09"
_NAME = re.compile(rb'\s*"([^"\\]*)"\s*')
_json = JSONDecoder()
_TRUE, _FALSE, _NULL = (int.from_bytes(word, "little") for word in (b"true", b"fals", b"null"))


@dataclass(frozen=True)
class Shape:
    """The names of a flat line as they are called, and the bytes they are written with, blanks and quotes included."""

    names: tuple[str, ...]
    written: tuple[bytes, ...]


def shape_of(line: bytes, names: tuple[str, ...]) -> Shape | None:
    """The shape of a line that was read and gave these names; None if it is nested, empty or escapes its names."""
    block = Block(line, b"\n")
    scanned = ScannedLines(block, block.length)
    marks = scanned.marks
    kinds = block.bytes[marks]
    count = len(names)
    if not count or len(marks) != 2 * count + 2 or kinds.tobytes() != _kinds(count).tobytes():
        return None
    written = tuple(line[marks[2 * place] + 1 : marks[2 * place + 1]] for place in range(count))
    return Shape(names, written) if all(_NAME.fullmatch(name) for name in written) else None


def _kinds(count: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"{" + b":," * (count - 1) + b":}\n", dtype=np.uint8)


@dataclass(frozen=True)
class Shaped:
    """The lines of one shape: their indexes in the block, and where their cells are; `null` cells have length -1."""

    lines: Positions
    starts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    escaped: Mask


class ScannedLines:
    """The complete lines of a block up to `end`, with the positions of quotes and separators outside strings."""

    def __init__(self, block: Block, end: int) -> None:
        self._block = block
        self._data = data = block.bytes[:end]
        self.ends = np.flatnonzero(data == _LF)
        self.starts = np.empty_like(self.ends)
        self.starts[0] = 0
        np.add(self.ends[:-1], 1, out=self.starts[1:])
        self.irregular: Mask = np.zeros(len(self.ends), dtype=np.bool_)
        quotes = np.flatnonzero(data == _QUOTE)
        self._backslashes = np.flatnonzero(data == _BACKSLASH)
        if self._backslashes.size:
            quotes = quotes[~self._are_escaped(quotes)]
        self._quotes_in_line = np.diff(np.searchsorted(quotes, self.ends), prepend=0)
        odd = (self._quotes_in_line & 1).astype(np.bool_)
        if odd.any():
            self.irregular |= odd
            quotes = quotes[~np.repeat(odd, self._quotes_in_line)]
        control = data < 32
        if np.count_nonzero(control) != len(self.ends):
            positions = np.flatnonzero(control)
            positions = positions[data[positions] != _LF]
            self.irregular[np.searchsorted(self.ends, positions)] = True
        folded = data | 0x20
        mark = folded == _OPEN  # and [
        mark |= folded == _CLOSE  # and ]
        mark |= data == _COMMA
        mark |= data == _COLON
        mark |= data == _LF
        marks = np.flatnonzero(mark)
        inside = (np.searchsorted(quotes, marks) & 1).astype(np.bool_)
        self.marks: Positions = marks[~inside]
        self._tally: npt.NDArray[np.int64] | None = None
        self._mark_ends = np.flatnonzero(data[self.marks] == _LF)

    def _are_escaped(self, quotes: Positions) -> Mask:
        """Which quotes are preceded by an odd number of backslashes."""
        slashes = self._backslashes
        first_of_run = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
        run = np.zeros(len(slashes), dtype=np.int64)
        run[first_of_run] = first_of_run
        place = np.arange(len(slashes)) - np.maximum.accumulate(run)
        escapes = np.zeros(len(self._data) + 1, dtype=np.bool_)
        escapes[slashes[place & 1 == 0] + 1] = True
        escaped: Mask = escapes[quotes]
        return escaped

    def matching(self, shape: Shape, open_lines: Mask) -> Shaped:
        """Those of the open lines that have the shape."""
        data, count = self._data, len(shape.names)
        width = 2 * count + 2
        lines = np.flatnonzero((np.diff(self._mark_ends, prepend=-1) == width) & open_lines & ~self.irregular)
        marks = self.marks[self._mark_ends[lines, None] + np.arange(1 - width, 1)]
        kept = (data[marks] == _kinds(count)).all(axis=1)
        kept &= marks[:, 0] == self.starts[lines]
        kept &= marks[:, -2] == marks[:, -1] - 1
        for place, written in enumerate(shape.written):
            kept &= marks[:, 2 * place + 1] - marks[:, 2 * place] - 1 == len(written)
            rows = np.flatnonzero(kept)
            if not rows.size:
                break
            begins = marks[rows, 2 * place] + 1
            window = np.lib.stride_tricks.sliding_window_view(data, len(written))[begins]
            kept[rows] = (window == np.frombuffer(written, dtype=np.uint8)).all(axis=1)
        lines, marks = lines[kept], marks[kept]
        starts = marks[:, 1:-1:2] + 1
        ends = marks[:, 2::2]
        starts = starts + (data[starts] == 32)
        proven, is_string, is_null = self._values(starts, ends)
        whole = proven.all(axis=1)
        whole &= self._quotes_in_line[lines] == 2 * (count + is_string.sum(axis=1))
        lines, starts, ends = lines[whole], starts[whole], ends[whole]
        is_string, is_null = is_string[whole], is_null[whole]
        starts = starts + is_string
        ends = ends - is_string
        lengths = ends - starts
        lengths[is_null] = -1
        escaped = np.zeros(starts.shape, dtype=np.bool_)
        if self._backslashes.size:
            slashes = np.diff(np.searchsorted(self._backslashes, self.ends), prepend=0)
            rows = np.flatnonzero(slashes[lines])
            before = np.searchsorted(self._backslashes, starts[rows])
            escaped[rows] = before < np.searchsorted(self._backslashes, ends[rows])
        return Shaped(lines, starts.astype(np.int32), lengths.astype(np.int32), escaped)

    def _values(self, starts: Positions, ends: Positions) -> tuple[Mask, Mask, Mask]:
        """Which values are proved to be right, which of them are strings, and which are null."""
        data = self._data
        sizes = ends - starts
        first, last = data[starts], data[ends - 1]
        is_string = (first == _QUOTE) & (last == _QUOTE) & (sizes >= 2)
        word = self._block.words_at(starts)
        is_null = (word == _NULL) & (sizes == 4)
        is_literal = is_null | ((word == _TRUE) & (sizes == 4))
        is_literal |= (word == _FALSE) & (sizes == 5) & (last == 101)
        proven = is_string | is_literal
        rest = np.nonzero(~proven & (sizes > 0))
        if rest[0].size:
            proven[rest] = self._are_numbers(starts[rest], ends[rest])
        return proven, is_string, is_null

    def _are_numbers(self, starts: Positions, ends: Positions) -> Mask:
        """Which spans are numbers without exponent: an optional minus, digits without a leading zero, a fraction."""
        data = self._data
        if self._tally is None:
            # Digits are counted in the low half of a number, points in the high half.
            self._tally = np.zeros(len(data) + 1, dtype=np.int64)
            weights = ((data - _ZERO) <= _NINE - _ZERO).astype(np.int64)  # in bytes, so that what is below wraps around
            weights[data == _POINT] = 1 << 32
            np.cumsum(weights, out=self._tally[1:])
        whole = starts + (data[starts] == _MINUS)
        tally = self._tally[ends] - self._tally[whole]
        digits, points = tally & 0xFFFFFFFF, tally >> 32
        first = data[whole]
        second = self._block.bytes[whole + 1]
        alone = whole + 1 == ends
        proven = (digits + points == ends - whole) & (points <= 1) & (digits > 0)
        proven &= (first >= _ZERO) & (data[ends - 1] != _POINT)
        proven &= (first != _ZERO) | alone | (second == _POINT)
        result: Mask = proven
        return result


def unescaped(strings: list[bytes]) -> list[bytes | RecordFails]:
    """The texts of JSON strings, given with their quotes, in UTF-8; in place of one that is wrong, why it fails."""
    try:
        texts = _json.decode(f"[{b','.join(strings).decode('utf-8')}]")  # all at once: most often none is wrong
    except ValueError:
        if len(strings) > 1:
            return [text for string in strings for text in unescaped([string])]
        return [RecordFails(NOT_JSON)]
    return [_encoded(text) for text in texts]


def _encoded(text: str) -> bytes | RecordFails:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return RecordFails(UNPAIRED_SURROGATE)
