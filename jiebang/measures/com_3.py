"""COM-3, complete records.

Aligned with the record completeness of ISO/IEC 5259-2 and the completeness of data records (数据记录完整性) of GB/T
36344-2018.

Example: of 336,776 flights 327,346 have all their columns: 0.971999.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.measures.missing import all_present, complete_records, present_cells
from jiebang.result import Evidence, MeasureResult

if TYPE_CHECKING:
    from jiebang.dataset.tables import Column

_NAMED = 5


def plan(subject: Subject) -> Plan:
    """Records in which no required column is missing / N.

    Undeclared, all columns are required; a required column that is not there leaves no record complete. One hole in
    each record moves it to 0 where COM-1 hardly notices.
    """
    records = subject.table.records
    absent = [name for name, column in subject.required if column is None]
    if absent:
        evidence = [Evidence(column=name, note="not there") for name in absent]
        return ratio(MEASURE.id, subject, 0, records, evidence=evidence)
    columns = [column for _, column in subject.required if column is not None]
    if not columns:
        return ratio(MEASURE.id, subject, records, records)
    complete = complete_records(subject.table.relation, columns)
    answers = yield [complete, *(present_cells(column) for column in columns)]
    num = answers.count(complete)
    evidence = []
    if num < records:
        # Only the columns that have holes are read again.
        holed = [column for column in columns if answers.integer(present_cells(column)) < records]
        incomplete = f"NOT ({all_present(holed)})"
        first = Rows(pointer_query(subject.table.relation, incomplete, 0, POINTERS))
        places = [(f, r) for _, f, r in (yield [first]).integers(first)]
        held = Rows(_held(subject.table.relation, holed, places))
        for f, r, *counts in (yield [held]).integers(held):
            names = [column.name for column, count in zip(holed, counts, strict=True) if not count]
            evidence.append(subject.pointer(f, r, names[0], _missing_columns(names)))
    return ratio(MEASURE.id, subject, num, records, evidence=evidence)


def _held(relation: str, columns: list[Column], places: list[tuple[int, int]]) -> str:
    """Which of these columns some records hold, as rows (f, r, 1 or 0 for each column)."""
    held = ", ".join(f"count(s{column.index}) AS n{column.index}" for column in columns)
    of_file = {f: ", ".join(str(r) for file, r in places if file == f) for f, _ in places}
    there = " OR ".join(f"(f = {f} AND r IN ({rows}))" for f, rows in of_file.items())
    return f"SELECT f, r, {held} FROM {relation} WHERE {there} GROUP BY f, r ORDER BY f, r"


def _missing_columns(names: list[str]) -> str:
    if len(names) == 1:
        return "missing"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} missing: {', '.join(name[:40] for name in names[:_NAMED])}{more}"


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    return f"Complete the {result.den - result.num} of {result.den} records that lack a required value."


MEASURE = Measure(
    "COM-3", "complete records", plan, advice, columns=lambda subject: [name for name, _ in subject.required]
)
