"""What the lock file says, read without uv."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def packages() -> dict[str, dict[str, Any]]:
    """The locked packages by name."""
    return {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]}


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
