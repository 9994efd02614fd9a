"""Datasets with the right integers: small files beside this one, larger ones read from installed packages."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A dataset by its files' names, and what is declared about it."""

    name: str
    declare: dict[str, Any]
    files: dict[str, bytes]

    def write(self, folder: Path) -> Path:
        """Write the files into a folder, which is then the dataset."""
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return folder


def _package_data(path: str) -> bytes:
    # Found without importing: some of these packages load all their data on import.
    spec = importlib.util.find_spec(path.split("/")[0])
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{path}: its package is not installed; `uv sync` brings it")
    for location in spec.submodule_search_locations:
        found = Path(location).parent / path
        if found.exists():
            data = found.read_bytes()
            if found.suffix == ".zip":
                archive = zipfile.ZipFile(io.BytesIO(data))
                return archive.read(archive.namelist()[0])
            return data
    raise FileNotFoundError(path)


def _sources(description: dict[str, Any]) -> list[str]:
    path = description["path"]
    braces = re.search(r"\{(.*)\}", path)
    if braces is None:
        return [path]
    return [path.replace(braces[0], choice) for choice in braces[1].split(",")]


@cache
def load_case(name: str) -> Case:
    """Read a case with its files' bytes."""
    folder = FOLDER / name
    description = json.loads((folder / "case.json").read_text())
    if "package" in description:
        sources = [_package_data(path) for path in _sources(description)]
        files = dict(zip(description["files"], sources, strict=True))
    else:
        files = {file: (folder / file).read_bytes() for file in description["files"]}
    return Case(name, description["declare"], files)


def case_names() -> list[str]:
    """Every case, by name."""
    return sorted(path.parent.name for path in FOLDER.glob("*/case.json"))


def expected() -> dict[str, Any]:
    """Status, num, den and value per case, table and measure."""
    return dict(json.loads((FOLDER / "expected.json").read_text()))


def totals() -> dict[str, Any]:
    """Total, grade, provisional, coverage, dimensions and gains per case under the rubric core-0."""
    return dict(json.loads((FOLDER / "totals.json").read_text()))
