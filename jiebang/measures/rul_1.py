"""RUL-1, business and physical rules.

Aligned with the semantic accuracy of ISO/IEC 5259-2 and the business rules (业务规则) under the normativity of GB/T
36344-2018.

Example: `low <= open <= high` over 10, 12, 9 and 13, 12, 9 and 10, 12, NA (open, high, low): it applies to two records
and one keeps it, 1/2 = 0.500000.
"""

from __future__ import annotations

from jiebang.dataset.tables import Fact
from jiebang.measures.definition import POINTERS, Aggregate, Measure, Plan, Rows, Subject, pointer_query, ratio
from jiebang.measures.rule_sql import rule_sql
from jiebang.result import Evidence, MeasureResult, Status

_RULES_SHOWN = 5
_TITLE = 80


def unmet(subject: Subject) -> Status | None:
    """Not declared without rules; failed when a column of one is not there."""
    if not subject.declared.rules:
        return Status.NOT_DECLARED
    return None if subject.columns(_columns(subject)) is not None else Status.FAILED


def plan(subject: Subject) -> Plan:
    """Rules kept / rules applied, summed over the rules and the records.

    A rule applies to a record in which no cell that it names is missing. A cell that is no number or no time where the
    rule compares one, or in a sum one beyond 10¹², keeps no rule. A low above the high, or parts that do not add up to
    the whole, lower it. In a challenge it fails when no rule applies to any record.
    """
    rules = [rule_sql(rule, subject) for rule in subject.declared.rules]
    asks = [
        (
            Aggregate(f"count(*) FILTER (WHERE {sql.applies})"),
            Aggregate(f"count(*) FILTER (WHERE {sql.applies} AND {sql.keeps})"),
        )
        for sql in rules
    ]
    answers = yield [ask for pair in asks for ask in pair]
    applied = [answers.integer(ask) for ask, _ in asks]
    broken = [all_ - answers.integer(ask) for all_, (_, ask) in zip(applied, asks, strict=True)]
    den = sum(applied)
    if subject.closed and not den:
        return MEASURE.result(subject, Status.FAILED)
    worst = sorted((place for place, n in enumerate(broken) if n), key=lambda place: (-broken[place], place))
    shown = worst[:_RULES_SHOWN]
    evidence: list[Evidence] = []
    if shown:
        limit = POINTERS // len(shown)
        queries = [
            pointer_query(subject.table.relation, f"{rules[place].applies} AND NOT ({rules[place].keeps})", tag, limit)
            for tag, place in enumerate(shown)
        ]
        ask = Rows(f"{' UNION ALL '.join(queries)} ORDER BY tag, f, r")
        for tag, f, r in (yield [ask]).integers(ask):
            rule, times = subject.declared.rules[shown[tag]], broken[shown[tag]]
            title = rule.title[:_TITLE] + ("…" if len(rule.title) > _TITLE else "")
            note = f"broken {times} time{'' if times == 1 else 's'}: {title}"
            evidence.append(subject.pointer(f, r, rule.columns[0], note))
    return ratio(MEASURE.id, subject, den - sum(broken), den, evidence=evidence)


def _columns(subject: Subject) -> list[str]:
    return list(dict.fromkeys(column for rule in subject.declared.rules for column in rule.columns))


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in every column that a rule names, with values."
    titles = list(dict.fromkeys((pointer.note or "").partition(": ")[2] for pointer in result.evidence))
    which = f", first of all `{titles[0]}`" if titles else ""
    return f"Correct the records that break a rule, {result.den - result.num} of {result.den} times{which}."


MEASURE = Measure(
    "RUL-1",
    "business and physical rules",
    plan,
    advice,
    unmet,
    declares="rules",
    columns=_columns,
    facts=frozenset({Fact.INSTANTS, Fact.SUMMANDS}),
)
