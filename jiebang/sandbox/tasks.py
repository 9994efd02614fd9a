"""What a child may be asked to do with a dataset. A task runs confined, with the engine already imported."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import jiebang.dataset
import jiebang.detectors
import jiebang.gates
import jiebang.judge as judge
import jiebang.measures
import jiebang.report
import jiebang.structure
from jiebang.report import render_html
from jiebang.sandbox.outcome import Task

REPORT_FILE = "report.html"


def _load_everything() -> None:
    """Import what the engine would import late: a child may read Python files, but no library of the system.

    It also saves each child the time.
    """
    for package in (
        jiebang.dataset,
        jiebang.detectors,
        jiebang.gates,
        jiebang.measures,
        jiebang.report,
        jiebang.structure,
    ):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in ("bz2", "hashlib", "lzma", "pyarrow.compute", "pyarrow.parquet", "zlib"):
        importlib.import_module(name)
    jiebang.detectors.compile_detectors()


def scan(dataset: Path, output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run the gates alone, as they are run for a score; answers with `ScanResult.as_dict()`.

    The arguments are those of a score.
    """
    return judge.scan(
        [dataset],
        declare=arguments.get("declaration"),
        demand=arguments.get("demand"),
        rubric=arguments.get("rubric", "core-0"),
        threads=arguments.get("threads"),
        memory=arguments.get("memory"),
        scratch=_scratch(output),
    ).as_dict()


def score(dataset: Path, output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Judge the dataset and leave `report.html` beside the result; answers with `Report.as_dict()`.

    Arguments: `demand` (a challenge's data demand) or `declaration` (the submitter's own), `rubric` (a preset's name
    or a whole rubric), `threads`, `memory` (bytes); all may be absent.
    """
    report = judge.score(
        [dataset],
        declare=arguments.get("declaration"),
        demand=arguments.get("demand"),
        rubric=arguments.get("rubric", "core-0"),
        threads=arguments.get("threads"),
        memory=arguments.get("memory"),
        scratch=_scratch(output),
    )
    # The page keeps the rubric's order of things, which canonical JSON sorts away.
    (output / REPORT_FILE).write_text(render_html(report.as_dict()), encoding="utf-8")
    facts: dict[str, Any] = json.loads(report.to_json())
    return facts


def _scratch(output: Path) -> Path:
    scratch = output / "scratch"
    scratch.mkdir()
    return scratch


_load_everything()

TASKS: dict[str, Task] = {"scan": scan, "score": score}
