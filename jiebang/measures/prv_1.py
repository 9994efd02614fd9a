"""PRV-1, provenance.

Aligned with the credibility and the traceability of ISO/IEC 5259-2 and the record fields of TC609-5-2025-04.

Example: of 100 records 98 name source, details and time, and of these three come from the web with details that are no
address: 95/100 = 0.950000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.dataset.tables import ColumnType
from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, literal, pointer_query, ratio
from jiebang.measures.package_measure import package_ratio
from jiebang.result import Evidence, MeasureResult, Status
from jiebang.structure.provenance import INTERNET, sourced_files

if TYPE_CHECKING:
    from jiebang.declaration import Declaration
    from jiebang.structure.package import Package

FIELDS = ("source", "source_details", "original_time")
"""The fields of a record by which TC609 knows where it comes from."""

_WANTED = "Add columns `source`, `source_details` and `original_time`, or `sources` to a descriptor"
_INCOMPLETE = "source, details or time are not there, or not in form"


def unmet(subject: Subject) -> Status | None:
    """Not declared where neither these columns are there nor a descriptor names a source; in a challenge failed."""
    if subject.columns(FIELDS) is not None or subject.sourced.intersection(subject.table.files):
        return None
    return Status.FAILED if subject.closed else Status.NOT_DECLARED


def plan(subject: Subject) -> Plan:
    """Records with a valid source, source_details and original_time / N.

    The three are columns of these names, as TC609 calls them: the first two not missing, the time conforming to date or
    timestamp (or, where text is declared, not missing), and where the source is 互联网 or the web the details are an
    address that begins with http:// or https://. A table without the columns takes what a descriptor says of its files:
    `sources` of a Data Package (title, path, and date or `created`), `wasDerivedFrom`, `isBasedOn` or
    `rai:dataCollection` of Croissant with a time; then the records of such a file count as a whole. In a dataset
    without tables its files are counted.
    """
    relation, records = subject.table.relation, subject.table.records
    if subject.columns(FIELDS) is None:
        ask = Rows(f"SELECT f, count(*) AS n FROM {relation} GROUP BY f ORDER BY f")
        counts = [(subject.table.files[f], n) for f, n in (yield [ask]).integers(ask)]
        told = [Evidence(path, note="no source is named") for path, _ in counts if path not in subject.sourced]
        num = sum(n for path, n in counts if path in subject.sourced)
        return ratio(MEASURE.id, subject, num, records, evidence=told)
    invalid = _invalid(subject)
    if invalid is None:
        told = [Evidence(column=FIELDS[2], note="no date or timestamp, by what most of its cells hold")]
        return ratio(MEASURE.id, subject, 0, records, evidence=told)
    count = Rows(f"SELECT count(*) AS n FROM {relation} WHERE {invalid}")
    first = Rows(pointer_query(relation, invalid, 0, POINTERS))
    answers = yield [count, first]
    evidence = [subject.pointer(f, r, None, _INCOMPLETE) for _, f, r in answers.integers(first)]
    return ratio(MEASURE.id, subject, records - answers.count(count), records, evidence=evidence)


def _invalid(subject: Subject) -> str | None:
    """The condition that a record does not say where it comes from, None if the column of the time holds no times."""
    columns = subject.columns(FIELDS)
    assert columns is not None
    source, details, time = (f"s{column.index}" for column in columns)
    kind = columns[2].type
    if kind not in (ColumnType.DATE, ColumnType.TIMESTAMP) and not columns[2].declared:
        return None
    wrong = [f"{part} IS NULL" for part in (source, details, time)]
    if columns[2].has_k:
        wrong.append(f"k{columns[2].index} = 0")
    # What begins with a text lies between it and the text with its last character raised by one.
    addressed = " OR ".join(
        f"({details} >= {literal(f'{scheme}://0')} AND {details} < {literal(f'{scheme}:/0')})"
        for scheme in ("http", "https")
    )
    wrong.append(f"({source} IN ({', '.join(map(literal, INTERNET))}) AND NOT ({addressed}))")
    return " OR ".join(wrong)


def of_files(package: Package, declaration: Declaration) -> MeasureResult:
    """Files that a descriptor names a source for / files, of a dataset without tables."""
    sourced, paths = sourced_files(package), [file.path for file in package.data_files]
    if not sourced:
        status = Status.FAILED if declaration.closed else Status.NOT_DECLARED
        return MeasureResult(MEASURE.id, MEASURE.version, status)
    told = [Evidence(path, note="no source is named") for path in paths if path not in sourced]
    return package_ratio(MEASURE.id, len(paths) - len(told), len(paths), evidence=told)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return f"{_WANTED}."
    return (
        f"Say of {result.den - result.num} of {result.den} records where they come from: source, source_details "
        "(an address where the source is the web) and original_time."
    )


MEASURE = Measure("PRV-1", "provenance", plan, advice, unmet, asks=_WANTED, of_files=of_files)
