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
Views = npt.NDArray[np.uint64]

# Which of the first four bytes, and of the eight that follow, belong to a text of a length (twelve: or more).
_FIRST = np.array([(1 << (8 * min(length, 4))) - 1 for length in range(13)], dtype=np.uint32)
_REST = np.array([(1 << (8 * max(0, length - 4))) - 1 for length in range(13)], dtype=np.uint64)


class Block:
    """Bytes with padding behind them, readable eight and four at a time from any position."""

    def __init__(self, *parts: bytes) -> None:
        self.raw = b"".join((*parts, bytes(PADDING)))
        self.length = len(self.raw) - PADDING
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self.raw, dtype=np.uint8)
        self.buffer = pa.py_buffer(self.raw)
        self._first = np.ndarray((self.length + 1,), "<u4", self.raw, strides=(1,))
        self._rest = np.ndarray((self.length + 1,), "<u8", self.raw, offset=4, strides=(1,))

    def words_at(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        """The four bytes from each position on, as little-endian numbers."""
        return self._first[starts]

    def views(self, starts: Positions, lengths: Positions) -> Views:
        """The views of cells, as pairs of 64-bit words: the length and four bytes, then eight bytes or a pointer."""
        views = np.empty((*starts.shape, 2), dtype=np.uint64)
        shown = np.minimum(lengths, 12)
        first = self._first[starts]
        first &= _FIRST.take(shown)  # several times faster than indexing
        halves = views.view(np.uint32)
        halves[..., 0] = lengths
        halves[..., 1] = first
        rest = self._rest[starts]
        rest &= _REST.take(shown)
        long = lengths > 12
        if long.any():
            rest[long] = starts[long].astype(np.uint64) << np.uint64(32)  # in buffer 0
        views[..., 1] = rest
        return views


def view_array(views: Views, *buffers: pa.Buffer, present: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """An Arrow array of strings out of views, which name the buffers by index; null where not `present`."""
    validity = None if present is None or present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    parts = [validity, pa.py_buffer(np.ascontiguousarray(views)), *buffers]
    return pa.Array.from_buffers(pa.string_view(), len(views), parts, null_count=0 if validity is None else -1)


def replace_cells(views: Views, rows: npt.NDArray[np.int64], text: bytes, lengths: Positions) -> pa.Buffer:
    """Put the pieces of a text into some rows of views; returns the buffer that becomes the second of the array."""
    block = Block(text)
    replaced = block.views(np.cumsum(lengths, dtype=np.int32) - lengths, lengths)
    replaced[lengths > 12, 1] |= np.uint64(1)
    views[rows] = replaced
    return block.buffer


def nullable_view_array(cells: Sequence[bytes | None]) -> pa.Array:
    """An Arrow array of strings out of separate cells of UTF-8, None where there is none."""
    block = Block(*[cell for cell in cells if cell])
    lengths = np.fromiter((len(cell) if cell else 0 for cell in cells), dtype=np.int32, count=len(cells))
    starts = np.zeros(len(cells), dtype=np.int32)
    np.cumsum(lengths[:-1], out=starts[1:])
    views = block.views(starts, lengths)
    present = np.fromiter((cell is not None for cell in cells), dtype=np.bool_, count=len(cells))
    return view_array(views, block.buffer, present=present)


def boolean_array(values: npt.NDArray[np.bool_]) -> pa.Array:
    """An Arrow array of truth values."""
    return pa.Array.from_buffers(
        pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))], null_count=0
    )


def integer_array(values: npt.NDArray[np.int64]) -> pa.Array:
    """An Arrow array over the integers of an array, without copying."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)], null_count=0)
