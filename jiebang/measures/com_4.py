"""COM-4, label completeness."""

from __future__ import annotations

from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.measures.labels import without_label
from jiebang.measures.missing import present_cells
from jiebang.result import MeasureResult


def plan(subject: Subject) -> Plan:
    """Records with a label / N.

    A label is missing as any cell is. A record that nobody has labelled lowers it; filling the hole with a word that
    is declared to be a missing marker does not raise it.
    """
    column = subject.column(subject.declared.label or "")
    assert column is not None
    present = present_cells(column)
    records = subject.table.records
    num = (yield [present]).integer(present)
    evidence = []
    if num < records:
        holes = Rows(pointer_query(subject.table.relation, f"s{column.index} IS NULL", 0, POINTERS))
        evidence = [subject.pointer(f, r, column.name, "missing") for _, f, r in (yield [holes]).integers(holes)]
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
