"""FMT-1, parseable records."""

from __future__ import annotations

from dataclasses import replace

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.result import MeasureResult, Status


def plan(subject: Subject) -> Plan:
    """Records parsed / records attempted.

    A row with another number of fields than the header, an unclosed quote, text after a closing quote, an undecodable
    byte, a line that is no JSON object: each fails its record, which counts in no other measure. A table without any
    record, or with a file that cannot be read at all, fails the measure.
    """
    table = subject.table
    yield from ()
    if not table.parsed or table.attempted == 0:
        failed = MEASURE.result(subject, Status.FAILED, num=table.records, den=table.attempted)
        return replace(failed, evidence=table.failures)
    return ratio(MEASURE.id, subject, table.records, table.attempted, evidence=table.failures)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.status is Status.FAILED or result.num is None or result.den is None:
        file = next((pointer.file for pointer in result.evidence if pointer.row is None), None)
        if file is not None:
            return f"Hand in `{file}` anew: it cannot be read."
        return "Hand in a file with at least one record below its header."
    return f"Repair {result.den - result.num} of {result.den} records that cannot be read (ragged rows, open quotes)."


MEASURE = Measure("FMT-1", "parseable records", plan, advice)
