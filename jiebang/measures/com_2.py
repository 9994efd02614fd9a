"""COM-2, worst required field.

Aligned with the feature completeness of ISO/IEC 5259-2 and the completeness of data elements (数据元素完整性) of GB/T
36344-2018.

Example: of 344 penguins 11 have no sex, and no other column has more holes: 333/344 = 0.968023.
"""

from __future__ import annotations

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.measures.missing import emptiest, missing_counts, present_cells
from jiebang.result import MeasureResult


def plan(subject: Subject) -> Plan:
    """The least over the required columns of (N - missing cells of the column) / N.

    Undeclared, all columns are required; a required column that is not there is wholly missing. One empty column moves
    it to 0 however good the others are. A dataset takes its worst table.
    """
    answers = yield [present_cells(column) for _, column in subject.required if column is not None]
    counts = missing_counts(subject, subject.required, answers)
    records = subject.table.records
    most = max((count for _, count in counts), default=0)
    return ratio(MEASURE.id, subject, records - most, records, evidence=emptiest(counts, records)[:5])


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None or not result.evidence:
        return "Hand in the demanded records."
    emptiest_column = result.evidence[0].column
    return f"Fill in the {result.den - result.num} missing values of `{emptiest_column}`, the emptiest required column."


MEASURE = Measure(
    "COM-2",
    "worst required field",
    plan,
    advice,
    columns=lambda subject: [name for name, _ in subject.required],
    worst=True,
)
