"""PII-2, records without sensitive personal information.

Aligned with GB/T 45574-2025 for what is sensitive, and the compliance of ISO/IEC 5259-2.

Example: ten records, of which one holds a bank card that passes Luhn's test: 9/10 = 0.900000.
"""

from __future__ import annotations

from jiebang.detectors.catalogue import numbers_of
from jiebang.detectors.definition import Kind
from jiebang.measures.definition import Measure, Plan, Subject
from jiebang.measures.found_records import count_free_records
from jiebang.result import MeasureResult

CLASSES = numbers_of(Kind.SENSITIVE)


def plan(subject: Subject) -> Plan:
    """1 - records with sensitive personal information / N, by the classes of GB/T 45574 that can be told.

    These are bank cards, identity numbers of children under 14 on the day of judgement, tracks of a person's places,
    health data and biometrics beside what names a person. Where a rubric asks for gate G5, one such record is enough to
    be refused.
    """
    return (yield from count_free_records(MEASURE, subject, CLASSES))


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    found = list(dict.fromkeys(pointer.note for pointer in result.evidence if pointer.note))
    what = f" Found: {'; '.join(found[:5])}." if found else ""
    return f"Take sensitive personal information out of {result.den - result.num} of {result.den} records.{what}"


MEASURE = Measure("PII-2", "records without sensitive personal information", plan, advice)
