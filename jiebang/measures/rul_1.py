"""RUL-1, business and physical rules.

Aligned with the semantic accuracy of ISO/IEC 5259-2 and the business rules (业务规则) under the normativity of GB/T
36344-2018.

Example: `low <= open <= high` over 10, 12, 9 and 13, 12, 9 and 10, 12, NA (open, high, low): it applies to two records
and one keeps it, 1/2 = 0.500000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jiebang.dataset.tables import Fact
from jiebang.measures.definition import POINTERS, Aggregate, Ask, Measure, Plan, Rows, Subject, ratio
from jiebang.measures.rule_sql import RuleSql
from jiebang.result import Evidence, MeasureResult, Status
from jiebang.rules import Rule

_RULES_SHOWN = 5
_TITLE = 80


def unmet(subject: Subject) -> Status | None:
    """Not declared without rules; failed when a column of one is not there."""
    if not subject.declared.rules:
        return Status.NOT_DECLARED
    return None if subject.columns(_columns(subject)) is not None else Status.FAILED


@dataclass(frozen=True)
class _Kept:
    """A rule as it is asked about."""

    rule: Rule
    sql: RuleSql

    @property
    def asks(self) -> Sequence[Ask]:
        """How many records it applies to, and how many keep it."""
        if self.sql.values:
            return [Rows(self.sql.applied_count), Rows(self.sql.kept_count)]
        return [
            Aggregate(f"count(*) FILTER (WHERE {self.sql.applies})"),
            Aggregate(f"count(*) FILTER (WHERE {self.sql.applies} AND {self.sql.keeps})"),
        ]


def plan(subject: Subject) -> Plan:
    """Rules kept / rules applied, summed over the rules and the records.

    A rule applies to a record in which no cell that it names is missing. A cell that is no number or no time where the
    rule compares one, or in a sum one beyond 10¹², keeps no rule. A low above the high, or parts that do not add up to
    the whole, lower it. In a challenge it fails when no rule applies to any record.
    """
    relation = subject.table.relation
    rules = [_Kept(rule, RuleSql.of(rule, subject, relation)) for rule in subject.declared.rules]
    asks = [ask for kept in rules for ask in kept.asks]
    answers = yield list(dict.fromkeys(asks))
    counts = [answers.count(ask) if isinstance(ask, Rows) else answers.integer(ask) for ask in asks]
    applied, broken = counts[::2], [all_ - good for all_, good in zip(counts[::2], counts[1::2], strict=True)]
    den = sum(applied)
    if subject.closed and not den:
        return MEASURE.result(subject, Status.FAILED)
    worst = sorted((place for place, n in enumerate(broken) if n), key=lambda place: (-broken[place], place))
    shown = worst[:_RULES_SHOWN]
    evidence: list[Evidence] = []
    first = [Rows(rules[place].sql.broken_records(POINTERS // len(shown))) for place in shown]
    if first:
        answers = yield first
        for place, ask in zip(shown, first, strict=True):
            title, times = rules[place].rule.title, "time" if broken[place] == 1 else "times"
            note = f"broken {broken[place]} {times}: {title[:_TITLE]}{'…' if len(title) > _TITLE else ''}"
            name = rules[place].rule.columns[0]
            evidence += [subject.pointer(f, r, name, note) for f, r in answers.integers(ask)]
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
    facts=frozenset({Fact.INSTANTS}),
)
