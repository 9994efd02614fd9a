"""BAL-2, class adequacy.

Aligned with the balance and the effectiveness of ISO/IEC 5259-2; GB/T 36344-2018 has no counterpart.

Example: `min_per_class: 30` over 714 sunny, 411 foggy, 259 rainy, 54 drizzly and 23 snowy days: 4/5 = 0.800000.
"""

from __future__ import annotations

from collections import Counter

from jiebang.measures.definition import Measure, Plan, Rows, Subject, literal, ratio
from jiebang.measures.distinct import record_columns
from jiebang.measures.labels import without_label
from jiebang.result import Evidence, MeasureResult, Status


def unmet(subject: Subject) -> Status | None:
    """Not declared without the number of records that each class needs; failed when the label is not there."""
    return Status.NOT_DECLARED if subject.declared.min_per_class is None else without_label(subject)


def plan(subject: Subject) -> Plan:
    """Declared classes with at least `min_per_class` distinct records / declared classes.

    Records are distinct as for DUP-1, so copies of the rare ones do not help; neither does a label that is none of the
    declared classes, nor many records of a frequent one.
    """
    column, classes = subject.column(subject.declared.label or ""), subject.declared.classes
    assert column is not None
    needed = subject.declared.min_per_class or 1
    label = f"s{column.index}"
    chosen = f"{label} IN ({', '.join(literal(name) for name in classes)})"
    cells = ", ".join(f"s{index} AS p{index}" for index in record_columns(subject))
    # A hash that occurs once is of a record that is equal to no other; of the rest, equality decides.
    alike = f"SELECT h FROM {subject.table.relation} GROUP BY h HAVING count(*) > 1"
    sizes = Rows(
        f"WITH hashes AS MATERIALIZED ({alike}) "
        f"SELECT {label} AS c, count(*) AS n FROM {subject.table.relation} "
        f"WHERE {chosen} AND NOT (h IN (SELECT h FROM hashes)) GROUP BY {label} UNION ALL "
        f"SELECT c, count(*) AS n FROM (SELECT DISTINCT {label} AS c, {cells} FROM {subject.table.relation} "
        f"WHERE {chosen} AND h IN (SELECT h FROM hashes)) AS candidates GROUP BY c"
    )
    found: Counter[str] = Counter()
    for name, n in (yield [sizes]).rows(sizes):
        found[str(name)] += int(n or 0)
    short = sorted((found[name], place, name) for place, name in enumerate(classes))
    evidence = [
        Evidence(column=column.name, note=f"{n} of {needed} distinct records of class {name[:40]}")
        for n, _, name in short
        if n < needed
    ]
    return ratio(MEASURE.id, subject, len(classes) - len(evidence), len(classes), evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the declared label column, with its labels."
    rarest = ", ".join(pointer.note or "" for pointer in result.evidence[:3])
    return f"Add records of {result.den - result.num} of {result.den} classes that have too few: {rarest}."


MEASURE = Measure(
    "BAL-2",
    "class adequacy",
    plan,
    advice,
    unmet,
    declares="min_per_class",
    columns=lambda subject: [subject.declared.label or ""],
)
