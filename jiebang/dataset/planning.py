"""Which files make which table, and which columns a table has: before any cell is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from jiebang.dataset.opening import DataFile
from jiebang.dataset.tally import Batch, Tally
from jiebang.declaration import Declaration, TableDeclaration

IDENTIFIERS = frozenset(("", "unnamed: 0", "id", "rid", "_id", "uuid", "guid", "rowid", "row_id", "record_id"))
"""Columns with these names (case-folded) do not make a record what it is, unless they are declared as key."""


_MOST_BEYOND = 1000


class Source(Protocol):
    """A file whose columns are known and whose records can be read."""

    @property
    def file(self) -> DataFile:
        """The file."""

    @property
    def family(self) -> str:
        """Files of one family with the same column names are one table."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the file's columns."""

    @property
    def text_bytes(self) -> int:
        """About how many bytes of text the file holds."""

    @property
    def problem(self) -> str | None:
        """Why no record can be read, or None."""

    def types(self, wanted: Sequence[int | None]) -> tuple[pa.DataType, ...]:
        """The Arrow types of the wanted columns."""

    @property
    def proves(self) -> bool:
        """Whether batches come with proofs of texts."""

    def batches(
        self, wanted: Sequence[int | None], tally: Tally, markers: Mapping[int, int] | None = None
    ) -> Iterator[Batch]:
        """The parsed records; a column wanted as None is null throughout.

        `markers` gives, by their places in `wanted`, the columns for which proofs of text are of use, and the length
        in bytes of their longest missing marker.
        """


@dataclass(frozen=True)
class PlannedColumn:
    """A column that a table is to have; `declared` is the declared type."""

    name: str
    present: bool
    declared: str | None


@dataclass(frozen=True)
class PlannedTable:
    """A table to build: its files, its columns, what is declared of it, and whether undeclared types are inferred."""

    name: str
    sources: tuple[Source, ...]
    columns: tuple[PlannedColumn, ...]
    declaration: TableDeclaration
    inferred: bool = True
    missing: bool = False

    def wanted(self, source: Source) -> tuple[int | None, ...]:
        """For each present column, where the source has it."""
        places = {name: index for index, name in reversed(list(enumerate(source.names)))}
        return tuple(places.get(column.name) for column in self.columns if column.present)

    def beyond(self) -> tuple[str, ...]:
        """The first columns of the files that are none of the table's."""
        own = {column.name for column in self.columns}
        others = dict.fromkeys(name for source in self.sources for name in source.names if name not in own)
        return tuple(others)[:_MOST_BEYOND]

    def identity(self) -> tuple[int, ...]:
        """The present columns that make a record for DUP-1."""
        kept = [
            index
            for index, column in enumerate(self.columns)
            if column.name in self.declaration.key or column.name.casefold() not in IDENTIFIERS
        ]
        chosen = kept or range(len(self.columns))
        return tuple(index for index in chosen if self.columns[index].present)


def plan_tables(sources: Sequence[Source], declaration: Declaration) -> tuple[list[PlannedTable], list[str]]:
    """The tables of a dataset in the order of their first files, and warnings of files that count nowhere."""
    return _demanded(sources, declaration) if declaration.closed else (_found(sources, declaration), [])


def _found(sources: Sequence[Source], declaration: Declaration) -> list[PlannedTable]:
    """One's own exploration: files of one family with the same set of column names are one table."""
    groups: dict[object, list[Source]] = {}
    for source in sources:
        group: object = (source.family, frozenset(source.names))
        if source.problem is not None:
            group = source.file.path  # what cannot be read joins nothing
        groups.setdefault(group, []).append(source)
    tables = []
    for members in groups.values():
        name = members[0].file.path
        own = declaration.for_table(name, [member.file.path for member in members])
        columns = tuple(PlannedColumn(column, True, own.type_of(column)) for column in members[0].names)
        tables.append(PlannedTable(name, tuple(members), columns, own))
    return tables


def _demanded(sources: Sequence[Source], declaration: Declaration) -> tuple[list[PlannedTable], list[str]]:
    """A challenge: the tables and columns are those of the demand, whatever was handed in."""
    warnings = []
    members: dict[str | None, list[Source]] = {name: [] for name in declaration.tables} or {None: []}
    if declaration.is_of_images_alone:
        return [], [f"{source.file.path}: no table is demanded, so it counts nowhere." for source in sources]
    for source in sources:
        table = declaration.table_of(source.file.path) if declaration.tables else None
        if declaration.tables and table is None:
            warnings.append(f"{source.file.path}: belongs to no demanded table and counts nowhere.")
        else:
            members[table].append(source)
    tables = []
    for table, files in members.items():
        own = declaration.default if table is None else declaration.tables[table].over(declaration.default)
        held = {name for source in files for name in source.names}
        columns = tuple(
            PlannedColumn(name, name in held, own.type_of(name)) for name in declaration.demanded_columns(table)
        )
        shown = table if table is not None else files[0].file.path if files else "dataset"
        tables.append(PlannedTable(shown, tuple(files), columns, own, inferred=False, missing=not files))
    return tables, warnings
