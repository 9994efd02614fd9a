"""TIM-1, currency.

Aligned with the currentness of ISO/IEC 5259-2 and the correctness by period (基于时间段的正确性) of GB/T 36344-2018.

Example: `period: {from: 2024-01-01, to: 2024-12-31}` over 2023-12-31, 2024-05-01 and a missing time: 1/3 = 0.333333.
"""

from __future__ import annotations

from jiebang.constraints import last_of
from jiebang.dataset.tables import Fact
from jiebang.measures.definition import Aggregate, Measure, Plan, Rows, Subject, literal, pointer_query, ratio
from jiebang.result import MeasureResult, Status

_SHOWN = 5


def unmet(subject: Subject) -> Status | None:
    """Not applicable without a time, not declared without a period; failed when the time's column is not there."""
    if subject.declared.time is None:
        return Status.NOT_APPLICABLE
    if subject.declared.period is None:
        return Status.NOT_DECLARED
    return None if subject.column(subject.declared.time) is not None else Status.FAILED


def plan(subject: Subject) -> Plan:
    """Records whose time lies in the declared period and not in the future / N.

    Both ends belong to the period. The future begins after `as_of`, the day that stands for today; without it nothing
    is in the future. A record whose time is missing or cannot be read is not current. Stale records lower it.
    """
    column, period = subject.column(subject.declared.time or ""), subject.declared.period
    assert column is not None
    assert period is not None
    t, relation = f"t{column.index}", subject.table.relation
    today = None if subject.as_of is None else last_of(subject.as_of)
    beyond = {"has no time that can be read": f"{t} IS NULL"}
    if period.first is not None:
        beyond["before the period"] = f"{t} < {literal(period.first)}"
    if today is not None:
        beyond["in the future"] = f"{t} > {literal(today)}"
    if period.last is not None and (today is None or period.last < today):
        upto = "" if today is None else f" AND {t} <= {literal(today)}"
        beyond["after the period"] = f"{t} > {literal(period.last)}{upto}"
    counts = {note: Aggregate(f"count(*) FILTER (WHERE {condition})") for note, condition in beyond.items()}
    answers = yield list(counts.values())
    found = {note: answers.integer(ask) for note, ask in counts.items()}
    worst = sorted((note for note in found if found[note]), key=lambda note: -found[note])
    evidence = []
    if worst:
        queries = [pointer_query(relation, beyond[note], tag, _SHOWN) for tag, note in enumerate(worst)]
        ask = Rows(f"{' UNION ALL '.join(queries)} ORDER BY tag, f, r")
        evidence = [subject.pointer(f, r, column.name, worst[tag]) for tag, f, r in (yield [ask]).integers(ask)]
    records = subject.table.records
    return ratio(MEASURE.id, subject, records - sum(found.values()), records, evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the column of the times."
    causes = ", ".join(dict.fromkeys(pointer.note for pointer in result.evidence if pointer.note))
    why = f" ({causes})" if causes else ""
    return f"Replace {result.den - result.num} of {result.den} records whose time is not in the period{why}."


MEASURE = Measure(
    "TIM-1",
    "currency",
    plan,
    advice,
    unmet,
    declares="period",
    columns=lambda subject: [] if subject.declared.time is None else [subject.declared.time],
    facts=frozenset({Fact.INSTANTS}),
)
