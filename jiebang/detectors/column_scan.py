"""Looking through one column, batch by batch: what is proved of whole cells at once, and a scan of all others."""

from __future__ import annotations

import datetime
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jiebang.dataset.text_columns import boolean_array, integer_array
from jiebang.detectors.catalogue import CLASSES, NUMBERS
from jiebang.detectors.proofs import PROOFS
from jiebang.detectors.scanning import NOTHING, Cells, Finds, Scanner, offsets_of, text_like, without_nulls

SHORTEST = 5
"""No cell of fewer bytes holds anything, whatever the name of its column says."""

_SAMPLE = 100
_SAMPLED = 16
"""Of how many batches one is sampled, until a column is full of something."""

_FULL = 0.25
"""The share of a sample that holds one class, from which on a column is full of it."""


class ColumnScan:
    """The scan of one column of a table."""

    def __init__(
        self, scanner: Scanner, as_of: datetime.date, keyword: str = "", without: frozenset[str] = frozenset()
    ) -> None:
        self._scanner = scanner
        self._as_of = as_of
        self._keyword = keyword
        self._without = without
        self._full: tuple[str, ...] = ()
        self._batches = 0

    def scan(self, column: pa.Array) -> Finds:
        """What is found in the cells of a batch."""
        if column.null_count == len(column):
            return NOTHING
        cells = without_nulls(column)
        if int(np.diff(offsets_of(cells)).max()) < SHORTEST:
            return NOTHING
        # A word in front gives a number another meaning, so nothing is proved of such cells.
        if not self._full and not self._keyword and len(cells) > 10 * _SAMPLE:
            if self._batches % _SAMPLED == 0:
                self._full = self._full_of(cells)
            self._batches += 1
        return self._proved(cells) if self._full else self._scanned(cells)

    def _scanned(self, cells: pa.Array) -> Finds:
        return self._scanner.scan(Cells.of(cells, self._keyword), self._as_of, self._without)

    def _full_of(self, cells: pa.Array) -> tuple[str, ...]:
        """The classes that a column is full of, of those that can be proved."""
        step = len(cells) // _SAMPLE
        chosen = integer_array(np.arange(0, _SAMPLE * step, step, dtype=np.int64))
        _, classes = self._scanned(cells.take(chosen))
        counts = Counter(CLASSES[number].name for number in classes.tolist())
        return tuple(name for name, count in counts.items() if name in PROOFS and count >= _FULL * _SAMPLE)

    def _proved(self, cells: pa.Array) -> Finds:
        proved = np.zeros(len(cells), dtype=np.bool_)
        places, classes = [], []
        for proof in dict.fromkeys(PROOFS[name] for name in self._full):
            for name, mask in proof(cells, self._as_of):
                proved |= mask
                places.append(np.flatnonzero(mask))
                classes.append(np.full(len(places[-1]), NUMBERS[name], dtype=np.int16))
        if not proved.all():
            left = pc.if_else(boolean_array(proved), text_like(cells, [""])[0], cells)
            found = self._scanned(left)
            places.append(found[0])
            classes.append(found[1])
        return np.concatenate(places), np.concatenate(classes)
