"""Columns of text as Arrow string views: sixteen bytes a cell that point into the block they were read from.

A view is built by arithmetic on arrays, without touching the text, and DuckDB reads it as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PADDING = 16
"""Bytes that must follow the last one of a block, so that a view's first twelve can be read anywhere in it."""

Positions = npt.NDArray[np.int32]

_LOW = np.array([(1 << (8 * min(length, 8))) - 1 for length in range(13)], dtype=np.uint64)
_HIGH = np.array([(1 << (8 * max(0, length - 8))) - 1 for length in range(13)], dtype=np.uint32)


class Block:
    """Bytes with padding behind them, readable eight and four at a time from any position."""

    def __init__(self, *parts: bytes) -> None:
        self.raw = b"".join((*parts, bytes(PADDING)))
        self.length = len(self.raw) - PADDING
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self.raw, dtype=np.uint8)
        self.buffer = pa.py_buffer(self.raw)
        self._eight = np.ndarray((self.length + 1,), "<u8", self.raw, strides=(1,))
        self._first_four = np.ndarray((self.length + 1,), "<u4", self.raw, strides=(1,))
        self._four = np.ndarray((self.length + 1,), "<u4", self.raw, offset=8, strides=(1,))

    def words_at(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        """The four bytes from each position on, as little-endian numbers."""
        return self._first_four[starts]

    def views(self, starts: Positions, lengths: Positions) -> npt.NDArray[np.uint32]:
        """The views of cells, as rows of four 32-bit words: length, then twelve bytes or prefix, buffer and offset."""
        words = np.empty((len(starts), 4), dtype=np.uint32)
        words[:, 0] = lengths
        shown = np.minimum(lengths, 12)
        low = self._eight[starts]
        low &= _LOW[shown]
        words[:, 1:3] = low.view(np.uint32).reshape(-1, 2)
        high = self._four[starts]
        high &= _HIGH[shown]
        words[:, 3] = high
        long = np.flatnonzero(lengths > 12)
        if len(long):
            words[long, 2] = 0
            words[long, 3] = starts[long]
        return words


def view_array(
    words: npt.NDArray[np.uint32], *buffers: pa.Buffer, present: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """An Arrow array of strings out of views, which name the buffers by index; null where not `present`."""
    validity = None if present is None or present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    parts = [validity, pa.py_buffer(np.ascontiguousarray(words)), *buffers]
    return pa.Array.from_buffers(pa.string_view(), len(words), parts, null_count=0 if validity is None else -1)


def replace_cells(words: npt.NDArray[np.uint32], rows: npt.NDArray[np.int64], cells: Sequence[bytes]) -> pa.Buffer:
    """Put other texts into some rows of views; returns the buffer that becomes the second of the array."""
    block = Block(*cells)
    lengths = np.fromiter(map(len, cells), dtype=np.int32, count=len(cells))
    replaced = block.views(np.cumsum(lengths, dtype=np.int32) - lengths, lengths)
    replaced[lengths > 12, 2] = 1
    words[rows] = replaced
    return block.buffer


def nullable_view_array(cells: Sequence[bytes | None]) -> pa.Array:
    """An Arrow array of strings out of separate cells of UTF-8, None where there is none."""
    block = Block(*[cell for cell in cells if cell])
    lengths = np.fromiter((len(cell) if cell else 0 for cell in cells), dtype=np.int32, count=len(cells))
    starts = np.zeros(len(cells), dtype=np.int32)
    np.cumsum(lengths[:-1], out=starts[1:])
    words = block.views(starts, lengths)
    present = np.fromiter((cell is not None for cell in cells), dtype=np.bool_, count=len(cells))
    return view_array(words, block.buffer, present=present)


def integer_array(values: npt.NDArray[np.int64]) -> pa.Array:
    """An Arrow array over the integers of an array, without copying."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)], null_count=0)
