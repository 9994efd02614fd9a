"""PII-1, records without personal information.

Aligned with GB/T 35273-2020 for what personal information is, the compliance of ISO/IEC 5259-2 and the security norms
(安全规范) under the normativity of GB/T 36344-2018.

Example: ten records, of which one holds a mobile number and another an identity number with the right check character:
8/10 = 0.800000.
"""

from __future__ import annotations

from jiebang.detectors.catalogue import numbers_of
from jiebang.detectors.definition import Kind
from jiebang.measures.definition import Measure, Plan, Subject
from jiebang.measures.found_records import count_free_records
from jiebang.result import MeasureResult

CLASSES = numbers_of(Kind.PERSONAL, Kind.SENSITIVE)


def plan(subject: Subject) -> Plan:
    """1 - records with personal information / N, of any class of docs/detectors.md but the codes of organisations.

    A hit is a pattern that passes its validator and stands in its context: a mobile number with no digit beside it, a
    resident identity number with the right check character, a card number of a network that passes Luhn's test.
    Detection runs on text in NFKC without invisible characters, so wide digits and zero-width spaces hide nothing. What
    is masked with stars does not hit: masking a column, or taking it out, raises it.
    """
    return (yield from count_free_records(MEASURE, subject, CLASSES))


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    found = list(dict.fromkeys(pointer.note for pointer in result.evidence if pointer.note))
    what = f" Found: {'; '.join(found[:5])}." if found else ""
    return f"Mask or take out personal information in {result.den - result.num} of {result.den} records.{what}"


MEASURE = Measure("PII-1", "records without personal information", plan, advice)
