"""KEY-1, key uniqueness."""

from __future__ import annotations

from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, ratio
from jiebang.measures.missing import all_present, complete_records
from jiebang.result import MeasureResult, Status


def unmet(subject: Subject) -> Status | None:
    """Not declared without a key; failed when one of its columns is not there."""
    if not subject.declared.key:
        return Status.NOT_DECLARED
    return None if subject.columns(subject.declared.key) is not None else Status.FAILED


def plan(subject: Subject) -> Plan:
    """Distinct complete keys / N.

    A key with a missing part is no key, so its record counts in N alone; of records with the same key one counts.
    """
    columns = subject.columns(subject.declared.key) or []
    relation = subject.table.relation
    key = ", ".join(f"s{column.index}" for column in columns)
    keyed = complete_records(relation, columns)
    present = all_present(columns)
    # For the pointers only records whose parts all occur in repeated keys are grouped again: most often none.
    suspect = " AND ".join(f"s{column.index} IN (SELECT s{column.index} FROM repeated)" for column in columns)
    repeated = Rows(
        f"WITH repeated AS MATERIALIZED (SELECT {key}, count(*) AS n FROM {relation} WHERE {present} "
        f"GROUP BY {key} HAVING count(*) > 1), "
        "alike AS (SELECT min(f) AS f, max(f) AS last_f, max(r) AS r "
        f"FROM {relation} WHERE {suspect} GROUP BY {key} HAVING count(*) > 1) "
        "SELECT 0 AS tag, count(*) AS f, sum(n) AS r FROM repeated UNION ALL "
        f"(SELECT 1 AS tag, f, r FROM alike WHERE f = last_f ORDER BY f, r LIMIT {POINTERS}) ORDER BY tag, f, r"
    )
    answers = yield [keyed, repeated]
    (_, groups, rows), *pointers = answers.integers(repeated)
    num = answers.count(keyed) - rows + groups
    evidence = [subject.pointer(f, r, columns[0].name, "repeats a key") for _, f, r in pointers]
    return ratio(MEASURE.id, subject, num, subject.table.records, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the columns of the declared key."
    return f"Give {result.den - result.num} of {result.den} records a complete key of their own."


MEASURE = Measure(
    "KEY-1", "key uniqueness", plan, advice, unmet, declares="key", columns=lambda subject: subject.declared.key
)
