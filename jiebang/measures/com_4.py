"""COM-4, label completeness.

Aligned with the label completeness of ISO/IEC 5259-2 and the completeness of data elements (数据元素完整性) of GB/T
36344-2018.

Example: ten records with the declared classes p and q, of which one label is missing and one is `todo`: 8/10 =
0.800000.
"""

from __future__ import annotations

from jiebang.measures.definition import POINTERS, Aggregate, Measure, Plan, Rows, Subject, literal, pointer_query, ratio
from jiebang.measures.labels import without_label
from jiebang.measures.missing import present_cells
from jiebang.result import MeasureResult


def plan(subject: Subject) -> Plan:
    """Records with a label / N.

    A label is missing as any cell is; where classes are declared, a word that is none of them is no label, so neither
    "unknown" nor "to do" fills a hole. A record that nobody has labelled lowers it.
    """
    column = subject.column(subject.declared.label or "")
    assert column is not None
    cell, classes = f"s{column.index}", subject.declared.classes
    labelled = present_cells(column)
    hole = f"{cell} IS NULL"
    if classes:
        listed = f"{cell} IN ({', '.join(literal(name) for name in classes)})"
        labelled = Aggregate(f"count(*) FILTER (WHERE {listed})")
        hole += f" OR NOT ({listed})"
    records = subject.table.records
    num = (yield [labelled]).integer(labelled)
    evidence = []
    if num < records:
        holes = Rows(pointer_query(subject.table.relation, hole, 0, POINTERS))
        evidence = [subject.pointer(f, r, column.name, "no label") for _, f, r in (yield [holes]).integers(holes)]
    return ratio(MEASURE.id, subject, num, records, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the declared label column, with its labels."
    return f"Label {result.den - result.num} of {result.den} records that have no label."


MEASURE = Measure(
    "COM-4",
    "label completeness",
    plan,
    advice,
    without_label,
    declares="label",
    columns=lambda subject: [subject.declared.label or ""],
)
