"""KEY-1, key uniqueness.

Aligned with the identifiability of ISO/IEC 5259-2 and the uniqueness (数据唯一性) of GB/T 36344-2018.

Example: the hours of weather at New York's airports by origin, year, month, day and hour: 26112/26115 = 0.999885.
"""

from __future__ import annotations

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.measures.distinct import DistinctKeys
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
    keys = DistinctKeys(subject)
    answers = yield keys.asks
    evidence = keys.evidence(answers)
    return ratio(MEASURE.id, subject, keys.count(answers), subject.table.records, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the columns of the declared key."
    return f"Give {result.den - result.num} of {result.den} records a complete key of their own."


MEASURE = Measure(
    "KEY-1", "key uniqueness", plan, advice, unmet, declares="key", columns=lambda subject: subject.declared.key
)
