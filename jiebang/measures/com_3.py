"""COM-3, complete records."""

from __future__ import annotations

from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.measures.missing import complete_records, present_cells
from jiebang.result import Evidence, MeasureResult


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
        # Records with a hole in the emptiest column are shown: one column is read for it, not all of them.
        emptiest = min(columns, key=lambda column: answers.integer(present_cells(column)))
        first = Rows(pointer_query(subject.table.relation, f"s{emptiest.index} IS NULL", 0, POINTERS))
        rows = (yield [first]).integers(first)
        evidence = [subject.pointer(f, r, emptiest.name, "missing") for _, f, r in rows]
    return ratio(MEASURE.id, subject, num, records, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    return f"Complete the {result.den - result.num} of {result.den} records that lack a required value."


MEASURE = Measure("COM-3", "complete records", plan, advice)
