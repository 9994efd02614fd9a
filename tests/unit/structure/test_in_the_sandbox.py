"""What a dataset says of itself is read in a confined child, with the same answers."""

from __future__ import annotations

from pathlib import Path

from jiebang.sandbox import ForkServer, Job, OutcomeStatus
from tests.unit.structure.packages import TABLE, croissant, judged, rubric

MEASURES = ("DOC-1", "MET-1", "MET-2", "LIC-1")
FILES = {
    "t.csv": TABLE,
    "README.md": "# Sources\nMeasured by hand.\n",
    "croissant.json": croissant(),
    "LICENSE": "CC0-1.0",
}
DEMAND = {"types": {"a": "integer"}, "use": ["commercial"]}


def test_the_measures_of_a_package_are_the_same_in_a_child(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for name, text in FILES.items():
        (dataset / name).write_text(text, encoding="utf-8")
    output = tmp_path / "output"
    output.mkdir()
    with ForkServer() as server:
        outcome = server.run(
            Job("score", dataset, output, {"demand": DEMAND, "rubric": rubric(*MEASURES)}),
            wall_seconds=60,
            memory_bytes=2_000_000_000,
        )
    assert outcome.status is OutcomeStatus.DONE, outcome
    assert outcome.result is not None
    outside = judged({**FILES}, *MEASURES, demand=DEMAND)
    assert [gate["id"] for gate in outcome.result["gates"]] == ["G1", "G3", "G6"]
    assert outcome.result["total"] == outside.total
    assert {one["id"]: (one["num"], one["den"]) for one in outcome.result["combined"] if one["id"] in MEASURES} == {
        name: (outside[name].num, outside[name].den) for name in MEASURES
    }
