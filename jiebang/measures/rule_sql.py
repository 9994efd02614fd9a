"""Rules as SQL of the portable subset, over the numbers, instants and texts of canonical columns."""

from __future__ import annotations

from dataclasses import dataclass

from jiebang.measures.definition import Subject, literal
from jiebang.rules import Kind, Rule
from jiebang.rules.expression import (
    Comparison,
    Condition,
    Junction,
    Listed,
    Name,
    Not,
    Number,
    Sum,
    Text,
    Value,
    columns_of,
    summands_of,
)
from jiebang.times import instant


@dataclass(frozen=True)
class RuleSql:
    """The conditions of a rule over one record of a table.

    `applies`: no cell is missing. `keeps`: every cell can be read as what is compared of it, and the rule holds.
    """

    applies: str
    keeps: str


def rule_sql(rule: Rule, subject: Subject) -> RuleSql:
    """The SQL of a rule whose columns are there."""
    writer = _Writer(subject)
    applies = [f"s{writer.index(name)} IS NOT NULL" for name in rule.columns]
    compared = [writer.cell(name) for name in rule.columns if subject.declared.kinds[name] is not Kind.TEXT]
    compared += [writer.summand(name) for name in summands_of(rule.condition)]
    readable = [f"{cell} IS NOT NULL" for cell in dict.fromkeys(compared)]
    return RuleSql(" AND ".join(applies), " AND ".join([*readable, f"({writer.condition(rule.condition)})"]))


@dataclass(frozen=True)
class _Writer:
    subject: Subject

    def index(self, name: str) -> int:
        column = self.subject.column(name)
        assert column is not None
        return column.index

    def cell(self, name: str) -> str:
        prefix = {Kind.NUMBER: "x", Kind.TIME: "t", Kind.TEXT: "s"}[self.subject.declared.kinds[name]]
        return f"{prefix}{self.index(name)}"

    def summand(self, name: str) -> str:
        # NULL where it is too large, so that no sum passes int64 wherever an engine computes it.
        return f"y{self.index(name)}"

    def condition(self, node: Condition) -> str:
        match node:
            case Junction():
                return f" {node.word.upper()} ".join(f"({self.condition(part)})" for part in node.parts)
            case Not():
                return f"NOT ({self.condition(node.part)})"
            case Listed():
                texts = ", ".join(literal(text) for text in node.texts)
                return f"{self.cell(node.name.column)} IN ({texts})"
            case Comparison():
                of_times = any(self.subject.declared.kinds[name] is Kind.TIME for name in columns_of(node))
                values = [self._value(value, of_times=of_times) for value in node.values]
                signs = enumerate(node.signs)
                return " AND ".join(f"{values[place]} {sign} {values[place + 1]}" for place, sign in signs)

    def _value(self, value: Value, *, of_times: bool = False) -> str:
        match value:
            case Number():
                return literal(value.value)
            case Name():
                return self.cell(value.column)
            case Sum():
                return self._sum(value)
            case Text():
                moment = instant(value.value) if of_times else None
                return literal(value.value if moment is None else moment)

    def _sum(self, value: Sum) -> str:
        terms = [(negative, self._term(term)) for negative, term in value.terms]
        negative, first = terms[0]
        whole = f"0 - {first}" if negative else first
        for negative, term in terms[1:]:
            whole += f" - {term}" if negative else f" - (0 - {term})"
        return f"abs({whole})" if value.absolute else f"({whole})"

    def _term(self, value: Value) -> str:
        return self.summand(value.column) if isinstance(value, Name) else self._value(value)
