"""Batches whose columns are only known when a file has been read, kept in a scratch file until then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from jiebang.dataset.tally import Batch
from jiebang.dataset.text_columns import integer_array


@dataclass(frozen=True)
class _Spooled:
    """Where a batch is: its names, records and place in the file, and each column's buffers within that place."""

    names: tuple[str, ...]
    records: int
    start: int
    size: int
    columns: list[list[tuple[int, int] | None]]


class Spool:
    """Batches of text columns, each with its own names, written one after the other and read again in order.

    Not Arrow's own format: that would write a block once for every column that points into it.
    """

    def __init__(self, location: Path) -> None:
        self._location = location
        self._stream = location.open("wb")
        self._batches: list[_Spooled] = []
        self._end = 0

    def write(self, names: tuple[str, ...], batch: Batch) -> None:
        """Keep a batch whose columns have these names."""
        start = self._end
        places: dict[tuple[int, int], tuple[int, int]] = {}
        columns: list[list[tuple[int, int] | None]] = []
        for array in (integer_array(batch.ordinals), *batch.columns):
            column: list[tuple[int, int] | None] = []
            for buffer in array.buffers():
                if buffer is None:
                    column.append(None)
                    continue
                known = (buffer.address, buffer.size)
                if known not in places:
                    places[known] = (self._end - start, buffer.size)
                    self._stream.write(buffer)
                    self._stream.write(bytes(-buffer.size % 8))
                    self._end += buffer.size + -buffer.size % 8
                column.append(places[known])
            columns.append(column)
        self._batches.append(_Spooled(names, len(batch.ordinals), start, self._end - start, columns))

    def finish(self) -> None:
        """Say that nothing more is written."""
        self._stream.close()

    def read(self, wanted: Sequence[str | None]) -> Iterator[Batch]:
        """The batches with the wanted columns, null where a batch has none of that name."""
        with self._location.open("rb", buffering=0) as stream:
            for batch in self._batches:
                stream.seek(batch.start)
                memory = pa.py_buffer(stream.read(batch.size))
                place = {name: index for index, name in enumerate(batch.names, start=1)}
                ordinals = _array(pa.int64(), batch.records, memory, batch.columns[0])
                columns = [
                    _array(pa.string_view(), batch.records, memory, batch.columns[place[name]])
                    if name is not None and name in place
                    else pa.nulls(batch.records, pa.string_view())
                    for name in wanted
                ]
                yield Batch(ordinals.to_numpy(), columns, batch.size)


def _array(
    column_type: pa.DataType, records: int, memory: pa.Buffer, places: Sequence[tuple[int, int] | None]
) -> pa.Array:
    buffers = [None if place is None else memory.slice(*place) for place in places]
    return pa.Array.from_buffers(column_type, records, buffers)
