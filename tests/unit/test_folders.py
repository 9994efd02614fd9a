"""A folder is read however deep it is; what cannot be read is refused with what to do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jiebang
from jiebang.errors import DatasetRefused
from jiebang.folders import entries_below
from jiebang.packing import Package

Nested = Callable[[int, str], Path]


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Nested]:
    """Makes so many folders in each other, of that name each, with a table in the last."""
    top = tmp_path / "top"
    top.mkdir()
    here = Path.cwd()

    def make(depth: int, name: str) -> Path:
        os.chdir(top)
        try:
            for _ in range(depth):
                os.mkdir(name)
                os.chdir(name)
            Path("a.csv").write_text("a\n1\n")
        finally:
            os.chdir(here)
        return top

    yield make
    subprocess.run(["rm", "-rf", str(top)], check=True)  # Python's own removal calls itself for every folder


def test_a_thousand_folders_in_each_other_are_told_by_their_gate(nested: Nested) -> None:
    scan = jiebang.scan(nested(1_100, "d"))
    assert [reason.code for gate in scan.gates for reason in gate.reasons] == ["name_too_long"]


def test_a_thousand_folders_in_each_other_travel(nested: Nested) -> None:
    package = Package(nested(1_100, "d"))
    assert sum(map(len, package.read(0))) == package.length


@pytest.mark.parametrize("use", [jiebang.scan, Package])
def test_a_folder_that_cannot_be_read_is_refused(nested: Nested, use: Callable[[Path], object]) -> None:
    folder = nested(40, "d" * 200)  # beyond the longest path that the system takes
    with pytest.raises(DatasetRefused) as refusal:
        use(folder)
    assert refusal.value.code == "unreadable"
    assert "Make it readable" in refusal.value.detail


def test_entries_come_in_the_order_of_their_names_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/x", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "d").symlink_to(tmp_path / "a")
    found = [Path(entry.path).relative_to(tmp_path).as_posix() for entry in entries_below(tmp_path)]
    assert found == ["a/x", "b/1", "b/2", "c", "d"]
