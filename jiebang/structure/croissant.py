"""Croissant 1.1 (`croissant.json`): its required properties, its files and its record sets, read as plain JSON.

No JSON-LD is expanded and no context is loaded: names are known by what stands behind their prefix, which is how all
published descriptors write them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from jiebang.structure.descriptors import REMOTE, Declared, Descriptor, Source, folder_of, inside, listed, written
from jiebang.structure.licences import resolves

_VERSION = re.compile(r"https?://mlcommons\.org/croissant/1\.\d+/?")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


def term(node: Any, name: str) -> Any:
    """The value of a property under its own name or any prefix of it: `license`, `sc:license`, a whole IRI."""
    if not isinstance(node, Mapping):
        return None
    if name in node:
        return node[name]
    return next((value for key, value in node.items() if _local(key) == name and not key.startswith("@")), None)


def _local(name: str) -> str:
    return re.split(r"[:/#]", name)[-1]


def identity(value: Any) -> str:
    """The id that a reference means: `{"@id": …}` or the bare text."""
    if isinstance(value, Mapping):
        value = value.get("@id")
    return value if isinstance(value, str) else ""


def kind(node: Any) -> str:
    """The local name of a node's first type."""
    types = listed(node.get("@type")) if isinstance(node, Mapping) else []
    return _local(types[0]) if types and isinstance(types[0], str) else ""


def read(path: str, data: dict[str, Any], paths: frozenset[str]) -> Descriptor:
    """A Croissant descriptor; `paths` are those of the dataset's files."""
    return Descriptor(
        path,
        data,
        files=tuple(_files(path, data, paths)),
        licences=tuple(filter(None, (_licence(value) for value in listed(term(data, "license"))))),
        sources=tuple(_sources(data)),
    )


def file_objects(path: str, data: dict[str, Any], paths: frozenset[str]) -> dict[str, str]:
    """The files of the dataset by the ids of the FileObjects that mean them."""
    found = {}
    for node in listed(term(data, "distribution")):
        if kind(node) == "FileObject" and (place := _place(path, node, paths)) is not None:
            found[identity(node)] = place
    return found


def _files(path: str, data: dict[str, Any], paths: frozenset[str]) -> list[Declared]:
    declared = []
    folders = {folder for each in paths for folder in _folders(each)}
    for node in listed(term(data, "distribution")):
        if kind(node) != "FileObject":
            continue
        url = term(node, "contentUrl")
        named = url if isinstance(url, str) else identity(node)
        place = _place(path, node, paths)
        if place is None and REMOTE.match(named) and not named.startswith("file:"):
            continue  # kept elsewhere, so no part of what was handed in
        if place is not None and place not in paths and place in folders:
            continue  # an archive that was opened: what it holds is declared, not itself
        digest = term(node, "sha256")
        known = digest.lower() if isinstance(digest, str) and _SHA256.fullmatch(digest) else None
        declared.append(Declared(place, known, path, named))
    return declared


def _folders(path: str) -> list[str]:
    """The folders that a path lies in, from the top."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _place(path: str, node: Mapping[str, Any], paths: frozenset[str]) -> str | None:
    """The path in the dataset that a FileObject means, None where it lies outside."""
    folder = folder_of(path)
    url = term(node, "contentUrl")
    url = url if isinstance(url, str) else identity(node)
    holders = [place for holder in listed(term(node, "containedIn")) if (place := inside(folder, identity(holder)))]
    if not REMOTE.match(url):
        for holder in holders:
            within = inside(f"{holder}/", unquote(url))
            if within in paths:
                return within
        return inside(folder, unquote(url))
    names = (term(node, "name"), identity(node), urlsplit(url).path.rpartition("/")[2])
    places = [inside(folder, name) for name in names if isinstance(name, str)]
    return next((place for place in places if place in paths), None)


def _licence(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = (term(value, "url"), identity(value), term(value, "name"))
        texts = [text for text in map(written, parts) if text]
        return next((text for text in texts if resolves(text)), texts[0] if texts else "")
    return written(value)


def _sources(data: dict[str, Any]) -> list[Source]:
    """Provenance as PROV (`wasDerivedFrom`), schema.org (`isBasedOn`) or RAI (`dataCollection`) says it."""
    times = (term(data, name) for name in ("dataCollectionTimeframe", "temporalCoverage", "dateCreated"))
    time = next((text for value in times for text in map(written, listed(value)) if text), "")
    found = []
    for name in ("wasDerivedFrom", "isBasedOn"):
        for value in listed(term(data, name)):
            place = written(value) or identity(value) or written(term(value, "url"))
            title = written(term(value, "name")) or written(term(value, "label")) or place
            found.append(Source(title, place, time))
    collection = next((text for text in map(written, listed(term(data, "dataCollection"))) if text), "")
    types = next((text for text in map(written, listed(term(data, "dataCollectionType"))) if text), "")
    if collection:
        found.append(Source(types or collection, collection, time))
    return found


def is_url(value: Any) -> bool:
    """Whether a value is a web address with a host."""
    if not written(value):
        return False
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "." in (parts.hostname or "") and " " not in value.strip()


def is_moment(value: Any) -> bool:
    """Whether a value is an ISO date or date and time that exists."""
    text = written(value)
    if not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def _is_context(value: Any) -> bool:
    def names_schema(entry: Any) -> bool:
        return isinstance(entry, str) and re.match(r"https?://schema\.org/?", entry) is not None

    for entry in listed(value):
        if names_schema(entry) or (isinstance(entry, Mapping) and any(map(names_schema, entry.values()))):
            return True
    return False


def _is_agent(value: Any) -> bool:
    agents = listed(value)
    return bool(agents) and all(
        kind(agent) in ("Person", "Organization") and bool(written(term(agent, "name"))) for agent in agents
    )


def _is_distribution(value: Any) -> bool:
    def complete(node: Any) -> bool:
        needed = {"FileObject": "contentUrl", "FileSet": "includes"}.get(kind(node))
        return needed is not None and bool(identity(node)) and any(map(written, listed(term(node, needed))))

    nodes = listed(value)
    return bool(nodes) and all(map(complete, nodes))


REQUIRED: Sequence[tuple[str, str, Callable[[dict[str, Any]], bool]]] = (
    ("@context", "the JSON-LD context of Croissant, with schema.org", lambda data: _is_context(data.get("@context"))),
    ("@type", "`sc:Dataset`", lambda data: kind(data) == "Dataset"),
    (
        "conformsTo",
        "`http://mlcommons.org/croissant/1.1`",
        lambda data: any(_VERSION.fullmatch(identity(value)) is not None for value in listed(term(data, "conformsTo"))),
    ),
    ("name", "the dataset's name", lambda data: bool(written(term(data, "name")))),
    ("description", "what the dataset is", lambda data: bool(written(term(data, "description")))),
    (
        "license",
        "an SPDX id or the web address of a licence",
        lambda data: (
            bool(values := listed(term(data, "license")))
            and all(resolves(_licence(value)) or is_url(_licence(value)) for value in values)
        ),
    ),
    ("url", "the dataset's web address", lambda data: is_url(term(data, "url"))),
    ("creator", "a Person or Organization with a name", lambda data: _is_agent(term(data, "creator"))),
    ("datePublished", "a date, YYYY-MM-DD", lambda data: is_moment(term(data, "datePublished"))),
    (
        "distribution",
        "FileObjects with a contentUrl, or FileSets with includes",
        lambda data: _is_distribution(term(data, "distribution")),
    ),
)
"""The nine properties that Croissant 1.1 requires of a dataset, and its distribution: name, what is wanted, a check."""
