"""DOM-1, domain conformity.

Aligned with the accuracy range of ISO/IEC 5259-2 and the authoritative reference data (权威参考数据) under the
normativity of GB/T 36344-2018.

Example: `domains: {grade: [A, B], age: {min: 0, max: 120}}` over the records A, 30 and B, 300 and a, 41: grade has one
cell outside and age another, so 4/6 = 0.666667.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.dataset.tables import Fact
from jiebang.measures.definition import POINTERS, Aggregate, Measure, Plan, Rows, Subject, literal, pointer_query, ratio
from jiebang.measures.missing import present_cells
from jiebang.result import Evidence, MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.constraints import Domain
    from jiebang.dataset.tables import Column

_COLUMNS_SHOWN = 5


def unmet(subject: Subject) -> Status | None:
    """Not declared without domains; failed when a column that has one is not there."""
    if not subject.declared.domains:
        return Status.NOT_DECLARED
    return None if subject.columns(subject.declared.domains) is not None else Status.FAILED


def plan(subject: Subject) -> Plan:
    """Cells within the domain of their column / cells of these columns that are not missing.

    A domain lists values, gives a pattern of the whole cell, or bounds; a cell must meet all that is declared. Values
    are compared as text. A cell that is no number or no time, or beyond int64 in millionths, is within no bounds.
    A code that nobody knows or an age of 300 lowers it. In a challenge it fails when all these cells are missing.
    """
    columns = [
        (column, subject.declared.domains[column.name]) for column in subject.columns(subject.declared.domains) or []
    ]
    outside = {column.index: _outside(column, domain) for column, domain in columns}
    counts = {index: Aggregate(f"count(*) FILTER (WHERE {condition})") for index, condition in outside.items()}
    answers = yield [*(present_cells(column) for column, _ in columns), *counts.values()]
    den = sum(answers.integer(present_cells(column)) for column, _ in columns)
    found = {column: answers.integer(counts[column.index]) for column, _ in columns}
    if subject.closed and not den:
        return MEASURE.result(subject, Status.FAILED)
    worst = sorted((column for column in found if found[column]), key=lambda column: (-found[column], column.index))
    evidence: list[Evidence] = []
    if worst:
        shown = worst[:_COLUMNS_SHOWN]
        queries = [
            pointer_query(subject.table.relation, outside[column.index], tag, POINTERS // len(shown))
            for tag, column in enumerate(shown)
        ]
        ask = Rows(f"{' UNION ALL '.join(queries)} ORDER BY tag, f, r")
        for tag, f, r in (yield [ask]).integers(ask):
            cells = found[shown[tag]]
            note = f"outside its domain; {cells} such cell{'' if cells == 1 else 's'} in this column"
            evidence.append(subject.pointer(f, r, shown[tag].name, note))
    return ratio(MEASURE.id, subject, den - sum(found.values()), den, evidence=evidence)


def _outside(column: Column, domain: Domain) -> str:
    """The condition that a cell is there and outside."""
    value = f"t{column.index}" if domain.of_times else f"x{column.index}"
    parts = [f"d{column.index} = 0"] if domain.is_of_text else []
    if domain.is_range:
        parts.append(f"{value} IS NULL")
    if domain.low is not None:
        parts.append(f"{value} < {literal(domain.low)}")
    if domain.high is not None:
        parts.append(f"{value} > {literal(domain.high)}")
    return f"s{column.index} IS NOT NULL AND ({' OR '.join(parts)})"


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in every column whose domain is declared, with values."
    columns = list(dict.fromkeys(f"`{pointer.column}`" for pointer in result.evidence))
    where = f", first of all in {', '.join(columns)}" if columns else ""
    return f"Correct {result.den - result.num} of {result.den} values that are outside their column's domain{where}."


MEASURE = Measure(
    "DOM-1",
    "domain conformity",
    plan,
    advice,
    unmet,
    declares="domains",
    columns=lambda subject: subject.declared.domains,
    facts=frozenset({Fact.DOMAINS, Fact.INSTANTS}),
)
