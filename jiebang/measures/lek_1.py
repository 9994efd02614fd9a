"""LEK-1, split separation.

Aligned with the similarity of ISO/IEC 5259-2, for the independence of test from training data; GB/T 36344-2018 has no
counterpart.

Example: of the test records `a`, `b` and `c` the training part holds `a` and `b`: 1/3 = 0.333333.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, literal, ratio
from jiebang.measures.distinct import record_columns
from jiebang.result import MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.constraints import Split
    from jiebang.dataset.tables import Table


def unmet(subject: Subject) -> Status | None:
    """Not declared without a split; failed when its column is not there."""
    split = subject.declared.split
    if split is None:
        return Status.NOT_DECLARED
    return None if split.column is None or subject.column(split.column) is not None else Status.FAILED


def plan(subject: Subject) -> Plan:
    """1 - test records that equal a training record / test records.

    Records are equal as for DUP-1, the column of the split left out. Where files are the parts, the test records of a
    table are held against the training records of every table that has all its columns. A test record that was
    trained on tells nothing about new ones. Records of neither part count nowhere; without test records or training
    records nothing is separated: not applicable, or in a challenge failed.
    """
    split = subject.declared.split
    assert split is not None
    test: str | None
    if split.column is not None:
        column = subject.column(split.column)
        assert column is not None
        own, train = subject.table, _is_one_of(f"s{column.index}", split.train)
        test, known = _is_one_of(f"s{column.index}", split.test), [(own, train)]
    else:
        tables = subject.beside or (subject.table,)
        known = [(table, condition) for table in tables if (condition := _in_files(subject, table, split, split.train))]
        test = _in_files(subject, subject.table, split, split.test)
        if not test:
            # Another table holds the test records; if none does, there is nothing to be judged.
            elsewhere = any(_in_files(subject, table, split, split.test) for table in tables)
            return _nothing(subject, failed=not elsewhere)
    parts = Rows(
        " UNION ALL ".join(
            f"SELECT {tag} AS tag, count(*) AS n FROM {table.relation} WHERE {condition}"
            for tag, (table, condition) in enumerate([(subject.table, test), *known])
        )
        + " ORDER BY tag"
    )
    (_, den), *trained = (yield [parts]).integers(parts)
    if not den or not any(n for _, n in trained):
        return _nothing(subject, failed=True)
    leaked = Rows(_leaked(subject, test, known, split.column))
    (_, _, count), *pointers = (yield [leaked]).integers(leaked)
    evidence = [subject.pointer(f, r, note="equals a training record") for _, f, r in pointers]
    return ratio(MEASURE.id, subject, den - count, den, evidence=evidence)


def _nothing(subject: Subject, *, failed: bool) -> MeasureResult:
    if subject.closed and failed:
        return MEASURE.result(subject, Status.FAILED)
    return MEASURE.result(subject, Status.NOT_APPLICABLE, num=0, den=0)


def _is_one_of(cell: str, values: tuple[str, ...]) -> str:
    return f"{cell} IN ({', '.join(literal(value) for value in values)})"


def _in_files(subject: Subject, table: Table, split: Split, part: tuple[str, ...]) -> str | None:
    """The condition that a record lies in one of a part's files, tables or folders; None where the table has none."""
    homes = subject.homes(table, (*split.train, *split.test))
    files = [str(number) for number, home in enumerate(homes) if home in part]
    if not files:
        return None
    return "f >= 0" if len(files) == len(table.files) else f"f IN ({', '.join(files)})"


def _leaked(subject: Subject, test: str, known: list[tuple[Table, str]], column: str | None) -> str:
    # Both parts are grouped together; `n` are the test records of a group that holds training records as well.
    indexes = record_columns(subject, without=column)
    names = [subject.table.columns[index].name for index in indexes]
    sides = [f"SELECT {_cells(indexes)}1 AS test, f, r FROM {subject.table.relation} WHERE {test}"]
    for table, condition in known:
        places = {other.name: other.index for other in table.columns if other.present}
        if all(name in places for name in names):
            same = _cells([places[name] for name in names])
            sides.append(f"SELECT {same}0 AS test, f, r FROM {table.relation} WHERE {condition}")
    by = f" GROUP BY {', '.join(f'p{place}' for place in range(len(indexes)))}" if indexes else ""
    tested = "FILTER (WHERE test = 1)"
    return (
        f"WITH leaked AS MATERIALIZED (SELECT count(*) {tested} AS n, min(f) {tested} AS f, max(f) {tested} AS last_f, "
        f"max(r) {tested} AS r FROM ({' UNION ALL '.join(sides)}) AS parts{by} HAVING min(test) < max(test)) "
        "SELECT 0 AS tag, count(*) AS f, sum(n) AS r FROM leaked UNION ALL "
        f"(SELECT 1 AS tag, f, r FROM leaked WHERE f = last_f ORDER BY f, r LIMIT {POINTERS}) ORDER BY tag, f, r"
    )


def _cells(indexes: list[int]) -> str:
    return "".join(f"s{index} AS p{place}, " for place, index in enumerate(indexes))


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in records of both parts of the split, for training and for testing."
    return f"Remove {result.den - result.num} of {result.den} test records from the training part, or replace them."


MEASURE = Measure(
    "LEK-1",
    "split separation",
    plan,
    advice,
    unmet,
    declares="split",
    columns=lambda subject: (
        []
        if subject.declared.split is None or subject.declared.split.column is None
        else [subject.declared.split.column]
    ),
)
