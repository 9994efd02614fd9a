"""Where a dataset's descriptors lie, and the paths that they name: compared with its files, never opened."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
UNWRITTEN = re.compile(r"\bfill[ _-]in\b|待填写|请填写", re.IGNORECASE)
"""The mark that a drafted descriptor puts where a person has to write."""


def folder_of(path: str) -> str:
    """The folder of a path with its `/`, empty at the top."""
    return path[: path.rfind("/") + 1]


def inside(folder: str, path: str) -> str | None:
    """The path that a descriptor in a folder means, None where it leads out of the dataset."""
    path = unicodedata.normalize("NFC", path).replace("\\", "/")
    if path.startswith("/") or REMOTE.match(path):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if ".." in parts or not parts else folder + "/".join(parts)


@dataclass(frozen=True)
class Declared:
    """A file that a descriptor names: its path in the dataset (None: outside), its SHA-256 where it says one."""

    path: str | None
    sha256: str | None
    by: str
    named: str
    """The path as the descriptor writes it."""


@dataclass(frozen=True)
class Source:
    """Where data come from, as a descriptor says: who, where in particular, and when."""

    title: str
    details: str
    time: str


@dataclass(frozen=True)
class Descriptor:
    """A descriptor in short: where it lies, why it could not be read, and what it says in common with others.

    `licences` are those of everything in its folder, `own_licences` those of single files by path; a tuple holds what
    all apply. `sources` likewise.
    """

    path: str
    data: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    files: tuple[Declared, ...] = ()
    licences: tuple[str, ...] = ()
    own_licences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    own_sources: dict[str, tuple[Source, ...]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder that it describes, with its `/`, empty at the top."""
        return folder_of(self.path)


def written(value: Any) -> str:
    """A text that a person wrote, without outer blanks; empty for anything else and for a mark of what is to come."""
    if not isinstance(value, str) or UNWRITTEN.search(value):
        return ""
    return value.strip()


def listed(value: Any) -> list[Any]:
    """A value that may be one or a list, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
