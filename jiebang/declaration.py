"""The declaration: what is known about a dataset beyond its bytes, with the same keys everywhere.

The keys are `label`, `key`, `required`, `types`, `missing`, `encoding`, `records`, `time`, `time_format`, `series`,
`grid`, `text`, `foreign_keys` and `classes`, for the whole dataset or, under `tables`, for one file; and `as_of` for
the whole. A *closed* declaration is the data demand of a challenge: its columns are the columns, whatever is handed in.
"""

from __future__ import annotations

import codecs
import datetime
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import rfc8785

from jiebang.document import KeyPath, read_document, refuse_unknown_keys
from jiebang.errors import DeclarationError

TYPES = ("integer", "decimal", "boolean", "date", "timestamp", "text")

DEFAULT_MISSING = (
    "", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A", "#NA", "-", "--", "\\N",
)  # fmt: skip
"""The markers of a missing cell where none are declared: exact and case-sensitive, after trimming and NFC."""

DATA_EXTENSIONS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
COMPRESSION_EXTENSIONS = (".gz", ".zst")

TRIMMED = " \t\r\n\u00a0\u3000"
"""The characters that are cut off both ends of a cell and of a CSV column name."""

MAX_COLUMNS = 2_000
"""A file with more columns is not read, nor may a demand ask for more: each costs time and memory, without any cell."""


@dataclass(frozen=True)
class ForeignKey:
    """A reference: the values of `fields` are to be found in the columns `key` of the table `to`."""

    fields: tuple[str, ...]
    to: str
    key: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The reference as JSON, as it is declared."""
        return {"fields": list(self.fields), "to": self.to, "key": list(self.key)}


@dataclass(frozen=True)
class TableDeclaration:
    """What is declared about one table; None, empty tuple or empty mapping where it is not.

    `missing` is the list of missing markers of every column, or a mapping from a column to its own list.
    """

    label: str | None = None
    key: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None
    encoding: str | None = None
    records: int | None = None
    time: str | None = None
    time_format: str | None = None
    series: tuple[str, ...] = ()
    grid: str | None = None
    text: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    classes: tuple[str, ...] = ()

    def missing_for(self, column: str) -> tuple[str, ...]:
        """The missing markers of a column: the declared ones, else the common list."""
        if isinstance(self.missing, tuple):
            return self.missing
        if self.missing is not None and column in self.missing:
            return self.missing[column]
        return DEFAULT_MISSING

    def named_columns(self) -> tuple[str, ...]:
        """Every column the declaration names: those of `types` in order, then the others as they come."""
        label = () if self.label is None else (self.label,)
        time = () if self.time is None else (self.time,)
        referring = [name for reference in self.foreign_keys for name in reference.fields]
        return tuple(
            dict.fromkeys([*self.types, *self.key, *label, *self.required, *time, *self.series, *self.text, *referring])
        )

    def over(self, default: TableDeclaration) -> TableDeclaration:
        """This declaration, with the default's value for every key that is not declared here."""
        merged = {}
        for item in fields(self):
            own = getattr(self, item.name)
            # An empty list of missing markers is a declaration (nothing is missing); an empty name is a name.
            declared = own is not None and (item.name == "missing" or own not in ((), {}))
            merged[item.name] = own if declared else getattr(default, item.name)
        return TableDeclaration(**merged)

    def as_dict(self) -> dict[str, Any]:
        """The declared keys as JSON; what is not declared is left out."""
        result: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "missing":
                if isinstance(value, tuple):
                    result["missing"] = list(value)
                elif value is not None:
                    result["missing"] = {column: list(markers) for column, markers in value.items()}
            elif item.name == "foreign_keys":
                if value:
                    result["foreign_keys"] = [reference.as_dict() for reference in value]
            elif isinstance(value, tuple):
                if value:
                    result[item.name] = list(value)
            elif isinstance(value, Mapping):
                if value:
                    result[item.name] = dict(value)
            elif value is not None:
                result[item.name] = value
        return result


TABLE_KEYS = tuple(item.name for item in fields(TableDeclaration))
KEYS = (*TABLE_KEYS, "tables", "as_of")


@dataclass(frozen=True)
class Declaration:
    """A dataset's declaration: a default for every table, and one for each table that is named."""

    closed: bool = False
    tables: Mapping[str, TableDeclaration] = field(default_factory=dict)
    default: TableDeclaration = field(default_factory=TableDeclaration)
    as_of: str | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, closed: bool = False) -> Declaration:
        """Read a declaration from the mapping that YAML or JSON gave.

        Raises DeclarationError with `path` (the keys that lead to the fault): an unknown key, naming the nearest known
        one; a wrong kind of value; a type, encoding or date that does not exist; a closed declaration that names no
        column.
        """
        if not isinstance(data, Mapping):
            raise _wrong((), "A declaration is a mapping of keys to values.", "Write `key: value` lines.")
        own = dict(data)
        refuse_unknown_keys(own, KEYS, (), "a declaration")
        tables: dict[str, TableDeclaration] = {}
        for name, entry in (_mapping(own.pop("tables", None), ("tables",)) or {}).items():
            path: KeyPath = ("tables", name)
            entry = dict(_mapping(entry, path) or {})
            refuse_unknown_keys(entry, TABLE_KEYS, path, "a table's declaration")
            tables[unicodedata.normalize("NFC", name)] = _table(entry, path)
        as_of = _date(own.pop("as_of", None), ("as_of",))
        declaration = cls(closed=closed, tables=tables, default=_table(own, ()), as_of=as_of)
        if closed:
            declaration._refuse_open_ends()
        return declaration

    @classmethod
    def load(cls, path: Path, *, closed: bool = False) -> Declaration:
        """Read a declaration from a YAML or JSON file; errors name the file and the line."""
        document = read_document(path)
        try:
            return cls.parse(document.data, closed=closed)
        except DeclarationError as error:
            raise document.locate(error) from error

    def table_of(self, path: str) -> str | None:
        """The name under `tables` that a data file belongs to, or None.

        A file belongs to the table named as its path; else as its path without data extensions (`orders.parquet` and
        `orders.csv.gz` are `orders.csv`); else to the table whose name without extensions is a folder it lies in.
        """
        path = unicodedata.normalize("NFC", path)
        if path in self.tables:
            return path
        stems: dict[str, str] = {}
        for name in self.tables:
            stems.setdefault(without_extensions(name), name)
        stem = without_extensions(path)
        while stem:
            if stem in stems:
                return stems[stem]
            stem = stem.rpartition("/")[0]
        return None

    def for_table(self, name: str, files: Sequence[str] = ()) -> TableDeclaration:
        """What is declared about a table, by its name or by the files it is made of, over the default."""
        for path in (name, *files):
            declared = self.table_of(path)
            if declared is not None:
                return self.tables[declared].over(self.default)
        return self.default

    def demanded_columns(self, table: str | None) -> tuple[str, ...]:
        """The columns of a table of a closed declaration, in order; `table` None is the one table without a name.

        They are the columns its declaration names, then those that another table's reference looks up in it.
        """
        own = self.default if table is None else self.tables[table].over(self.default)
        looked_up = [
            column
            for other in self.tables.values()
            for reference in other.over(self.default).foreign_keys
            if table is not None and self.table_of(reference.to) == table
            for column in reference.key
        ]
        return tuple(dict.fromkeys([*own.named_columns(), *looked_up]))

    def as_dict(self) -> dict[str, Any]:
        """The declaration as JSON, with the keys it was written with; what is not declared is left out."""
        result = self.default.as_dict()
        if self.tables:
            result["tables"] = {name: table.as_dict() for name, table in self.tables.items()}
        if self.as_of is not None:
            result["as_of"] = self.as_of
        return result

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration's canonical JSON (RFC 8785), in hexadecimal."""
        return hashlib.sha256(rfc8785.dumps(self.as_dict())).hexdigest()

    def _refuse_open_ends(self) -> None:
        for table in self.tables or (None,):
            path: KeyPath = () if table is None else ("tables", table)
            columns = self.demanded_columns(table)
            if len(columns) > MAX_COLUMNS:
                raise DeclarationError(
                    "demand_too_wide",
                    f"A demand names {len(columns):,} columns, and no file with more than {MAX_COLUMNS:,} is read.",
                    "Name fewer columns, or part them into several `tables`.",
                    path=list(path),
                    limit=MAX_COLUMNS,
                )
            if not columns:
                raise DeclarationError(
                    "demand_without_columns",
                    "A challenge's demand must name the columns it judges.",
                    "List them under `types`, with their types.",
                    path=list(path),
                )
            own = self.default if table is None else self.tables[table].over(self.default)
            for index, reference in enumerate(own.foreign_keys):
                if self.table_of(reference.to) is None:
                    raise DeclarationError(
                        "reference_to_no_table",
                        f"`{reference.to}` is referred to and is not among `tables`.",
                        "Declare it under `tables`.",
                        path=[*path, "foreign_keys", index, "to"],
                    )


def without_extensions(path: str) -> str:
    """A path without its compression and data extensions: `orders.csv.gz` is `orders`."""
    for extensions in (COMPRESSION_EXTENSIONS, DATA_EXTENSIONS):
        for extension in extensions:
            cut = path[: -len(extension)]
            if path.lower().endswith(extension) and cut and not cut.endswith("/"):
                path = cut
                break
    return path


def _wrong(path: KeyPath, title: str, detail: str, **facts: Any) -> DeclarationError:
    return DeclarationError("wrong_value", title, detail, path=list(path), **facts)


def _shown(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def _text(value: Any, path: KeyPath) -> str:
    # A class or a marker may be written as a bare number; whole numbers have one text, floats do not.
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    raise _wrong(path, f"`{_shown(path)}` must be text, not {_kind(value)}.", "Write it in quotes.")


def _kind(value: Any) -> str:
    names = {bool: "a truth value", float: "a fraction", dict: "a mapping", list: "a list"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _optional_text(value: Any, path: KeyPath) -> str | None:
    return None if value is None else _text(value, path)


def _mapping(value: Any, path: KeyPath) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong(path, f"`{_shown(path)}` must be a mapping, not {_kind(value)}.", "Write `name: value` under it.")
    return {_text(name, path): entry for name, entry in value.items()}


def _texts(value: Any, path: KeyPath) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(path, f"`{_shown(path)}` must be a list, not {_kind(value)}.", "Write it as [a, b].")
    texts = tuple(_text(item, (*path, index)) for index, item in enumerate(value))
    for index, text in enumerate(texts):
        if text in texts[:index]:
            raise _wrong((*path, index), f"`{_shown(path)}` names `{text}` twice.", "Name it once.")
    return texts


def _names(value: Any, path: KeyPath) -> tuple[str, ...]:
    if value is None:
        return ()
    names = _texts(value, path)
    if not names:
        raise _wrong(path, f"`{_shown(path)}` is an empty list.", "Leave the key out if there is nothing to declare.")
    return names


def _markers(value: Any, path: KeyPath) -> tuple[str, ...] | dict[str, tuple[str, ...]] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        entries = _mapping(value, path) or {}
        return {column: _texts(markers, (*path, column)) for column, markers in entries.items()}
    return _texts(value, path)


def _types(value: Any, path: KeyPath) -> dict[str, str]:
    types = {}
    for column, name in (_mapping(value, path) or {}).items():
        if name not in TYPES:
            raise _wrong(
                (*path, column), f"`{name}` is not a type of a column.", f"Types are {', '.join(TYPES)}.", column=column
            )
        types[column] = str(name)
    return types


def _encoding(value: Any, path: KeyPath) -> str | None:
    name = _optional_text(value, path)
    if name is None:
        return None
    try:
        "".encode(name)  # refuses codecs that are not of text, such as base64
        codecs.lookup(name)
    except (LookupError, ValueError) as error:
        raise _wrong(
            path, f"`{name}` is not a known encoding.", "Name one such as utf-8, gb18030 or utf-16."
        ) from error
    return name


def _records(value: Any, path: KeyPath) -> int | None:
    if value is None:
        return None
    text = _text(value, path)
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        raise _wrong(path, f"`{_shown(path)}` must be a whole number above 0.", "Say how many records are needed.")
    return int(text)


def _grid(value: Any, path: KeyPath) -> str | None:
    text = _optional_text(value, path)
    if text is not None and not re.fullmatch(r"[1-9][0-9]{0,8}\s*[A-Za-z]{1,12}", text):
        raise _wrong(path, f"`{text}` is not a step of a grid.", "Write a number and a unit, such as 1h, 15min or 1d.")
    return text


def _date(value: Any, path: KeyPath) -> str | None:
    text = value.isoformat() if isinstance(value, datetime.date) else _optional_text(value, path)
    if text is None:
        return None
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        datetime.date.fromisoformat(text)
    except ValueError as error:
        raise _wrong(path, f"`{text}` is not a date.", "Write it as YYYY-MM-DD.") from error
    return text


def _foreign_keys(value: Any, path: KeyPath) -> tuple[ForeignKey, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(path, f"`{_shown(path)}` must be a list.", "Write items of {fields, to, key}.")
    references = []
    for index, entry in enumerate(value):
        at: KeyPath = (*path, index)
        own = _mapping(entry, at) or {}
        refuse_unknown_keys(own, ("fields", "to", "key"), at, "a foreign key")
        for needed in ("fields", "to", "key"):
            if own.get(needed) is None:
                raise _wrong(at, f"`{_shown(at)}` lacks `{needed}`.", "A foreign key is {fields, to, key}.")
        names, key = _names(own["fields"], (*at, "fields")), _names(own["key"], (*at, "key"))
        if len(names) != len(key):
            raise _wrong(at, f"`{_shown(at)}` pairs {len(names)} fields with {len(key)}.", "Name as many on each side.")
        references.append(ForeignKey(names, _text(own["to"], (*at, "to")), key))
    return tuple(references)


def _table(data: Mapping[str, Any], path: KeyPath) -> TableDeclaration:
    def at(key: str) -> KeyPath:
        return (*path, key)

    get = data.get
    classes = tuple(name.strip(TRIMMED) for name in _names(get("classes"), at("classes")))
    if len(set(classes)) < len(classes):
        raise _wrong(at("classes"), "Two classes differ only in their outer blanks.", "Name each class once.")
    return TableDeclaration(
        label=_optional_text(get("label"), at("label")),
        key=_names(get("key"), at("key")),
        required=_names(get("required"), at("required")),
        types=_types(get("types"), at("types")),
        missing=_markers(get("missing"), at("missing")),
        encoding=_encoding(get("encoding"), at("encoding")),
        records=_records(get("records"), at("records")),
        time=_optional_text(get("time"), at("time")),
        time_format=_optional_text(get("time_format"), at("time_format")),
        series=_names(get("series"), at("series")),
        grid=_grid(get("grid"), at("grid")),
        text=_names(get("text"), at("text")),
        foreign_keys=_foreign_keys(get("foreign_keys"), at("foreign_keys")),
        classes=classes,
    )
