"""Datasets with all that describes them give the integers that were counted by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import jiebang
from jiebang.result import Status
from tests.unit.structure.packages import rubric

FOLDER = Path(__file__).resolve().parents[2] / "packages"
EXPECTED: dict[str, dict[str, list[int] | None]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("archived", [False, True], ids=["as a folder", "as an archive"])
def test_a_described_dataset_gives_the_right_integers(name: str, archived: bool, tmp_path: Path) -> None:
    dataset: Path = FOLDER / name
    if archived:
        dataset = Path(shutil.make_archive(str(tmp_path / name), "zip", FOLDER / name))
    report = jiebang.score(dataset, rubric=rubric(*EXPECTED[name]))
    found = {
        measure: None if report[measure].status is Status.NOT_DECLARED else [report[measure].num, report[measure].den]
        for measure in EXPECTED[name]
    }
    assert found == EXPECTED[name]


def test_every_dataset_has_its_expectation() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(EXPECTED)
