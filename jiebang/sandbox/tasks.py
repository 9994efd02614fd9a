"""What a child may be asked to do with a dataset. A task runs confined, with the engine already imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jiebang.judge as judge
from jiebang.declaration import Declaration
from jiebang.report import render_html
from jiebang.rubric import Rubric
from jiebang.sandbox.outcome import Task

REPORT_FILE = "report.html"


def scan(dataset: Path, output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run the gates alone. Takes no arguments; answers with `ScanResult.as_dict()`."""
    return judge.scan([dataset], scratch=_scratch(output)).as_dict()


def score(dataset: Path, output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Judge the dataset and leave `report.html` beside the result; answers with `Report.as_dict()`.

    Arguments: `demand` (a challenge's data demand) or `declaration` (the submitter's own), `rubric` (a preset's name
    or a whole rubric), `threads`, `memory` (bytes); all may be absent.
    """
    demand = arguments.get("demand")
    rubric = arguments.get("rubric", "core-0")
    report = judge.score(
        [dataset],
        declare=arguments.get("declaration"),
        demand=Declaration.parse(demand, closed=True) if demand is not None else None,
        rubric=rubric if isinstance(rubric, str) else Rubric.parse(rubric),
        threads=arguments.get("threads"),
        memory=arguments.get("memory"),
        scratch=_scratch(output),
    )
    facts: dict[str, Any] = json.loads(report.to_json())
    (output / REPORT_FILE).write_text(render_html(facts), encoding="utf-8")
    return facts


def _scratch(output: Path) -> Path:
    scratch = output / "scratch"
    scratch.mkdir()
    return scratch


TASKS: dict[str, Task] = {"scan": scan, "score": score}
