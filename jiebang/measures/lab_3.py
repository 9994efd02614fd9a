"""LAB-3, label consistency.

Aligned with the data label consistency of ISO/IEC 5259-2 and the consistency of the same data (相同数据一致性) of GB/T
36344-2018.

Example: `a` labelled p and q, `b` labelled p twice, `c` labelled once: two clusters of which one agrees, 1/2 =
0.500000.
"""

from __future__ import annotations

from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, ratio
from jiebang.measures.distinct import record_columns
from jiebang.measures.labels import without_label
from jiebang.result import MeasureResult


def plan(subject: Subject) -> Plan:
    """Clusters of equal records with one label / clusters of two or more equal records.

    Records with a label count; they are equal when every cell but the label is, in the columns that make a record
    (those of DUP-1). One of two equal records labelled otherwise lowers it: one of the labels must be wrong. Without
    equal records the question does not arise.
    """
    column = subject.column(subject.declared.label or "")
    assert column is not None
    label, relation = f"s{column.index}", subject.table.relation
    cells = ", ".join(f"s{index}" for index in record_columns(subject, without=column.name))
    by = f" GROUP BY {cells}" if cells else ""
    clusters = Rows(
        f"WITH clusters AS MATERIALIZED (SELECT min({label}) AS least, max({label}) AS greatest, min(f) AS f, "
        f"max(f) AS last_f, max(r) AS r FROM {relation} WHERE {label} IS NOT NULL{by} HAVING count(*) > 1) "
        "SELECT 0 AS tag, count(*) FILTER (WHERE least = greatest) AS f, count(*) AS r FROM clusters UNION ALL "
        "(SELECT 1 AS tag, f, r FROM clusters WHERE least < greatest AND f = last_f "
        f"ORDER BY f, r LIMIT {POINTERS}) ORDER BY tag, f, r"
    )
    (_, num, den), *pointers = (yield [clusters]).integers(clusters)
    note = "has an equal record with another label"
    evidence = [subject.pointer(f, r, column.name, note) for _, f, r in pointers]
    return ratio(MEASURE.id, subject, num, den, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the declared label column, with its labels."
    return (
        f"Decide for one label in {result.den - result.num} of {result.den} groups of equal records that have several."
    )


MEASURE = Measure(
    "LAB-3",
    "label consistency",
    plan,
    advice,
    without_label,
    declares="label",
    columns=lambda subject: [subject.declared.label or ""],
)
