"""REF-1, referential integrity.

Aligned with the consistency of ISO/IEC 5259-2 and the consistency of related data (关联数据一致性) of GB/T 36344-2018.

Example: rows that refer to x, y, x and nothing, where the other table has x alone: 2/3 = 0.666667.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.declaration import TableDeclaration
from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, ratio
from jiebang.measures.missing import all_present, complete_records
from jiebang.result import Evidence, MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.dataset.tables import Column, Table


def unmet(subject: Subject) -> Status | None:
    """Without a foreign key: not declared among several tables that have none, else not applicable.

    Failed when a referring column, the table referred to or a column of its key is not there.
    """
    if not subject.declared.foreign_keys:
        undeclared = len(subject.beside) > 1 and not subject.any_reference
        return Status.NOT_DECLARED if undeclared else Status.NOT_APPLICABLE
    for reference in subject.declared.foreign_keys:
        target = subject.target(reference.to)
        if target is None or subject.columns(reference.fields) is None or _key(target, reference.key) is None:
            return Status.FAILED
    return None


def plan(subject: Subject) -> Plan:
    """Rows whose reference is found / rows whose reference is complete, summed over the foreign keys.

    A reference is the text of its cells, compared with the text of the other table's key. A row with a missing part
    refers to nothing and is left out.
    """
    complete: list[Rows] = []
    lost: list[tuple[Rows, str]] = []
    for reference in subject.declared.foreign_keys:
        columns, target = subject.columns(reference.fields), subject.target(reference.to)
        assert columns is not None
        assert target is not None
        key = _key(target, reference.key)
        assert key is not None
        complete.append(complete_records(subject.table.relation, columns))
        lost.append((Rows(_lost(subject.table.relation, columns, target.relation, key)), columns[0].name))
    answers = yield [*complete, *(ask for ask, _ in lost)]
    den = sum(answers.count(ask) for ask in complete)
    num = den
    evidence: list[Evidence] = []
    for ask, name in lost:
        (_, _, rows), *pointers = answers.integers(ask)
        num -= rows
        shown = POINTERS // len(lost) or 1
        evidence += [subject.pointer(f, r, name, "refers to nothing") for _, f, r in pointers[:shown]]
    return ratio(MEASURE.id, subject, num, den, evidence=evidence)


def _key(target: Table, names: tuple[str, ...]) -> list[Column] | None:
    return Subject(target, TableDeclaration()).columns(names)


def _lost(relation: str, columns: list[Column], target: str, key: list[Column]) -> str:
    # Both sides are grouped by the reference before they meet, so the work is that of two counts; a reference that
    # only the referring side holds is lost. `r` is the last row with it, shown when all its rows are of one file.
    parts = ", ".join(f"p{number}" for number in range(len(columns)))
    here = ", ".join(f"s{column.index} AS p{number}" for number, column in enumerate(columns))
    there = ", ".join(f"s{column.index} AS p{number}" for number, column in enumerate(key))
    return (
        "WITH lost AS MATERIALIZED (SELECT sum(n) AS n, min(first_f) AS f, max(last_f) AS last_f, max(r) AS r FROM ("
        f"SELECT {here}, count(*) AS n, min(f) AS first_f, max(f) AS last_f, max(r) AS r, 0 AS known FROM {relation} "
        f"WHERE {all_present(columns)} GROUP BY {', '.join(f's{column.index}' for column in columns)} UNION ALL "
        f"SELECT DISTINCT {there}, 0 AS n, NULL AS first_f, NULL AS last_f, NULL AS r, 1 AS known FROM {target} "
        f"WHERE {all_present(key)}) AS both_sides GROUP BY {parts} HAVING max(known) = 0) "
        "SELECT 0 AS tag, count(*) AS f, sum(n) AS r FROM lost UNION ALL "
        f"(SELECT 1 AS tag, f, r FROM lost WHERE f = last_f ORDER BY f, r LIMIT {POINTERS}) ORDER BY tag, f, r"
    )


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the table that is referred to, with its key, and the columns that refer to it."
    return f"Correct {result.den - result.num} of {result.den} references that are not found, or add what they name."


MEASURE = Measure(
    "REF-1",
    "referential integrity",
    plan,
    advice,
    unmet,
    declares="foreign_keys",
    columns=lambda subject: [name for key in subject.declared.foreign_keys for name in key.fields],
)
