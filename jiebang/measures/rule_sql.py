"""Rules as SQL of the portable subset, over the numbers, instants and texts of canonical columns."""

from __future__ import annotations

from dataclasses import dataclass, field

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
)
from jiebang.times import instant

LARGEST_TERM = 10**18
"""The largest number in a sum, in millionths: nine of them stay within int64."""


@dataclass(frozen=True)
class RuleSql:
    """The conditions of a rule over one record of a table.

    `applies`: no cell is missing. `keeps`: every cell can be read and the condition holds; it speaks of sums as v0, v1,
    …, whose SQL is in `values` and may only be computed where `bounded` holds, since int64 would be passed elsewhere.
    """

    relation: str
    applies: str
    bounded: str
    keeps: str
    values: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rule: Rule, subject: Subject, relation: str) -> RuleSql:
        """The SQL of a rule whose columns are there."""
        return _Compiler(subject).compile(rule, relation)

    @property
    def _computed(self) -> str:
        """The records that a rule with sums applies to and whose cells can be added, each with the sums."""
        kept = ", ".join(["f", "r", *self.columns, *(f"{sql} AS v{place}" for place, sql in enumerate(self.values))])
        return f"SELECT {kept} FROM {self.relation} WHERE {self.applies} AND {self.bounded}"

    @property
    def applied_count(self) -> str:
        """How many records the rule applies to."""
        return f"SELECT count(*) AS n FROM {self.relation} WHERE {self.applies}"

    @property
    def kept_count(self) -> str:
        """How many records keep the rule, where it has sums.

        The condition is a filter of the count, so that no engine moves it in front of the bounds.
        """
        return f"SELECT count(*) FILTER (WHERE {self.keeps}) AS n FROM ({self._computed}) AS computed"

    def broken_records(self, limit: int) -> str:
        """The first records that break the rule, as rows (f, r)."""
        if not self.values:
            broken = f"{self.applies} AND NOT ({self.keeps})"
            return f"SELECT f, r FROM {self.relation} WHERE {broken} ORDER BY f, r LIMIT {limit}"
        # The sums are kept before they are compared, for the same reason.
        return (
            f"WITH computed AS MATERIALIZED ({self._computed}), broken AS ("
            f"SELECT f, r FROM computed WHERE NOT ({self.keeps}) UNION ALL "
            f"SELECT f, r FROM {self.relation} WHERE {self.applies} AND NOT ({self.bounded})) "
            f"SELECT f, r FROM broken ORDER BY f, r LIMIT {limit}"
        )


@dataclass
class _Compiler:
    subject: Subject
    values: list[str] = field(default_factory=list)

    def compile(self, rule: Rule, relation: str) -> RuleSql:
        condition = rule.condition
        indexes = {name: self._index(name) for name in rule.columns}
        holds = self._condition(condition)
        compared = {self._cell(name): self.subject.declared.kinds[name] for name in rule.columns}
        readable = [f"{cell} IS NOT NULL" for cell, kind in compared.items() if kind is not Kind.TEXT]
        summed = dict.fromkeys(self._cell(name) for name in _in_sums(condition))
        low, high = literal(-LARGEST_TERM), literal(LARGEST_TERM)
        # A cell that cannot be read is NULL in a sum, which is out of bounds as well.
        bounds = [f"{cell} IS NOT NULL AND {cell} >= {low} AND {cell} <= {high}" for cell in summed]
        return RuleSql(
            relation,
            " AND ".join(f"s{index} IS NOT NULL" for index in indexes.values()),
            " AND ".join(bounds),
            " AND ".join([*readable, f"({holds})"]),
            tuple(self.values),
            tuple(compared),
        )

    def _index(self, name: str) -> int:
        column = self.subject.column(name)
        assert column is not None
        return column.index

    def _cell(self, name: str) -> str:
        prefix = {Kind.NUMBER: "x", Kind.TIME: "t", Kind.TEXT: "s"}[self.subject.declared.kinds[name]]
        return f"{prefix}{self._index(name)}"

    def _condition(self, node: Condition) -> str:
        match node:
            case Junction():
                return f" {node.word.upper()} ".join(f"({self._condition(part)})" for part in node.parts)
            case Not():
                return f"NOT ({self._condition(node.part)})"
            case Listed():
                texts = ", ".join(literal(text) for text in node.texts)
                return f"{self._cell(node.name.column)} IN ({texts})"
            case Comparison():
                return self._comparison(node)

    def _comparison(self, node: Comparison) -> str:
        of_times = any(self.subject.declared.kinds[name] is Kind.TIME for name in columns_of(node))
        cells = [self._value(value, of_times=of_times) for value in node.values]
        return " AND ".join(f"{cells[place]} {sign} {cells[place + 1]}" for place, sign in enumerate(node.signs))

    def _value(self, value: Value, *, of_times: bool = False) -> str:
        match value:
            case Number():
                return literal(value.value)
            case Name():
                return self._cell(value.column)
            case Sum():
                self.values.append(self._sum(value))
                return f"v{len(self.values) - 1}"
            case Text():
                moment = instant(value.value) if of_times else None
                return literal(value.value if moment is None else moment)

    def _sum(self, value: Sum) -> str:
        terms = [(negative, self._sum(t) if isinstance(t, Sum) else self._value(t)) for negative, t in value.terms]
        negative, first = terms[0]
        whole = f"0 - {first}" if negative else first
        for negative, term in terms[1:]:
            whole += f" - {term}" if negative else f" - (0 - {term})"
        return f"abs({whole})" if value.absolute else f"({whole})"


def _in_sums(node: Condition) -> tuple[str, ...]:
    """The columns that a rule adds or takes the absolute value of."""
    match node:
        case Comparison():
            found = [columns_of(value) for value in node.values if isinstance(value, Sum)]
        case Junction():
            found = [_in_sums(part) for part in node.parts]
        case Not():
            return _in_sums(node.part)
        case _:
            return ()
    return tuple(dict.fromkeys(column for columns in found for column in columns))
