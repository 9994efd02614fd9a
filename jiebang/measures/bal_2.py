"""BAL-2, class adequacy."""

from __future__ import annotations

from jiebang.measures.definition import Measure, Plan, Rows, Subject, literal, ratio
from jiebang.measures.labels import without_label
from jiebang.result import Evidence, MeasureResult, Status


def unmet(subject: Subject) -> Status | None:
    """Not declared without the number of records that each class needs; failed when the label is not there."""
    return Status.NOT_DECLARED if subject.declared.min_per_class is None else without_label(subject)


def plan(subject: Subject) -> Plan:
    """Declared classes with at least `min_per_class` records / declared classes.

    A label that is none of the declared classes helps no class. Many records of the frequent classes do not make up
    for a rare one.
    """
    column, classes = subject.column(subject.declared.label or ""), subject.declared.classes
    assert column is not None
    needed = subject.declared.min_per_class or 1
    label = f"s{column.index}"
    chosen = " OR ".join(f"{label} = {literal(name)}" for name in classes)
    sizes = Rows(f"SELECT {label} AS c, count(*) AS n FROM {subject.table.relation} WHERE {chosen} GROUP BY {label}")
    found = {str(name): int(n or 0) for name, n in (yield [sizes]).rows(sizes)}
    short = sorted((found.get(name, 0), place, name) for place, name in enumerate(classes))
    evidence = [
        Evidence(column=column.name, note=f"{n} of {needed} records of class {name[:40]}")
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
