"""The measures: one small pure definition each, and the planner that runs them together."""

from __future__ import annotations

from jiebang.measures import (
    ann_1,
    bal_1,
    bal_2,
    com_1,
    com_2,
    com_3,
    com_4,
    com_5,
    doc_1,
    dom_1,
    dup_1,
    enc_1,
    fmt_1,
    img_1,
    key_1,
    lab_3,
    lek_1,
    lic_1,
    met_1,
    met_2,
    out_1,
    pii_1,
    pii_2,
    prv_1,
    ref_1,
    rul_1,
    scl_1,
    tim_1,
    tim_3,
    typ_1,
)
from jiebang.measures.definition import Measure, Subject
from jiebang.measures.package_measure import PackageMeasure
from jiebang.measures.planner import run_measures

FIRST_MEASURES: tuple[Measure, ...] = tuple(
    module.MEASURE for module in (fmt_1, typ_1, com_1, com_2, com_3, scl_1, out_1, dup_1, key_1, ref_1, bal_1)
)
"""The measures of tables that are in every report, so that reports under any rubrics can be held side by side."""

FOUND_MEASURES: tuple[Measure, ...] = tuple(module.MEASURE for module in (pii_1, pii_2))
"""Those that count what was found in cells, for which somebody has to look through them first."""

MEASURES: tuple[Measure, ...] = (
    *FIRST_MEASURES,
    *(module.MEASURE for module in (dom_1, enc_1, com_4, com_5, rul_1, lab_3, tim_3, lek_1, tim_1, bal_2, prv_1)),
    *FOUND_MEASURES,
)
"""All measures of tables; those that are not among the first are run where a rubric lists them."""

PACKAGE_MEASURES: tuple[PackageMeasure, ...] = tuple(
    module.MEASURE for module in (doc_1, met_1, met_2, lic_1, ann_1, img_1)
)
"""The measures of a dataset as a whole, run where a rubric lists them."""

EVERY: tuple[Measure | PackageMeasure, ...] = (*MEASURES, *PACKAGE_MEASURES)
BY_ID = {measure.id: measure for measure in EVERY}

__all__ = [
    "BY_ID",
    "EVERY",
    "FIRST_MEASURES",
    "FOUND_MEASURES",
    "MEASURES",
    "PACKAGE_MEASURES",
    "Measure",
    "PackageMeasure",
    "Subject",
    "run_measures",
]
