"""Frictionless Data Package v2 (`datapackage.json`): its resources, licences and sources, read as plain JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jiebang.structure.descriptors import REMOTE, Declared, Descriptor, Source, folder_of, inside, listed, written
from jiebang.structure.licences import resolves

_HASH = re.compile(r"sha-?256:([0-9A-Fa-f]{64})", re.IGNORECASE)


def resources(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources that are objects."""
    return [entry for entry in listed(data.get("resources")) if isinstance(entry, dict)]


def paths_of(path: str, resource: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """What a resource of a descriptor names: each path as written, and in the dataset (None: outside)."""
    folder = folder_of(path)
    texts = [text for text in listed(resource.get("path")) if isinstance(text, str)]
    return [(text, inside(folder, text)) for text in texts]


def read(path: str, data: dict[str, Any]) -> Descriptor:
    """A Data Package descriptor."""
    files: list[Declared] = []
    own_licences: dict[str, tuple[str, ...]] = {}
    own_sources: dict[str, tuple[Source, ...]] = {}
    created = written(data.get("created"))
    for resource in resources(data):
        named = paths_of(path, resource)
        digest = _HASH.fullmatch(str(resource.get("hash", "")).strip())
        licences = _licences(resource)
        sources = _sources(resource, created)
        for text, place in named:
            if REMOTE.match(text) and not text.startswith("file:"):
                continue  # kept elsewhere, so no part of what was handed in
            # One digest cannot be of several files.
            files.append(Declared(place, digest[1].lower() if digest and len(named) == 1 else None, path, text))
            if place is not None and licences:
                own_licences[place] = licences
            if place is not None and sources:
                own_sources[place] = sources
    return Descriptor(
        path,
        data,
        files=tuple(files),
        licences=_licences(data),
        own_licences=own_licences,
        sources=_sources(data, created),
        own_sources=own_sources,
    )


def _licences(node: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for entry in listed(node.get("licenses")):
        if isinstance(entry, Mapping):
            texts = [text for key in ("name", "path", "title") if (text := written(entry.get(key)))]
            if texts:
                found.append(next((text for text in texts if resolves(text)), texts[0]))
    return tuple(found)


def _sources(node: Mapping[str, Any], created: str) -> tuple[Source, ...]:
    found = []
    for entry in listed(node.get("sources")):
        if isinstance(entry, Mapping):
            details = written(entry.get("path")) or written(entry.get("email"))
            found.append(Source(written(entry.get("title")) or details, details, written(entry.get("date")) or created))
    return tuple(source for source in found if source.title)
