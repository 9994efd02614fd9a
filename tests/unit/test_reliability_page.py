"""The page that says which test shows what names only tests that there are, and says rightly how they are run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
NAMED = re.compile(r"(?P<marked>\*\*F\*\* )?`(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)`")
NAMES = sorted({(named["file"], named["test"], named["marked"] is not None) for named in NAMED.finditer(PAGE)})


def written_in(file: str) -> dict[str, bool]:
    """The tests of a file, and whether each is one of the long fault tests."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    whole_file = any(
        isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node) and "mark.faults" in ast.unparse(node)
        for node in tree.body
    )
    return {
        node.name: whole_file or any("mark.faults" in ast.unparse(mark) for mark in node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(("file", "test", "marked"), NAMES, ids=[f"{file}::{test}" for file, test, _ in NAMES])
def test_each_test_that_is_named_exists_and_is_run_as_it_says(file: str, test: str, marked: bool) -> None:
    tests = written_in(file)
    assert test in tests, f"{file} has no {test}; has it been renamed?"
    assert tests[test] is marked, f"{file}::{test} is{'' if tests[test] else ' not'} run by `make test-faults`"


def test_no_fault_of_the_matrix_is_left_out() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 39)]


def test_every_row_names_a_test_or_says_that_it_is_not_covered() -> None:
    for row in re.findall(r"^\| \d+ \|.*$", PAGE, re.MULTILINE):
        assert NAMED.search(row) or "*not covered yet*" in row, row
