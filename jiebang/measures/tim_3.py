"""TIM-3, time order.

Aligned with the consistency of ISO/IEC 5259-2 and the sequence in time (时序性) of GB/T 36344-2018.

Example: the days 2, 1, 1, 5 of a month make three steps, of which one goes forward: 1/3 = 0.333333.
"""

from __future__ import annotations

from jiebang.dataset.tables import Fact
from jiebang.measures.definition import POINTERS, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.measures.times import SeriesOfTimes, time_columns, without_time
from jiebang.result import MeasureResult, Status


def plan(subject: Subject) -> Plan:
    """Steps with t_i > t_{i-1} / steps, from record to record within a series.

    Missing and unreadable times are dropped before steps are formed; a time without a zone is UTC. The order is that
    of the file. Equal times are no step forward, so a repeated record lowers it, as does one that comes too late.
    Failed when no time can be read; in a challenge also when there is no step, since every record is a series.
    """
    times = SeriesOfTimes(subject)
    steps = (
        f"(SELECT f, r, {times.t} AS t, lag({times.t}) OVER ({times.partition}ORDER BY f, r) AS before "
        f"FROM {subject.table.relation} WHERE {times.t} IS NOT NULL) AS steps"
    )
    counted = Rows(
        "SELECT count(before) AS steps, count(before) FILTER (WHERE t > before) AS forward, count(*) AS times "
        f"FROM {steps}"
    )
    ((den, num, readable),) = (yield [counted]).integers(counted)
    if not readable or (subject.closed and not den):
        return MEASURE.result(subject, Status.FAILED)
    evidence = []
    if num < den:
        back = Rows(pointer_query(steps, "t <= before", 0, POINTERS))
        evidence = [
            subject.pointer(f, r, times.column.name, "not after the time before it")
            for _, f, r in (yield [back]).integers(back)
        ]
    return ratio(MEASURE.id, subject, num, den, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the columns of the times and of their series, with times that can be read."
    steps = f"{result.den - result.num} of {result.den} steps that do not go forward in time"
    return f"Sort the records of each series by time and remove repeated times: there are {steps}."


MEASURE = Measure(
    "TIM-3",
    "time order",
    plan,
    advice,
    without_time,
    columns=time_columns,
    facts=frozenset({Fact.INSTANTS}),
)
