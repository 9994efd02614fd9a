"""The packs of rules that come with the engine, one YAML file for each sector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jiebang.document import parse_document

_FOLDER = Path(__file__).parent / "packs"


@dataclass(frozen=True)
class PackRule:
    """A rule of a pack, in the pack's own names of columns."""

    name: str
    text: str


@dataclass(frozen=True)
class Pack:
    """The rules of a sector, and what each of its columns means, with its unit."""

    title: str
    columns: Mapping[str, str]
    rules: tuple[PackRule, ...]


@cache
def packs() -> dict[str, Pack]:
    """The packs by name."""
    return {path.stem: _pack(path) for path in sorted(_FOLDER.glob("*.yaml"))}


def _pack(path: Path) -> Pack:
    data = parse_document(path.read_text(encoding="utf-8"), path.name).data
    rules = tuple(PackRule(name, rule) for name, rule in data["rules"].items())
    return Pack(data["title"], data["columns"], rules)
