"""Drafts of what describes a dataset, out of the data themselves; what only a person knows is marked FILL IN."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from jiebang.dataset.canonical import canonicalise
from jiebang.dataset.opening import DataFile, FileKind, open_dataset
from jiebang.dataset.tables import ColumnType
from jiebang.declaration import DEFAULT_MISSING, Declaration
from jiebang.errors import DatasetRefused
from jiebang.result import GateStatus
from jiebang.structure.aspects import ASPECTS
from jiebang.structure.descriptors import UNWRITTEN
from jiebang.structure.licensing import Licensing
from jiebang.structure.names import CROISSANT, DATA_PACKAGE, DECLARATION
from jiebang.structure.package import Package
from jiebang.structure.profiling import TableProfile, is_named_as_label, profile

if TYPE_CHECKING:
    from jiebang.dataset.canonical import CanonicalDataset

README = "README.md"

_MEDIA = {
    FileKind.CSV: "text/csv", FileKind.JSONL: "application/jsonlines", FileKind.JSON: "application/json",
    FileKind.PARQUET: "application/vnd.apache.parquet",
}  # fmt: skip
_MEDIA_BY_ENDING = {
    "gz": "application/gzip", "zst": "application/zstd", "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png",
    "gif": "image/gif", "webp": "image/webp", "txt": "text/plain", "md": "text/markdown", "xml": "application/xml",
    "yaml": "application/yaml", "yml": "application/yaml", "pdf": "application/pdf", "wav": "audio/wav",
}  # fmt: skip
_FRICTIONLESS = {
    ColumnType.INTEGER: "integer", ColumnType.DECIMAL: "number", ColumnType.BOOLEAN: "boolean",
    ColumnType.DATE: "date", ColumnType.TIMESTAMP: "datetime", ColumnType.TEXT: "string",
}  # fmt: skip
_CROISSANT = {
    ColumnType.INTEGER: "sc:Integer", ColumnType.DECIMAL: "sc:Float", ColumnType.BOOLEAN: "sc:Boolean",
    ColumnType.DATE: "sc:Date", ColumnType.TIMESTAMP: "sc:DateTime", ColumnType.TEXT: "sc:Text",
}  # fmt: skip
_WORDS = {"true": ["true", "True", "TRUE"], "false": ["false", "False", "FALSE"]}

_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field",
    "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator",
    "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
    "jiebang": {"@id": "cr:jiebang", "@type": "@json"},
}  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """A file to be written: its name, its text, and what a person must fill in, by where it stands."""

    name: str
    text: str
    to_fill_in: tuple[str, ...]


def describe(path: Path, wanted: Sequence[str], progress: Callable[[str, float], None] | None = None) -> list[Draft]:
    """Drafts of the files of these names, for a file, a folder or an archive.

    Raises DatasetRefused when there is nothing to describe, or a gate would not let it be judged.
    """
    with tempfile.TemporaryDirectory(prefix="jiebang-") as folder:
        scratch = Path(folder)
        opened = open_dataset([path], scratch=scratch, progress=progress)
        for gate in opened.gates:
            if gate.status is not GateStatus.PASSED:
                first = gate.reasons[0]
                raise DatasetRefused(first.code, first.sentence, "`jiebang scan` tells all that is wrong with it.")
        package = Package(opened.files)
        with canonicalise(opened, Declaration(), scratch=scratch, progress=progress) as canonical:
            facts = _Facts(path, package, canonical, profile(canonical, progress))
            return [DRAFTS[name](facts) for name in wanted]


class _Facts:
    """What the drafts are made of."""

    def __init__(
        self, path: Path, package: Package, canonical: CanonicalDataset, profiles: Sequence[TableProfile]
    ) -> None:
        self.title = path.resolve().name.partition(".")[0] or "dataset"
        self.package = package
        self.files = package.data_files
        self.profiles = {file: one for one in profiles for file in one.table.files}
        self.tables = tuple(profiles)
        self.names = _names([file.path for file in self.files])
        licences = {licensed.expression for licensed in Licensing(package).files()}
        self.licence = next(iter(licences)) if len(licences) == 1 else None

    def own(self, one: TableProfile) -> dict[str, Any]:
        """What our declaration says of a table beyond the standards."""
        found: dict[str, Any] = {"time": one.time} if one.time is not None else {}
        if one.text:
            found["text"] = list(one.text)
        if one.labels:
            certain = is_named_as_label(one.labels[0])
            choices = ", ".join(one.labels[:10])
            found["label"] = one.labels[0] if certain else f"FILL IN: one of {choices}; or take this line out"
        return found


def _names(paths: Sequence[str]) -> dict[str, str]:
    """A short name of small letters for each path, all different."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for number, path in enumerate(paths, start=1):
        plain = re.sub(r"[^a-z0-9]+", "-", path.partition(".")[0].lower()).strip("-") or f"file-{number}"
        name = plain if plain not in taken else f"{plain}-{number}"
        taken.add(name)
        names[path] = name
    return names


def _media(file: DataFile) -> str:
    ending = file.path.rpartition(".")[2].lower()
    compressed = ending in ("gz", "zst")
    if file.kind in _MEDIA and not compressed:
        return "text/tab-separated-values" if ending == "tsv" else _MEDIA[file.kind]
    return _MEDIA_BY_ENDING.get(ending, "application/octet-stream")


def _data_package(facts: _Facts) -> Draft:
    resources = []
    for file in facts.files:
        one = facts.profiles.get(file.path)
        resource: dict[str, Any] = {
            "name": facts.names[file.path],
            "path": file.path,
            "bytes": file.bytes,
            "hash": f"sha256:{file.sha256}",
            "mediatype": _media(file),
        }
        if one is not None:
            resource |= {"type": "table", "description": f"FILL IN: what a record of {file.path} is"}
            resource["schema"] = _schema(one, facts)
            if own := facts.own(one):
                resource["jiebang"] = own
        resources.append(resource)
    known = facts.licence
    licence = {"name": known} if known else {"name": "FILL-IN", "title": "FILL IN: an SPDX id such as CC-BY-4.0"}
    data = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": _names([facts.title])[facts.title],
        "title": facts.title,
        "description": "FILL IN: what the dataset is, and what it is for",
        "version": "1.0.0",
        "licenses": [licence],
        "contributors": [{"title": "FILL IN: who made it", "roles": ["creator"]}],
        "sources": [{"title": "FILL IN: where the data come from", "path": "FILL-IN", "date": "FILL IN: YYYY-MM-DD"}],
        "resources": resources,
    }
    return _json(DATA_PACKAGE, data)


def _schema(one: TableProfile, facts: _Facts) -> dict[str, Any]:
    fields = []
    for column in one.table.columns:
        field: dict[str, Any] = {"name": column.name, "type": _FRICTIONLESS[column.type]}
        if column.type is ColumnType.BOOLEAN:
            field |= {"trueValues": _WORDS["true"], "falseValues": _WORDS["false"]}
        if column.name in one.required:
            field["constraints"] = {"required": True}
        fields.append(field)
    schema: dict[str, Any] = {"fields": fields, "missingValues": list(DEFAULT_MISSING)}
    if one.key:
        schema["primaryKey"] = list(one.key)
    if one.references:
        schema["foreignKeys"] = [
            {"fields": [column], "reference": {"resource": facts.names[table], "fields": [key]}}
            for column, table, key in one.references
        ]
    return schema


def _croissant(facts: _Facts) -> Draft:
    distribution = [
        {
            "@type": "cr:FileObject",
            "@id": _id(file.path),
            "name": file.path.rpartition("/")[2],
            "contentUrl": re.sub(r"[%#?\s]", lambda found: quote(found[0]), file.path),
            "contentSize": f"{file.bytes} B",
            "encodingFormat": _media(file),
            "sha256": file.sha256,
        }
        for file in facts.files
    ]
    known = facts.licence
    data = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": facts.title,
        "description": "FILL IN: what the dataset is, and what it is for",
        "url": "FILL IN: the dataset's web address",
        "license": f"https://spdx.org/licenses/{known}.html"
        if known and re.fullmatch(r"[A-Za-z0-9.+-]+", known) and not known.startswith("LicenseRef")
        else known or "FILL IN: an SPDX id such as CC-BY-4.0, or the web address of the licence",
        "creator": {"@type": "Organization", "name": "FILL IN: who made it"},
        "datePublished": "FILL IN: YYYY-MM-DD",
        "version": "1.0.0",
        "citeAs": "FILL IN: how to cite it; or take this line out",
        "rai:dataCollection": "FILL IN: how the data were collected",
        "rai:dataCollectionTimeframe": ["FILL IN: YYYY-MM-DD", "FILL IN: YYYY-MM-DD"],
        "distribution": distribution,
        "recordSet": [
            _record_set(file, facts.profiles[file.path], facts) for file in facts.files if file.path in facts.profiles
        ],
    }
    return _json(CROISSANT, data)


def _id(name: str) -> str:
    """A name as an id, which may hold no blanks; an id without its like among the others is all that counts."""
    return re.sub(r"\s", lambda found: f"_{ord(found[0]):x}_", name) or "_"


def _record_set(file: DataFile, one: TableProfile, facts: _Facts) -> dict[str, Any]:
    name = facts.names[file.path]
    ids = {column.name: f"{name}/{_id(column.name)}" for column in one.table.columns}
    references = {column: (table, key) for column, table, key in one.references}
    own = facts.own(one)
    label = own.get("label")
    fields = []
    for column in one.table.columns:
        kind = _CROISSANT[column.type]
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": ids[column.name],
            "name": column.name,
            "dataType": [kind, "cr:Label"] if column.name == label else kind,
            "source": {"fileObject": {"@id": _id(file.path)}, "extract": {"column": column.name}},
        }
        if column.name in references:
            table, key = references[column.name]
            field["references"] = {"field": {"@id": f"{facts.names[table]}/{_id(key)}"}}
        fields.append(field)
    result: dict[str, Any] = {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}
    if one.key:
        keys = [{"@id": ids[column]} for column in one.key]
        result["key"] = keys[0] if len(keys) == 1 else keys
    if own:
        result["jiebang"] = own
    return result


def _declaration(facts: _Facts) -> Draft:
    lines = [
        "# What is known about the data beyond its bytes: jiebang score DATA --declare declare.yaml",
        "# Correct what was guessed; complete or take out what is marked.",
        "tables:",
    ]
    for one in facts.tables:
        entry: dict[str, Any] = {"types": {column.name: str(column.type) for column in one.table.columns}}
        if one.key:
            entry["key"] = list(one.key)
        if one.required:
            entry["required"] = list(one.required)
        if one.references:
            entry["foreign_keys"] = [
                {"fields": [column], "to": table, "key": [key]} for column, table, key in one.references
            ]
        own = facts.own(one)
        marks = {key: value for key, value in own.items() if isinstance(value, str) and UNWRITTEN.search(value)}
        entry |= {key: value for key, value in own.items() if key not in marks}
        written = yaml.safe_dump({one.table.name: entry}, allow_unicode=True, sort_keys=False, width=110)
        lines += [f"  {line}" for line in written.splitlines()]
        # A mark would be read as a column's name, so it stands in a comment.
        lines += [f"    # {key}: {value}" for key, value in marks.items()]
        lines.append(f"    # records: FILL IN: how many are needed (there are {one.table.records})")
    return Draft(DECLARATION, "\n".join(lines) + "\n", _marked(lines))


def _readme(facts: _Facts) -> Draft:
    known = {
        "0101-3": "\n".join(f"* `{one.table.name}`: {one.table.records:,} records" for one in facts.tables),
        "0101-5": "\n".join(f"* `{file.path}` ({file.bytes:,} bytes)" for file in facts.files[:50]),
        "0102-1": "\n\n".join(_field_table(one) for one in facts.tables),
        "0104-5": f"{facts.licence}" if facts.licence else "",
    }
    lines = [f"# {facts.title}", ""]
    for aspect in ASPECTS:
        text = known.get(aspect.id) or f"FILL IN: {aspect.en} ({aspect.zh})"
        lines += [f"## {aspect.en[0].upper()}{aspect.en[1:]} ({aspect.zh})", "", text, ""]
    return Draft(README, "\n".join(lines), _marked(lines))


def _field_table(one: TableProfile) -> str:
    rows = [f"| {_cell(column.name)} | {column.type} | FILL IN |" for column in one.table.columns]
    return "\n".join([f"Of `{one.table.name}`:", "", "| Field | Type | Meaning |", "| --- | --- | --- |", *rows])


def _cell(name: str) -> str:
    return re.sub(r"([|\\`])", r"\\\1", " ".join(name.split()))


def _json(name: str, data: dict[str, Any]) -> Draft:
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    return Draft(name, text, tuple(_marks(data, "")))


def _marks(value: Any, place: str) -> list[str]:
    if isinstance(value, dict):
        return [mark for key, inner in value.items() for mark in _marks(inner, f"{place}.{key}" if place else key)]
    if isinstance(value, list):
        return [mark for number, inner in enumerate(value) for mark in _marks(inner, f"{place}[{number}]")]
    return [place] if isinstance(value, str) and UNWRITTEN.search(value) else []


def _marked(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"line {number}" for number, line in enumerate("\n".join(lines).split("\n"), 1) if UNWRITTEN.search(line)
    )


DRAFTS: dict[str, Callable[[_Facts], Draft]] = {
    CROISSANT: _croissant,
    DATA_PACKAGE: _data_package,
    DECLARATION: _declaration,
    README: _readme,
}
"""What can be drafted, by the name of its file."""
