"""Files to tables: which files are one table, which columns count, and the canonical cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.naive.cells import MISSING, canonical, conforms, follows_format, infer_type, instant
from tests.naive.domains import declared_domains, declared_types, implied_type
from tests.naive.records import File, nfc, read_file
from tests.naive.rules import kinds_in, names_in

IDENTIFIERS = {"", "unnamed: 0", "id", "rid", "_id", "uuid", "guid", "rowid", "row_id", "record_id"}


@dataclass
class NaiveTable:
    """A table of canonical cells: `columns[name]` lists texts (None is missing), in the order of the records."""

    name: str
    files: list[str]
    declare: dict[str, Any]
    columns: dict[str, list[str | None]]
    absent: set[str]
    records: int
    attempted: int
    closed: bool
    types: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[int, int]] = field(default_factory=list)
    as_of: str | None = None

    def conforming(self, name: str) -> list[bool | None]:
        """For each cell whether it conforms to its column's type; None where it is missing."""
        # What is declared to be text conforms whatever the form of a time.
        by_format = name == self.declare.get("time") and self.declare.get("time_format") and self.types[name] != "text"
        test = follows_format if by_format else conforms
        argument = self.declare["time_format"] if by_format else self.types[name]
        return [None if cell is None else test(cell, argument) for cell in self.columns[name]]

    def instants(self, name: str) -> list[int | None]:
        """For each cell the microseconds since 1970 of its time; None where it is missing or no time."""
        form = self.declare.get("time_format") if name == self.declare.get("time") else None
        return [None if cell is None else instant(cell, form) for cell in self.columns[name]]

    def domains(self) -> dict[str, dict[str, Any]]:
        """The declared domain of each column that has one."""
        return declared_domains(self.declare)

    def identity(self) -> list[str]:
        """The columns that make a record: all but identifiers, unless nothing would be left."""
        kept = [n for n in self.columns if n.casefold() not in IDENTIFIERS or n in self.declare.get("key", [])]
        return kept or list(self.columns)


def strip_extensions(path: str) -> str:
    for group in ((".gz", ".zst"), (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")):
        for extension in group:
            if path.lower().endswith(extension) and path[: -len(extension)].rsplit("/", 1)[-1]:
                path = path[: -len(extension)]
                break
    return path


def belongs(path: str, declared: str) -> bool:
    stem = strip_extensions(declared)
    return path == declared or strip_extensions(path) == stem or path.startswith(f"{stem}/")


def nearest(path: str, names: list[str]) -> str | None:
    """Which of these files, tables or folders a file belongs to: itself, else its stem, else the nearest folder."""
    if path in names:
        return path
    homes = [name for name in names if belongs(path, name)]
    return max(homes, key=lambda name: len(strip_extensions(name)), default=None)


def declared_for(path: str, declare: dict[str, Any]) -> dict[str, Any]:
    default = {key: value for key, value in declare.items() if key not in ("tables", "as_of")}
    tables = declare.get("tables", {})
    exact = [name for name in tables if name == path]
    for name in [*exact, *(name for name in tables if belongs(path, name))]:
        return {**default, **tables[name]}
    return default


def demanded(declare: dict[str, Any], all_tables: dict[str, dict[str, Any]], name: str | None) -> list[str]:
    names = [*declare.get("types", {}), *declare.get("key", []), *([declare["label"]] if "label" in declare else [])]
    names += [*declare.get("required", []), *([declare["time"]] if "time" in declare else [])]
    names += [*declare.get("series", []), *declare.get("text", [])]
    later = [*declare.get("domains", {}), declare.get("split", {}).get("column")]
    names += [column for reference in declare.get("foreign_keys", []) for column in reference["fields"]]
    later += [column for rule in declare.get("rules", []) for column in names_in(rule)]
    names += [column for column in later if column is not None]
    for other in all_tables.values():
        for reference in other.get("foreign_keys", []):
            if name is not None and belongs(name, reference["to"]):
                names += reference["key"]
    return list(dict.fromkeys(nfc(column) for column in names))


def read_dataset(files: dict[str, bytes], declare: dict[str, Any], *, closed: bool = False) -> list[NaiveTable]:
    """The tables of a dataset; closed: those of the demand `declare`, whatever was handed in."""
    tables = tables_of(files, declare, closed=closed)
    for table in tables:
        table.as_of = declare.get("as_of")
    return tables


def tables_of(files: dict[str, bytes], declare: dict[str, Any], *, closed: bool) -> list[NaiveTable]:
    paths = sorted(files, key=lambda path: path.encode())
    read = {path: read_file(path, files[path], declared_for(path, declare).get("encoding")) for path in paths}
    if not closed:
        groups: dict[tuple[str, frozenset[str]], list[File]] = {}
        for path in paths:
            groups.setdefault((read[path].kind, frozenset(read[path].columns)), []).append(read[path])
        return [
            build(group[0].path, group, declared_for(group[0].path, declare), group[0].columns, closed=False)
            for group in groups.values()
        ]
    if "tables" not in declare:
        own = {key: value for key, value in declare.items() if key != "as_of"}
        group = [read[path] for path in paths]
        return [build(paths[0] if paths else "", group, own, demanded(own, {}, None), closed=True)]
    declared = {name: declared_for(name, declare) for name in declare["tables"]}
    homes = {path: next((n for n in declared if n == path), None) for path in paths}
    for path in paths:
        homes[path] = homes[path] or next((name for name in declared if belongs(path, name)), None)
    return [
        build(
            name,
            [read[path] for path in paths if homes[path] == name],
            declared[name],
            demanded(declared[name], declared, name),
            closed=True,
        )
        for name in declared
    ]


def ruled_type(column: str, declare: dict[str, Any]) -> str | None:
    """The type that rules give a column without one."""
    for rule in declare.get("rules", []):
        if column in names_in(rule):
            kind = kinds_in(rule, declared_types(declare), declare.get("time"))[column]
            return {"number": "decimal", "time": "timestamp", "text": None}[kind]
    return None


def build(name: str, files: list[File], declare: dict[str, Any], columns: list[str], *, closed: bool) -> NaiveTable:
    declared_missing = declare.get("missing")
    cells: dict[str, list[str | None]] = {}
    for column in columns:
        missing = MISSING
        if isinstance(declared_missing, list):
            missing = tuple(declared_missing)
        elif declared_missing is not None:
            missing = tuple(declared_missing.get(column, MISSING))
        cells[column] = [canonical(record.get(column), missing) for file in files for record in file.records]
    table = NaiveTable(
        name=name,
        files=[file.path for file in files],
        declare=declare,
        columns=cells,
        absent={column for column in columns if not any(column in file.columns for file in files)},
        records=sum(len(file.records) for file in files),
        attempted=sum(file.attempted for file in files),
        closed=closed,
    )
    for column in columns:
        declared_type = declare.get("types", {}).get(column)
        if declared_type is None and column in table.domains():
            declared_type = implied_type(table.domains()[column])
        if declared_type is None and column != declare.get("time"):
            declared_type = ruled_type(column, declare)
        if declared_type is None and column == declare.get("time") and declare.get("time_format"):
            declared_type = "timestamp"
        present = [cell for cell in cells[column] if cell is not None]
        # A challenge's word alone counts: what it gives no type is text, however the cells look.
        table.types[column] = declared_type or ("text" if closed else infer_type(present))
    table.rows = [(index, ordinal) for index, file in enumerate(files) for ordinal in file.ordinals]
    return table
