"""What descriptors declare of tables, as a declaration: Data Package schemas, and record sets of Croissant.

A part that is not in the form of a declaration is left out and told, so a descriptor never stops a judgement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from jiebang.constraints import unfit
from jiebang.declaration import MAX_COLUMNS, TABLE_KEYS, Declaration
from jiebang.errors import DeclarationError
from jiebang.structure import croissant, data_package
from jiebang.structure.descriptors import UNWRITTEN, Descriptor, inside, listed

if TYPE_CHECKING:
    from jiebang.structure.package import Package

EXTENSION = "jiebang"
"""The property of a resource or record set with those keys of a declaration that the standard has no name for."""

MOST_TABLES = 1_000
MOST_DECLARED = 100_000
"""The most columns of all tables together that are looked at."""

MOST_TRIED = 200
"""The most columns that are tried one by one where not all are in form."""

MOST_FAULTS = 5
"""The most faults of a table that are told."""

_TYPES = {"integer": "integer", "year": "integer", "number": "decimal", "string": "text"}
_CROISSANT_TYPES = {
    "Integer": "integer", "Int8": "integer", "Int16": "integer", "Int32": "integer", "Int64": "integer",
    "Float": "decimal", "Number": "decimal", "Float16": "decimal", "Float32": "decimal", "Float64": "decimal",
    "Boolean": "boolean", "Date": "date", "DateTime": "timestamp", "Text": "text",
}  # fmt: skip

_Entry = dict[str, Any]


@dataclass(frozen=True)
class PackageDeclaration:
    """What a package declares of its tables, by which files, and what in them could not be used."""

    declaration: Declaration
    by: tuple[str, ...]
    left_out: tuple[str, ...]


def declared_by(package: Package) -> PackageDeclaration:
    """What the descriptors of a package declare; a Data Package's word goes before Croissant's."""
    tables: dict[str, dict[str, Any]] = {}
    by: list[str] = []
    left_out: list[str] = []
    columns = 0
    readings = [(descriptor, _of_data_package(descriptor, package.paths)) for descriptor in package.data_packages]
    readings += [(descriptor, _of_croissant(descriptor, package.paths)) for descriptor in package.croissants]
    for descriptor, entries in readings:
        for path, entry in entries:
            if path not in package.paths or len(tables) >= MOST_TABLES:
                continue
            columns += len(entry.get("types", {})) + len(entry.get("domains", {}))
            if columns > MOST_DECLARED:
                left_out.append(f"{descriptor.path}: it declares more than {MOST_DECLARED:,} columns.")
                break
            usable, faults = _usable(path, entry)
            left_out += [f"{descriptor.path}: {fault}" for fault in faults]
            if usable:
                by.append(descriptor.path)
                tables[path] = {**usable, **tables.get(path, {})}
    return PackageDeclaration(_joined(tables), tuple(dict.fromkeys(by)), tuple(left_out))


def completed(own: Declaration, package: Package) -> tuple[Declaration, PackageDeclaration]:
    """An own declaration with what the package declares where it says nothing itself, and what the package says."""
    found = declared_by(package)
    tables = dict(own.tables)
    for path, entry in found.declaration.tables.items():
        said = own.for_table(path)
        merged = said.over(entry)
        # A type that is declared elsewhere may not suit a bound that the package sets.
        suits = unfit(merged.domains, merged.types, ()) is None
        tables[path] = merged if suits else replace(merged, domains=said.domains)
    return replace(own, tables=tables), found


def _joined(tables: dict[str, dict[str, Any]]) -> Declaration:
    """All of them in one; where two descriptors contradict each other within a table, its parts that need both go."""
    for path in list(tables):
        try:
            Declaration.parse({"tables": {path: tables[path]}})
        except DeclarationError:
            tables[path].pop("domains", None)
    return Declaration.parse({"tables": tables}) if tables else Declaration()


def _usable(path: str, entry: _Entry) -> tuple[_Entry, list[str]]:
    """The keys of a table's declaration that are in form, and a sentence for each that is not."""
    usable: _Entry = {}
    faults: list[str] = []

    def holds(key: str, value: Any) -> bool:
        # A bound must suit the type of its column, so types are beside domains.
        beside = {"types": usable["types"]} if key == "domains" and "types" in usable else {}
        try:
            Declaration.parse({"tables": {path: {**beside, key: value}}})
        except DeclarationError as error:
            faults.append(error.title)
            return False
        return True

    for key, value in entry.items():
        if holds(key, value):
            usable[key] = value
        elif isinstance(value, dict) and len(value) <= MOST_TRIED:
            # One column that is not in form takes none of the others with it.
            faults.pop()
            kept = {name: part for name, part in value.items() if holds(key, {name: part})}
            if kept:
                usable[key] = kept
    return usable, faults[:MOST_FAULTS]


def _of_data_package(descriptor: Descriptor, paths: frozenset[str]) -> Iterator[tuple[str, _Entry]]:
    resources = data_package.resources(descriptor.data)[:MOST_TABLES]
    by_name: dict[Any, str] = {}
    for resource in resources:
        first = next((place for _, place in data_package.paths_of(descriptor.path, resource) if place), None)
        if first is not None and isinstance(resource.get("name"), str):
            by_name.setdefault(resource["name"], first)
    for resource in resources:
        for _, place in data_package.paths_of(descriptor.path, resource):
            if place is not None and place in paths:
                yield place, {**_of_resource(resource, by_name, place), **_extension(resource)}


def _of_resource(resource: _Entry, by_name: Mapping[Any, str], path: str) -> _Entry:
    entry: _Entry = {}
    if isinstance(resource.get("encoding"), str):
        entry["encoding"] = resource["encoding"]
    schema = resource.get("schema")
    if not isinstance(schema, dict):
        return entry
    fields = [field for field in listed(schema.get("fields")) if isinstance(field, dict)][:MAX_COLUMNS]
    fields = [field for field in fields if isinstance(field.get("name"), str)]
    entry["types"] = {field["name"]: type for field in fields if (type := _type(field)) is not None}
    entry["domains"] = {field["name"]: domain for field in fields if (domain := _domain(field))}
    entry["required"] = [field["name"] for field in fields if _constraints(field).get("required") is True]
    entry["key"] = listed(schema.get("primaryKey"))
    entry["missing"] = _missing(schema, fields)
    entry["foreign_keys"] = list(_references(schema, by_name, path))
    return {key: value for key, value in entry.items() if value or key == "encoding" or value == ()}


def _constraints(field: _Entry) -> _Entry:
    constraints = field.get("constraints")
    return constraints if isinstance(constraints, dict) else {}


def _type(field: _Entry) -> str | None:
    """The type of a field where ours is the same; a form of its own (`decimalChar`, a date's pattern) has none here."""
    kind, form = field.get("type"), field.get("format", "default")
    if isinstance(kind, str) and kind in _TYPES:
        plain = field.get("groupChar") is None and field.get("decimalChar", ".") == "."
        return _TYPES[kind] if kind == "string" or (plain and field.get("bareNumber", True) is True) else None
    if kind == "boolean":
        words = [*listed(field.get("trueValues")), *listed(field.get("falseValues"))]
        return "boolean" if words and all(str(word).lower() in ("true", "false") for word in words) else None
    if form == "default" and kind in ("date", "datetime"):
        return "date" if kind == "date" else "timestamp"
    return None


def _domain(field: _Entry) -> _Entry | None:
    constraints = _constraints(field)
    categories = [entry.get("value") if isinstance(entry, dict) else entry for entry in listed(field.get("categories"))]
    values = constraints.get("enum") or categories
    named = {
        "values": [text for value in listed(values) if (text := _written(value)) is not None],
        "pattern": constraints.get("pattern"),
        "min": _written(constraints.get("minimum")),
        "max": _written(constraints.get("maximum")),
    }
    return {key: value for key, value in named.items() if value} or None


def _written(value: Any) -> str | None:
    """A value of a constraint as the text of a cell."""
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 30 else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _missing(schema: _Entry, fields: list[_Entry]) -> Any:
    def markers(node: _Entry) -> list[Any] | None:
        if not isinstance(node.get("missingValues"), list):
            return None
        return [entry.get("value") if isinstance(entry, dict) else entry for entry in node["missingValues"]]

    whole = markers(schema)
    own = {field["name"]: found for field in fields if (found := markers(field)) is not None}
    if not own:
        return whole
    return own if whole is None else {**{field["name"]: whole for field in fields}, **own}


def _references(schema: _Entry, by_name: Mapping[Any, str], path: str) -> Iterator[_Entry]:
    for entry in listed(schema.get("foreignKeys")):
        reference = entry.get("reference") if isinstance(entry, dict) else None
        if not isinstance(reference, dict):
            continue
        name = reference.get("resource")
        to = by_name.get(name) if isinstance(name, str) and name else path
        if to is not None:
            yield {"fields": listed(entry.get("fields")), "to": to, "key": listed(reference.get("fields"))}


def _of_croissant(descriptor: Descriptor, paths: frozenset[str]) -> Iterator[tuple[str, _Entry]]:
    files = croissant.file_objects(descriptor.path, descriptor.data, paths)
    record_sets = listed(croissant.term(descriptor.data, "recordSet"))[:MOST_TABLES]
    columns: dict[str, tuple[str, str]] = {}
    for record_set in record_sets:
        for field in listed(croissant.term(record_set, "field"))[:MAX_COLUMNS]:
            place = _column(field, files, descriptor.folder)
            if place is not None:
                columns[croissant.identity(field)] = place
    for record_set in record_sets:
        entries: dict[str, _Entry] = {}
        for field in listed(croissant.term(record_set, "field"))[:MAX_COLUMNS]:
            place = columns.get(croissant.identity(field))
            if place is not None:
                _add_field(entries.setdefault(place[0], {}), place[1], field, columns)
        keys = [columns.get(croissant.identity(key)) for key in listed(croissant.term(record_set, "key"))]
        for path, entry in entries.items():
            if keys and all(key is not None and key[0] == path for key in keys):
                entry["key"] = [key[1] for key in keys if key is not None]
            yield path, {**entry, **_extension(record_set)}


def _column(field: Any, files: Mapping[str, str], folder: str) -> tuple[str, str] | None:
    """The file and the column that a field is taken from as it stands."""
    source = croissant.term(field, "source")
    if not isinstance(source, Mapping) or croissant.term(source, "transform") is not None:
        return None
    id = croissant.identity(croissant.term(source, "fileObject"))
    path = files.get(id) or inside(folder, id)
    column = croissant.term(croissant.term(source, "extract"), "column")
    return (path, column) if path and isinstance(column, str) else None


def _add_field(entry: _Entry, column: str, field: Any, columns: Mapping[str, tuple[str, str]]) -> None:
    kinds = [croissant.kind({"@type": value}) for value in listed(croissant.term(field, "dataType"))]
    type = next((_CROISSANT_TYPES[kind] for kind in kinds if kind in _CROISSANT_TYPES), None)
    if type is not None:
        entry.setdefault("types", {})[column] = type
    if "Label" in kinds:
        entry["label"] = column
    for reference in listed(croissant.term(field, "references")):
        target = columns.get(croissant.identity(croissant.term(reference, "field") or reference))
        if target is not None:
            found = {"fields": [column], "to": target[0], "key": [target[1]]}
            entry.setdefault("foreign_keys", []).append(found)


def _extension(node: Any) -> _Entry:
    """The keys under `jiebang`, without those that a person has still to fill in."""
    own = node.get(EXTENSION) if isinstance(node, Mapping) else None
    if not isinstance(own, dict):
        return {}
    return {
        key: value
        for key, value in own.items()
        if key in TABLE_KEYS and not (isinstance(value, str) and UNWRITTEN.search(value))
    }
