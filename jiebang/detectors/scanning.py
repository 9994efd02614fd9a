"""One compiled pass over many cells: hyperscan finds candidates of all classes together, validators decide.

Cells of one column (or the lines of a file) are joined into one text, parted by a line feed, and scanned at once, so
that the cost of a call is shared by thousands of cells. No candidate crosses from one cell into the next, since what an
exact pattern may look at ends with the cell.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import hyperscan
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jiebang.dataset.text_columns import integer_array, nullable_view_array
from jiebang.detectors.catalogue import DETECTORS, NUMBERS
from jiebang.detectors.definition import Candidate, Detector
from jiebang.detectors.detection_text import QUICKLY_UNUSUAL, TELLING, UNUSUAL, detection_text

_EDGE = 8
_SEPARATOR = b"\n"

Finds = tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]
"""Which cells hold which classes, as two arrays of one length, without repetition."""

NOTHING: Finds = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int16))


@dataclass(frozen=True)
class Cells:
    """Cells in the form that detectors see, joined into one text; `starts` and `ends` are their places in it."""

    text: bytes
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of_texts(cls, texts: Sequence[str], keyword: str = "") -> Cells:
        """Texts as cells: lines, names."""
        return cls.of(nullable_view_array([text.encode("utf-8") for text in texts]), keyword)

    @classmethod
    def of(cls, column: pa.Array, keyword: str = "") -> Cells:
        """The cells of a column of strings; `keyword` is put in front of each, as the column's name says it."""
        cells = without_nulls(column)
        plain = _plain(cells)
        if plain is None and not keyword:
            return cls(b"", np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells), dtype=np.int64))
        cells = cells if plain is None else plain
        before = _SEPARATOR + keyword.encode()
        offsets = offsets_of(cells).astype(np.int64)
        lengths = np.diff(offsets)
        starts = (offsets[:-1] - offsets[0]) + len(before) * np.arange(len(cells), dtype=np.int64) + len(_SEPARATOR)
        return cls(_joined(cells, before), starts, starts + lengths + len(before) - len(_SEPARATOR))


def without_nulls(column: pa.Array) -> pa.Array:
    """The column as strings or large strings, empty where it was null."""
    cells = column if pa.types.is_string(column.type) else column.cast(pa.large_string())
    return pc.fill_null(cells, text_like(cells, [""])[0]) if cells.null_count else cells


def offsets_of(cells: pa.Array) -> npt.NDArray[np.signedinteger]:
    """Where each cell begins in the text of the column, and where the last one ends."""
    number = np.dtype(np.int32 if pa.types.is_string(cells.type) else np.int64)
    return np.frombuffer(cells.buffers()[1], dtype=number)[cells.offset : cells.offset + len(cells) + 1]


def text_like(cells: pa.Array, texts: Sequence[str]) -> pa.Array:
    """Some texts as a column of the same type."""
    # Not by pa.array or pa.scalar, which import pandas where it is installed: a second in each process.
    return nullable_view_array([text.encode("utf-8") for text in texts]).cast(cells.type)


def _joined(cells: pa.Array, before: bytes) -> bytes:
    whole = pa.LargeListArray.from_arrays(integer_array(np.array([0, len(cells)])), cells)
    joined = pc.binary_join(whole, text_like(cells, [before.decode()])[0]).buffers()[2]
    return b"".join((before, memoryview(joined) if joined is not None else b"", _SEPARATOR))


def _plain(cells: pa.Array) -> pa.Array | None:
    """The cells as detectors see them, None where nothing can be in any of them.

    Most blocks of text need no change, and many columns hold nothing but words: quick passes over the whole tell.
    """
    buffer = cells.buffers()[2]
    if buffer is None:
        return None
    offsets = offsets_of(cells)
    # Any buffer can be scanned, whatever the types say.
    text = cast(bytes, memoryview(buffer)[offsets[0] : offsets[-1]])
    if not _is_unusual(text):
        return cells if _holds(_telling(), text) else None
    unusual = pc.match_substring_regex(cells, UNUSUAL)
    changed = [detection_text(text) for text in cells.filter(unusual).to_pylist()]
    return pc.replace_with_mask(cells, unusual, text_like(cells, changed))


def _is_unusual(text: bytes) -> bool:
    return _holds(_unusual(), text)


def _holds(database: hyperscan.Database, text: bytes) -> bool:
    found: list[int] = []
    database.scan(text, match_event_handler=lambda *match: found.append(1))
    return bool(found)


@cache
def _unusual() -> hyperscan.Database:
    return _quick_test(QUICKLY_UNUSUAL)


@cache
def _telling() -> hyperscan.Database:
    return _quick_test(TELLING)


def _quick_test(pattern: str) -> hyperscan.Database:
    return _compile([pattern], [hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH])


def _compile(patterns: Sequence[str], flags: Sequence[int]) -> hyperscan.Database:
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for pattern in patterns],
        ids=list(range(len(patterns))),
        elements=len(patterns),
        flags=list(flags),
    )
    return database


class Scanner:
    """A set of detectors compiled together."""

    def __init__(self, detectors: Sequence[Detector] = DETECTORS) -> None:
        self.detectors = tuple(detectors)
        self.database = _compile(
            [detector.candidate for detector in detectors],
            [hyperscan.HS_FLAG_CASELESS if detector.caseless else 0 for detector in detectors],
        )

    def scan(self, cells: Cells, as_of: datetime.date, without: frozenset[str] = frozenset()) -> Finds:
        """Which cells hold which classes; the detectors named by `without` are left out."""
        if not cells.text:
            return NOTHING
        candidates: list[int] = []
        append = candidates.append
        self.database.scan(cells.text, match_event_handler=lambda id, start, end, flags, context: append(end << 8 | id))
        if not candidates:
            return NOTHING
        kept = np.array(candidates, dtype=np.int64)
        ids, ends = kept & 0xFF, kept >> 8
        # The last byte of a candidate is in its cell or the separator behind it.
        places = np.searchsorted(cells.starts, ends - 1, side="right") - 1
        found: set[tuple[int, int]] = set()
        decided: set[tuple[int, int]] = set()
        leaves = [detector.name in without for detector in self.detectors]
        # Cells repeat themselves, and so do the few bytes that matter of them.
        known: dict[tuple[int, bytes, bool, bool], frozenset[str]] = {}
        starts, stops = cells.starts[places].tolist(), cells.ends[places].tolist()
        for id, end, place, start, stop in zip(
            ids.tolist(), ends.tolist(), places.tolist(), starts, stops, strict=True
        ):
            if leaves[id] or place < 0 or (place, id) in decided:
                continue
            detector = self.detectors[id]
            low, high = max(start, end - detector.back), min(stop, end + detector.ahead)
            around = (id, cells.text[low:high], low > start, high < stop)
            names = known.get(around)
            if names is None:
                names = known[around] = _names(detector, *around[1:], as_of)
            found.update((place, NUMBERS[name]) for name in names)
            if names and detector.also is None:
                decided.add((place, id))
        if not found:
            return NOTHING
        pairs = np.array(sorted(found), dtype=np.int64)
        return pairs[:, 0].copy(), pairs[:, 1].astype(np.int16)


def _names(
    detector: Detector, text: bytes, more_before: bool, more_behind: bool, as_of: datetime.date
) -> frozenset[str]:
    """The classes in the text around a candidate, before and behind which there may be more of its cell.

    One is enough, but where a detector tells two apart.
    """
    names: set[str] = set()
    match = detector.exact.search(text)
    while match is not None:
        cut_off = (more_before and match.start() < _EDGE) or (more_behind and match.end() > len(text) - _EDGE)
        if not cut_off:
            name = detector.validate(Candidate(text, match.start(), match.end(), as_of))
            if name is not None:
                names.add(name)
                if detector.also is None:
                    break
        # From the next character, since a match may begin in one that was no good.
        match = detector.exact.search(text, match.start() + 1)
    return frozenset(names)


@cache
def scanner() -> Scanner:
    """The scanner of every detector, compiled once a process."""
    return Scanner()


def compile_all() -> None:
    """Compile everything that scanning needs."""
    scanner()
    _unusual()
    _telling()
    detection_text("\u3000")
