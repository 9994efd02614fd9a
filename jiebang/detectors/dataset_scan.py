"""Looking through everything that was handed in: cells of tables, column names, documents, and what no table took."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from jiebang.dataset.canonical import CanonicalDataset
from jiebang.dataset.opening import DataFile, FileKind
from jiebang.dataset.parquet_records import open_parquet
from jiebang.dataset.tables import Table
from jiebang.dataset.tally import Tally
from jiebang.declaration import Declaration
from jiebang.detectors.catalogue import CLASSES, NUMBERS, numbers_of
from jiebang.detectors.cells import TableScan, found_in
from jiebang.detectors.definition import Kind
from jiebang.detectors.finds import Found
from jiebang.detectors.scanning import Cells, Scanner, scanner
from jiebang.detectors.schema import sensitive_records
from jiebang.detectors.text_files import found_in_text, is_text

_OUT_OF_CONTEXT = frozenset(found.name for found in CLASSES if found.kind is Kind.SECRET) | {"child_id_card"}
"""What is told of raw lines of a table's file and of binary files: bytes look like the other classes by accident."""


@dataclass(frozen=True)
class ScannedDataset:
    """The tables with what was found in their cells beside them, and everything that was found, by place."""

    tables: tuple[Table, ...]
    found: tuple[Found, ...]


def scan_dataset(
    files: Sequence[DataFile], canonical: CanonicalDataset, declaration: Declaration, as_of: datetime.date
) -> ScannedDataset:
    """Look through a dataset that was opened and read; `as_of` is the day that stands for today."""
    detectors = scanner()
    connection = canonical.connection
    cells = TableScan(connection, detectors, as_of)
    tables = []
    found: list[Found] = []
    for table in canonical.tables:
        own = declaration.for_table(table.name, table.files)
        scanned = cells.scan(table, timed=own.time if own.time_format is not None else None)
        _apply_schema_rules(connection, scanned)
        tables.append(scanned)
        found += found_in(connection, scanned)
        found += _in_names(scanned, detectors, as_of)
    for file in files:
        found += _outside(file, canonical.tables, found, detectors, as_of)
    return ScannedDataset(tuple(tables), tuple(found))


def _apply_schema_rules(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    personal = numbers_of(Kind.PERSONAL, Kind.SENSITIVE)
    assert table.finds is not None
    for name, column, records in list(sensitive_records(connection, table, table.finds, personal)):
        connection.execute(f"INSERT INTO {table.finds} SELECT f, r, {column}, {NUMBERS[name]} FROM ({records})")


def _in_names(table: Table, detectors: Scanner, as_of: datetime.date) -> Iterator[Found]:
    """What column names themselves hold."""
    names = [*(column.name for column in table.columns if column.present), *table.beyond]
    if names and table.files:
        places, classes = detectors.scan(Cells.of_texts(names), as_of)
        for place, number in zip(places.tolist(), classes.tolist(), strict=True):
            yield Found(CLASSES[number].name, table.files[0], column=f"column {place + 1}")


def _outside(
    file: DataFile, tables: Sequence[Table], known: Sequence[Found], detectors: Scanner, as_of: datetime.date
) -> list[Found]:
    """What a file holds outside the cells of the tables."""
    if file.kind is FileKind.OTHER:
        found = found_in_text(file.path, file.location, detectors, as_of)
        return found if is_text(file.location) else [one for one in found if one.name in _OUT_OF_CONTEXT]
    table = next((table for table in tables if file.path in table.files), None)
    if table is not None and not table.beyond and table.attempted == table.records and table.parsed:
        return []
    if file.kind is FileKind.PARQUET:
        found = _in_columns(file, detectors, as_of)
    else:
        found = found_in_text(file.path, file.location, detectors, as_of)
    told = {one.name for one in known if one.file == file.path}
    return [one for one in found if one.name in _OUT_OF_CONTEXT and one.name not in told]


def _in_columns(file: DataFile, detectors: Scanner, as_of: datetime.date) -> list[Found]:
    """What the columns of text of a Parquet file hold, whether a table wants them or not."""
    source = open_parquet(file)
    counted: dict[tuple[int, int], Found] = {}
    for batch in source.batches(list(range(len(source.names))), Tally(file.path)):
        for index, column in enumerate(batch.columns):
            if not (
                pa.types.is_string(column.type)
                or pa.types.is_string_view(column.type)
                or pa.types.is_large_string(column.type)
            ):
                continue
            places, classes = detectors.scan(Cells.of(column), as_of)
            for place, number in zip(places.tolist(), classes.tolist(), strict=True):
                known = counted.get((number, index))
                record = int(batch.ordinals[place])
                counted[number, index] = (
                    Found(CLASSES[number].name, file.path, record=record, column=source.names[index])
                    if known is None
                    else replace(known, count=known.count + 1)
                )
    return [counted[key] for key in sorted(counted)]
