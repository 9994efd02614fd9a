"""FMT-1, parseable records.

Aligned with the compliance of ISO/IEC 5259-2 and the format conformity (数据格式合规性) of GB/T 36344-2018.

Example: under a header of three columns, of 1,000 rows two have four fields and one has a quote that is never closed
before the next: 997/1000 = 0.997000.
"""

from __future__ import annotations

from dataclasses import replace

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.result import MeasureResult, Status

_REPLACEMENT = "\ufffd"  # what stands for an undecodable byte in a column's name
_NO_TEXT = "the header holds bytes that are no text"
_CAUSES = 3


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
        header = [*(column.name for column in subject.present), *table.beyond]
        no_text = not table.failures and any(_REPLACEMENT in name for name in header)
        return replace(failed, evidence=table.failures, note=_NO_TEXT if no_text else None)
    return ratio(MEASURE.id, subject, table.records, table.attempted, evidence=table.failures)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.status is Status.FAILED or result.num is None or result.den is None:
        file = next((pointer.file for pointer in result.evidence if pointer.row is None), None)
        if file is not None:
            return f"Hand in `{file}` anew: it cannot be read."
        if result.note == _NO_TEXT:
            return "Save the file anew as text in UTF-8: its header holds bytes that are no text."
        return "Hand in a file with at least one record below its header."
    causes = list(dict.fromkeys(pointer.note for pointer in result.evidence if pointer.note))
    why = f" Found: {'; '.join(causes[:_CAUSES])}." if causes else ""
    return f"Repair {result.den - result.num} of {result.den} records that cannot be read.{why}"


MEASURE = Measure("FMT-1", "parseable records", plan, advice)
