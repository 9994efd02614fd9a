"""The lists that the detectors know by heart, out of `lists.yaml`: versioned, so that a count can be told again."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import yaml

_DATA: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("lists.yaml").read_text(encoding="utf-8"))

VERSION: int = _DATA["version"]
AS_OF: datetime.date = _DATA["as_of"]


def words(name: str) -> tuple[str, ...]:
    """A list of words."""
    return tuple(str(word) for word in _DATA[name])


def entries(name: str) -> tuple[dict[str, Any], ...]:
    """A list of entries with fields."""
    return tuple(_DATA[name])
