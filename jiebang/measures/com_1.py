"""COM-1, value completeness.

Aligned with the value completeness of ISO/IEC 5259-2 and the completeness of data elements (数据元素完整性) of GB/T
36344-2018.

Example: the penguins of Palmer Station, 344 records of 8 columns with 19 missing cells: 2733/2752 = 0.993096.
"""

from __future__ import annotations

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.measures.missing import emptiest, missing_counts, present_cells
from jiebang.result import MeasureResult


def plan(subject: Subject) -> Plan:
    """(N·P - missing cells) / (N·P), for N records and P columns.

    A cell is missing when, trimmed, it is one of the missing markers: the declared ones, else the common list. In a
    challenge P counts the demanded columns: one that is absent is wholly missing, extra ones count nowhere, so neither
    a word like "none" among the declared markers nor two hundred constant columns fill a hole.
    """
    columns = [(column.name, column if column.present else None) for column in subject.table.columns]
    answers = yield [present_cells(column) for _, column in columns if column is not None]
    counts = missing_counts(subject, columns, answers)
    cells = subject.table.records * len(columns)
    missing = sum(count for _, count in counts)
    return ratio(MEASURE.id, subject, cells - missing, cells, evidence=emptiest(counts, subject.table.records))


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    where = f", most of them in `{result.evidence[0].column}`" if result.evidence else ""
    return f"Fill in {result.den - result.num} missing of {result.den} values{where}."


MEASURE = Measure(
    "COM-1", "value completeness", plan, advice, columns=lambda subject: [c.name for c in subject.table.columns]
)
