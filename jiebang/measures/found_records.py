"""Records in which something was found: what the measures of personal information ask."""

from __future__ import annotations

from collections.abc import Sequence

from jiebang.detectors.catalogue import CLASSES
from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, ratio
from jiebang.result import Status


def count_free_records(measure: Measure, subject: Subject, classes: Sequence[int]) -> Plan:
    """The ratio of records in which none of these classes was found, with pointers at the first others."""
    finds = subject.table.finds
    if finds is None:
        yield from ()
        return measure.result(subject, Status.NOT_SCANNED)
    chosen = f"d IN ({', '.join(map(str, classes))})"
    asked = Rows(
        "SELECT 0 AS tag, count(*) AS f, 0 AS r, 0 AS c, 0 AS d"
        f" FROM (SELECT DISTINCT f, r FROM {finds} WHERE {chosen}) AS hit"
        f" UNION ALL (SELECT 1 AS tag, f, r, c, d FROM {finds} WHERE {chosen} ORDER BY f, r, c, d LIMIT {POINTERS})"
        " ORDER BY tag, f, r, c, d"
    )
    (_, hit, *_), *places = (yield [asked]).integers(asked)
    names = {column.index: column.name for column in subject.table.columns}
    evidence = [subject.pointer(f, r, names[c], CLASSES[d].en) for _, f, r, c, d in places]
    return ratio(measure.id, subject, subject.table.records - hit, subject.table.records, evidence=evidence)
