"""DUP-1, exact uniqueness.

Aligned with the similarity of ISO/IEC 5259-2 and the duplicate rate (数据重复率) of GB/T 36344-2018.

Example: `a`, ` a ` and `b` are two distinct records of three: 2/3 = 0.666667.
"""

from __future__ import annotations

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.measures.distinct import DistinctRecords, unlike_the_demand
from jiebang.result import MeasureResult


def plan(subject: Subject) -> Plan:
    """Distinct records / N.

    Records are equal when every cell is, after trimming and Unicode composition; case and the writing of numbers are
    not folded. Columns that only number the records (`id`, `uuid`, `rowid` and their like) are left out unless they
    are declared as the key or nothing else is there. The label is part of the record. Repeating records lowers it.
    """
    found, evidence = yield from DistinctRecords(subject).find()
    return ratio(MEASURE.id, subject, found, subject.table.records, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    return f"Remove {result.den - result.num} of {result.den} records that repeat another one."


MEASURE = Measure("DUP-1", "exact uniqueness", plan, advice, unlike_the_demand)
