"""COM-5, grid completeness.

Aligned with the value occurrence completeness of ISO/IEC 5259-2 and the completeness of data records (数据记录完整性)
of GB/T 36344-2018.

Example: a year of hourly temperatures of San Francisco without the hour that summer time leaves out, 2010-03-14T03:00:
8759/8760 = 0.999886.
"""

from __future__ import annotations

from jiebang.constraints import grid_step
from jiebang.dataset.tables import Fact
from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, literal, ratio
from jiebang.measures.times import SeriesOfTimes, time_columns, without_time
from jiebang.result import Evidence, MeasureResult, Status
from jiebang.times import shown


def unmet(subject: Subject) -> Status | None:
    """Not applicable without a time, not declared without a grid; failed when a column of the series is not there."""
    if subject.declared.time is not None and subject.declared.grid is None:
        return Status.NOT_DECLARED
    return without_time(subject)


def plan(subject: Subject) -> Plan:
    """Points of the grid at which a time was observed / points of the grid, summed over the series.

    The grid of a series goes from its least time in steps of the declared length as far as its greatest. A point
    observed twice counts once, a time beside the grid not at all; a month's silence lowers it however full the rest is.
    Failed when no time can be read.
    """
    times, relation = SeriesOfTimes(subject), subject.table.relation
    step = grid_step(subject.declared.grid or "")
    assert step is not None
    by = f" GROUP BY {', '.join(times.series)}" if times.series else ""
    ends = f"SELECT max({times.t}) - min({times.t}) AS span FROM {relation} WHERE {times.t} IS NOT NULL{by}"
    spans = Rows(f"SELECT span, count(*) AS n FROM ({ends}) AS ends WHERE span IS NOT NULL GROUP BY span")
    names = "".join(f"{cell}, " for cell in times.series)
    placed = (
        f"SELECT {names}{times.t} AS t, f, r, min({times.t}) OVER ({times.partition.strip()}) AS least "
        f"FROM {relation} WHERE {times.t} IS NOT NULL"
    )
    points = (
        f"(SELECT {names}t, min(f) AS f, max(f) AS last_f, min(r) AS r FROM ({placed}) AS placed "
        f"WHERE (t - least) % {literal(step)} = 0 GROUP BY {names}t) AS points"
    )
    observed = Rows(f"SELECT count(*) AS n FROM {points}")
    answers = yield [spans, observed]
    den = sum((span // step + 1) * n for span, n in answers.integers(spans))
    num = answers.count(observed)
    if not den:
        return MEASURE.result(subject, Status.FAILED)
    evidence = []
    if num < den:
        neighbours = f"(SELECT f, last_f, r, t, lag(t) OVER ({times.partition}ORDER BY t) AS before FROM {points})"
        gaps = Rows(
            f"SELECT f, last_f, r, before, t FROM {neighbours} AS neighbours WHERE t - before > {literal(step)} "
            f"ORDER BY f, r, t LIMIT {POINTERS}"
        )
        evidence = [
            _gap(subject, f if f == last_f else None, r, times.column.name, before + step, t - step, step)
            for f, last_f, r, before, t in (yield [gaps]).integers(gaps)
        ]
    return ratio(MEASURE.id, subject, num, den, evidence=evidence)


def _gap(subject: Subject, file: int | None, row: int, column: str, first: int, last: int, step: int) -> Evidence:
    """The points that are missing before a record: no cell is quoted, since there is none."""
    missing = (last - first) // step + 1
    if missing == 1:
        note = f"missing before it: {shown(first)}"
    else:
        note = f"missing before it: {missing} points from {shown(first)} to {shown(last)}"
    return Evidence(column=column, note=note) if file is None else subject.pointer(file, row, column, note)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the columns of the times and of their series, with times that can be read."
    first = result.evidence[0].note if result.evidence else None
    where = f" The first gap: {first}." if first else ""
    return f"Add the records of {result.den - result.num} of {result.den} times that are missing from the grid.{where}"


MEASURE = Measure(
    "COM-5",
    "grid completeness",
    plan,
    advice,
    unmet,
    declares="grid",
    columns=time_columns,
    facts=frozenset({Fact.INSTANTS}),
)
