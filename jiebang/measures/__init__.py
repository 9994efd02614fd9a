"""The measures: one small pure definition each, and the planner that runs them together."""

from __future__ import annotations

from jiebang.measures import bal_1, com_1, com_2, com_3, dup_1, fmt_1, key_1, out_1, ref_1, scl_1, typ_1
from jiebang.measures.definition import Measure, Subject
from jiebang.measures.planner import run_measures

MEASURES: tuple[Measure, ...] = tuple(
    module.MEASURE for module in (fmt_1, typ_1, com_1, com_2, com_3, scl_1, out_1, dup_1, key_1, ref_1, bal_1)
)
BY_ID = {measure.id: measure for measure in MEASURES}

__all__ = ["BY_ID", "MEASURES", "Measure", "Subject", "run_measures"]
