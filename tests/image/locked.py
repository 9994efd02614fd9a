"""What the lock file says, read without uv."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _locked() -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    return read


def packages() -> dict[str, dict[str, Any]]:
    """The locked packages by name; one that several Pythons have in several versions, in the last of them."""
    return {package["name"]: package for package in _locked()}


def versions() -> set[str]:
    """Every locked package as `name==version`."""
    return {f"{package['name']}=={package['version']}" for package in _locked()}


def group(name: str) -> set[str]:
    """The names of all packages that a group of the project brings, directly or not, on any system."""
    locked = packages()
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    wanted = list(locked["jiebang"]["dev-dependencies"][name])
    while wanted:
        need = wanted.pop()
        found.add(need["name"])
        package = locked[need["name"]]
        for extra in ("", *need.get("extra", ())):
            if (need["name"], extra) not in seen:
                seen.add((need["name"], extra))
                wanted += (
                    package.get("optional-dependencies", {}).get(extra, ())
                    if extra
                    else package.get("dependencies", ())
                )
    return found
