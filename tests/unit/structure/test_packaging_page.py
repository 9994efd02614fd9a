"""The examples of docs/packaging.md are a dataset, and it is as good as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import jiebang
from jiebang.structure.aspects import ASPECTS
from tests.unit.structure.packages import rubric

PAGE = Path(__file__).resolve().parents[3] / "docs" / "packaging.md"


def examples() -> dict[str, str]:
    """The files of the page: each a name on a line of its own, then a block."""
    text = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"^`([^`\n]+)`\n\n```\w+\n(.*?)```", text, re.M | re.S))


def test_the_examples_are_a_whole_dataset(tmp_path: Path) -> None:
    files = examples()
    assert set(files) == {"measurements.csv", "stations.csv", "LICENSE", "datapackage.json", "croissant.json"}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    measures = ("MET-1", "MET-2", "LIC-1", "PRV-1", "KEY-1", "REF-1", "TYP-1", "DOM-1", "COM-5")
    report = jiebang.score(tmp_path, declare={"use": ["commercial", "modify"]}, rubric=rubric(*measures))
    assert report.passed
    assert {name for name in measures if report[name].num != report[name].den} == set()
    assert (report["COM-1"].num, report["COM-1"].den) == (19, 20)


def test_the_grant_of_the_page_permits_what_it_says(tmp_path: Path) -> None:
    (grant,) = re.findall(r"```text\n(Grantor:.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    (tmp_path / "t.csv").write_text("a\n1\n")
    (tmp_path / "GRANT.md").write_text(grant)
    for use, passes in (("commercial", True), ("modify", True), ("share", False)):
        assert jiebang.score(tmp_path, declare={"use": [use]}, rubric=rubric("COM-1")).passed is passes


def test_every_aspect_is_named_in_both_languages() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [aspect.id for aspect in ASPECTS if f"{aspect.en} {aspect.zh}" not in page] == []
