"""The declaration: what is known about a dataset beyond its bytes, with the same keys everywhere.

The keys are `label`, `key`, `required`, `types`, `missing`, `encoding`, `records`, `time`, `time_format`, `series`,
`grid`, `text`, `foreign_keys`, `classes`, `domains`, `period`, `split`, `min_per_class` and `rules`, for the whole
dataset or, under `tables`, for one file; and `as_of`, `use` and `images` for the whole. A *closed* declaration is the
data demand of a challenge: its columns are the columns, whatever is handed in.
"""

from __future__ import annotations

import codecs
import datetime
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import rfc8785

from jiebang.constraints import (
    Domain,
    Period,
    Split,
    read_count,
    read_domains,
    read_grid,
    read_period,
    read_split,
    unfit,
)
from jiebang.declared_values import (
    TRIMMED,
    as_mapping,
    as_names,
    as_optional_text,
    as_text,
    as_texts,
    written,
    wrong,
)
from jiebang.document import KeyPath, read_document, refuse_unknown_keys
from jiebang.errors import DeclarationError
from jiebang.rules import Kind, Rule, RuleError, kinds_of, read_rules, summands_of

TYPES = ("integer", "decimal", "boolean", "date", "timestamp", "text")

USES = ("commercial", "modify", "share")
"""What data may be wanted for and a licence permit: use in trade, changed versions, handing on."""

DEFAULT_MISSING = (
    "", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A", "#NA", "-", "--", "\\N",
)  # fmt: skip
"""The markers of a missing cell where none are declared: exact and case-sensitive, after trimming and NFC."""

DATA_EXTENSIONS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
COMPRESSION_EXTENSIONS = (".gz", ".zst")

MAX_COLUMNS = 2_000
"""A file with more columns is not read, nor may a demand ask for more: each costs time and memory, without any cell."""


_TYPE_OF_KIND = {Kind.NUMBER: "decimal", Kind.TIME: "timestamp", Kind.TEXT: None}


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
    domains: Mapping[str, Domain] = field(default_factory=dict)
    period: Period | None = None
    split: Split | None = None
    min_per_class: int | None = None
    rules: tuple[Rule, ...] = ()

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
        split = () if self.split is None or self.split.column is None else (self.split.column,)
        named = [*self.types, *self.key, *label, *self.required, *time, *self.series, *self.text, *referring]
        ruled = [column for rule in self.rules for column in rule.columns]
        return tuple(dict.fromkeys([*named, *self.domains, *split, *ruled]))

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What the columns of the rules hold; RuleError where they do not fit together."""
        bounded = {name: domain.type for name, domain in self.domains.items() if domain.type is not None}
        return kinds_of((rule.condition for rule in self.rules), {**bounded, **self.types}, self.time)

    def type_of(self, column: str) -> str | None:
        """The declared type of a column: by `types`, else the one that its domain's bounds or its rules are for."""
        if column in self.types:
            return self.types[column]
        if column in self.domains and self.domains[column].type is not None:
            return self.domains[column].type
        ruled = any(column in rule.columns for rule in self.rules) and column != self.time
        return _TYPE_OF_KIND[self.kinds[column]] if ruled else None

    def summands(self) -> tuple[str, ...]:
        """The columns whose numbers the rules add."""
        return tuple(dict.fromkeys(column for rule in self.rules for column in summands_of(rule.condition)))

    def instants(self) -> tuple[str, ...]:
        """The columns whose cells are times on which measures count: that of `time`, those of domains and of rules."""
        time = () if self.time is None else (self.time,)
        bounded = [name for name, domain in self.domains.items() if domain.of_times]
        ruled = [column for rule in self.rules for column in rule.columns if self.kinds[column] is Kind.TIME]
        return tuple(dict.fromkeys([*time, *bounded, *ruled]))

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
            elif item.name == "rules":
                if value:
                    result["rules"] = [rule.as_json() for rule in value]
            elif item.name == "domains":
                if value:
                    result["domains"] = {column: domain.as_dict() for column, domain in value.items()}
            elif isinstance(value, Period | Split):
                result[item.name] = value.as_dict()
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
KEYS = (*TABLE_KEYS, "tables", "as_of", "use", "images")


@dataclass(frozen=True)
class Declaration:
    """A dataset's declaration: a default for every table, and one for each table that is named."""

    closed: bool = False
    tables: Mapping[str, TableDeclaration] = field(default_factory=dict)
    default: TableDeclaration = field(default_factory=TableDeclaration)
    as_of: str | None = None
    use: tuple[str, ...] = ()
    images: int | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, closed: bool = False) -> Declaration:
        """Read a declaration from the mapping that YAML or JSON gave.

        Raises DeclarationError with `path` (the keys that lead to the fault): an unknown key, naming the nearest known
        one; a wrong kind of value; a type, encoding or date that does not exist; a closed declaration that names no
        column.
        """
        if not isinstance(data, Mapping):
            raise wrong((), "A declaration is a mapping of keys to values.", "Write `key: value` lines.")
        own = dict(data)
        refuse_unknown_keys(own, KEYS, (), "a declaration")
        tables: dict[str, TableDeclaration] = {}
        for name, entry in (as_mapping(own.pop("tables", None), ("tables",)) or {}).items():
            path: KeyPath = ("tables", name)
            entry = dict(as_mapping(entry, path) or {})
            refuse_unknown_keys(entry, TABLE_KEYS, path, "a table's declaration")
            tables[unicodedata.normalize("NFC", name)] = _table(entry, path)
        as_of = _date(own.pop("as_of", None), ("as_of",))
        use = _uses(own.pop("use", None), ("use",))
        images = read_count(own.pop("images", None), ("images",), "Say how many images are needed.")
        default = _table(own, ())
        declaration = cls(closed=closed, tables=tables, default=default, as_of=as_of, use=use, images=images)
        declaration._refuse_contradictions()
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
        if self.use:
            result["use"] = list(self.use)
        if self.images is not None:
            result["images"] = self.images
        return result

    @property
    def is_of_images_alone(self) -> bool:
        """Whether a closed declaration demands images and no table."""
        return self.images is not None and not self.tables and not self.demanded_columns(None)

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration's canonical JSON (RFC 8785), in hexadecimal."""
        return hashlib.sha256(rfc8785.dumps(self.as_dict())).hexdigest()

    def _refuse_contradictions(self) -> None:
        declared: list[tuple[KeyPath, TableDeclaration]] = [((), self.default)]
        declared += [(("tables", name), table.over(self.default)) for name, table in self.tables.items()]
        for path, own in declared:
            if error := unfit(own.domains, own.types, path):
                raise error
            try:
                _ = own.kinds
            except RuleError as error:
                raise wrong((*path, "rules"), f"The rules do not fit the columns: {error}.", "Correct one.") from error
            # A number for every table makes sense only once a table says its classes.
            said_here = own.min_per_class is not None and (path or not self.tables)
            lacks = [key for key, value in (("label", own.label), ("classes", own.classes)) if value in (None, ())]
            if said_here and lacks:
                raise wrong(
                    (*path, "min_per_class"), f"`min_per_class` needs `{lacks[0]}`.", f"Declare `{lacks[0]}` as well."
                )

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
            if not columns and (table is not None or self.images is None):
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


def _markers(value: Any, path: KeyPath) -> tuple[str, ...] | dict[str, tuple[str, ...]] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        entries = as_mapping(value, path) or {}
        return {column: as_texts(markers, (*path, column)) for column, markers in entries.items()}
    return as_texts(value, path)


def _uses(value: Any, path: KeyPath) -> tuple[str, ...]:
    names = as_names(value, path)
    for index, name in enumerate(names):
        if name not in USES:
            raise wrong((*path, index), f"`{name}` is not a use that is known.", f"Uses are {', '.join(USES)}.")
    return names


def _types(value: Any, path: KeyPath) -> dict[str, str]:
    types = {}
    for column, name in (as_mapping(value, path) or {}).items():
        if name not in TYPES:
            raise wrong(
                (*path, column), f"`{name}` is not a type of a column.", f"Types are {', '.join(TYPES)}.", column=column
            )
        types[column] = str(name)
    return types


def _encoding(value: Any, path: KeyPath) -> str | None:
    name = as_optional_text(value, path)
    if name is None:
        return None
    try:
        "".encode(name)  # refuses codecs that are not of text, such as base64
        codecs.lookup(name)
    except (LookupError, ValueError) as error:
        raise wrong(path, f"`{name}` is not a known encoding.", "Name one such as utf-8, gb18030 or utf-16.") from error
    return name


def _date(value: Any, path: KeyPath) -> str | None:
    text = value.isoformat() if isinstance(value, datetime.date) else as_optional_text(value, path)
    if text is None:
        return None
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        datetime.date.fromisoformat(text)
    except ValueError as error:
        raise wrong(path, f"`{text}` is not a date.", "Write it as YYYY-MM-DD.") from error
    return text


def _foreign_keys(value: Any, path: KeyPath) -> tuple[ForeignKey, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise wrong(path, f"`{written(path)}` must be a list.", "Write items of {fields, to, key}.")
    references = []
    for index, entry in enumerate(value):
        at: KeyPath = (*path, index)
        own = as_mapping(entry, at) or {}
        refuse_unknown_keys(own, ("fields", "to", "key"), at, "a foreign key")
        for needed in ("fields", "to", "key"):
            if own.get(needed) is None:
                raise wrong(at, f"`{written(at)}` lacks `{needed}`.", "A foreign key is {fields, to, key}.")
        names, key = as_names(own["fields"], (*at, "fields")), as_names(own["key"], (*at, "key"))
        if len(names) != len(key):
            raise wrong(at, f"`{written(at)}` pairs {len(names)} fields with {len(key)}.", "Name as many on each side.")
        references.append(ForeignKey(names, as_text(own["to"], (*at, "to")), key))
    return tuple(references)


def _table(data: Mapping[str, Any], path: KeyPath) -> TableDeclaration:
    def at(key: str) -> KeyPath:
        return (*path, key)

    get = data.get
    classes = tuple(name.strip(TRIMMED) for name in as_names(get("classes"), at("classes")))
    if len(set(classes)) < len(classes):
        raise wrong(at("classes"), "Two classes differ only in their outer blanks.", "Name each class once.")
    return TableDeclaration(
        label=as_optional_text(get("label"), at("label")),
        key=as_names(get("key"), at("key")),
        required=as_names(get("required"), at("required")),
        types=_types(get("types"), at("types")),
        missing=_markers(get("missing"), at("missing")),
        encoding=_encoding(get("encoding"), at("encoding")),
        records=read_count(get("records"), at("records"), "Say how many records are needed."),
        time=as_optional_text(get("time"), at("time")),
        time_format=as_optional_text(get("time_format"), at("time_format")),
        series=as_names(get("series"), at("series")),
        grid=read_grid(get("grid"), at("grid")),
        text=as_names(get("text"), at("text")),
        foreign_keys=_foreign_keys(get("foreign_keys"), at("foreign_keys")),
        classes=classes,
        domains=read_domains(get("domains"), at("domains")),
        period=read_period(get("period"), at("period")),
        split=read_split(get("split"), at("split")),
        min_per_class=read_count(
            get("min_per_class"), at("min_per_class"), "Say how many records of each class are needed."
        ),
        rules=read_rules(get("rules"), at("rules")),
    )
