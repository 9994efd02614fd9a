"""Looking through canonical tables: which record holds which class in which column, kept as a relation.

The relation of a table has a row for each record, column and class: `f` and `r` name the record as in the table, `c` is
the index of the column, `d` the number of the class. Its rows are the same however a table is cut into files, batches
or threads.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.dataset.text_columns import integer_array
from jiebang.detectors.catalogue import CLASSES, DETECTORS
from jiebang.detectors.definition import plain_name
from jiebang.detectors.finds import Found
from jiebang.detectors.scanning import Cells, Scanner

_TYPED = (ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.TIMESTAMP)
_NUMERIC = (ColumnType.INTEGER, ColumnType.DECIMAL)
_SHORTEST = 5
_SHORTEST_NUMBER = 15
"""No number of fewer characters is of a class that a column of numbers may hold under any name."""

_COLUMNS_AT_ONCE = 20
_BATCH_BYTES = 16 << 20
_BATCH_ROWS = (1_000, 65_536)
_KEPT_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Look:
    """How one column is looked through: the SQL of its cells, NULL where nothing can be, and what its name says."""

    column: Column
    cells: str
    keyword: str
    without: frozenset[str]


def look_of(column: Column, *, timed: bool = False) -> _Look:
    """How a column is looked through; `timed` if a declared time format says what conforms to its type."""
    name = plain_name(column.name)
    told = [detector for detector in DETECTORS if detector.telling and detector.telling.search(name)]
    cells = f"s{column.index}"
    without: frozenset[str] = frozenset()
    if column.type in _TYPED and not timed:
        cells = f"CASE WHEN k{column.index} = 0 THEN {cells} END"
    elif column.type in _NUMERIC:
        named = {detector.name for detector in DETECTORS if detector.named}
        without = frozenset(named - {detector.name for detector in told})
        if not told:
            cells = f"CASE WHEN k{column.index} = 0 OR strlen({cells}) >= {_SHORTEST_NUMBER} THEN {cells} END"
    return _Look(column, cells, next((detector.keyword for detector in told if detector.keyword), ""), without)


class TableScan:
    """Looks through the tables of a connection, and leaves a relation of finds beside each."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, scanner: Scanner, as_of: datetime.date) -> None:
        self._connection = connection
        self._scanner = scanner
        self._as_of = as_of

    def scan(self, table: Table, *, timed: str | None = None) -> Table:
        """The table with its relation of finds; `timed` is the column that a declared time format reads."""
        finds = f"{table.relation}_finds"
        self._connection.execute(f"CREATE TABLE {finds} (f INTEGER, r BIGINT, c INTEGER, d INTEGER)")
        if table.records:
            looks = [look_of(column, timed=column.name == timed) for column in table.columns if column.present]
            for first in range(0, len(looks), _COLUMNS_AT_ONCE):
                self._scan_columns(table.relation, finds, looks[first : first + _COLUMNS_AT_ONCE])
        return replace(table, finds=finds)

    def _scan_columns(self, relation: str, finds: str, looks: Sequence[_Look]) -> None:
        lengths = ", ".join(f"max(strlen({look.cells}))" for look in looks)
        longest = self._connection.execute(f"SELECT {lengths} FROM {relation}").fetchall()[0]
        chosen = [(look, length) for look, length in zip(looks, longest, strict=True) if (length or 0) >= _SHORTEST]
        if not chosen:
            return
        widest = max(length for _, length in chosen)
        least, most = _BATCH_ROWS
        rows = max(least, min(most, _BATCH_BYTES // widest))
        cells = ", ".join(f"{look.cells} AS s{place}" for place, (look, _) in enumerate(chosen))
        # A cursor of its own, since finds are written while it is read.
        with self._connection.cursor() as reading:
            reader = reading.sql(f"SELECT f, r, {cells} FROM {relation}").to_arrow_reader(rows)
            kept = _Kept(self._connection, finds)
            for batch in reader:
                for place, (look, _) in enumerate(chosen):
                    column = batch.column(2 + place)
                    if column.null_count < len(column):
                        kept.add(batch, look.column.index, *self._scan_cells(look, column))
            kept.write()

    def _scan_cells(self, look: _Look, column: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]:
        return self._scanner.scan(Cells.of(column, look.keyword), self._as_of, look.without)


class _Kept:
    """Finds on their way into their relation."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, finds: str) -> None:
        self._connection = connection
        self._finds = finds
        self._parts: list[pa.RecordBatch] = []
        self._rows = 0

    def add(
        self, batch: pa.RecordBatch, column: int, rows: npt.NDArray[np.int64], classes: npt.NDArray[np.int16]
    ) -> None:
        """Take the finds of one column of a batch."""
        if not len(rows):
            return
        chosen = integer_array(rows)
        self._parts.append(
            pa.RecordBatch.from_arrays(
                [
                    batch.column(0).take(chosen),
                    batch.column(1).take(chosen),
                    integer_array(np.full(len(rows), column, dtype=np.int64)),
                    integer_array(classes.astype(np.int64)),
                ],
                names=["f", "r", "c", "d"],
            )
        )
        self._rows += len(rows)
        if self._rows >= _KEPT_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Write what is held."""
        if self._parts:
            view = f"new_{self._finds}"
            self._connection.register(view, pa.Table.from_batches(self._parts))
            self._connection.execute(f"INSERT INTO {self._finds} SELECT f, r, c, d FROM {view}")
            self._connection.unregister(view)
        self._parts, self._rows = [], 0


def found_in(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Found]:
    """What was found in a table's cells, by class, file and column."""
    if table.finds is None:
        return
    names = {column.index: column.name for column in table.columns}
    asked = f"SELECT d, f, c, count(*), min(r) FROM {table.finds} GROUP BY d, f, c ORDER BY d, f, c"
    for d, f, c, count, first in connection.execute(asked).fetchall():
        yield Found(CLASSES[d].name, table.files[f], count, record=first, column=names[c])
