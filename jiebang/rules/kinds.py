"""What the columns of rules hold: numbers, times or texts, by declared types and by what they are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from jiebang.rules.expression import (
    Comparison,
    Condition,
    Junction,
    Listed,
    Name,
    Not,
    Number,
    RuleError,
    Sum,
    Text,
    Value,
    names_of,
)
from jiebang.times import instant


class Kind(StrEnum):
    """What is compared of a cell: its number, its instant or its text."""

    NUMBER = "number"
    TIME = "time"
    TEXT = "text"


OF_TYPE = {
    "integer": Kind.NUMBER, "decimal": Kind.NUMBER, "date": Kind.TIME, "timestamp": Kind.TIME,
    "boolean": Kind.TEXT, "text": Kind.TEXT,
}  # fmt: skip
_EQUALITY = ("=", "<>")


def kinds_of(conditions: Iterable[Condition], types: Mapping[str, str], time: str | None) -> dict[str, Kind]:
    """The kind of each column that the rules name.

    It is that of the declared type; the column of `time` holds times. Undeclared, it is what the column is compared
    with: a number, or a text between quotes, which is a time where an order is asked for; among columns without a
    type, numbers. RuleError where that does not fit together.
    """
    kinds: dict[str, Kind] = {} if time is None else {time: Kind.TIME}
    kinds |= {column: OF_TYPE[declared] for column, declared in types.items()}
    for condition in (rules := list(conditions)):
        for name in names_of(condition):
            if name.time and kinds.setdefault(name.column, Kind.TIME) is not Kind.TIME:
                raise RuleError(
                    f"`{name.column}` is declared to hold {kinds[name.column]}s, and the rule takes it for a time"
                )
    comparisons = [found for condition in rules for found in _comparisons(condition)]
    # What a number or a text says goes before what only another column says.
    for certain in (True, False):
        for comparison in comparisons:
            _settle(comparison, kinds, certain=certain)
    for comparison in comparisons:
        _check(comparison, kinds)
    return kinds


def _comparisons(node: Condition) -> Iterator[Comparison | Listed]:
    match node:
        case Comparison() | Listed():
            yield node
        case Junction():
            for part in node.parts:
                yield from _comparisons(part)
        case Not():
            yield from _comparisons(node.part)


def _settle(comparison: Comparison | Listed, kinds: dict[str, Kind], *, certain: bool) -> None:
    if isinstance(comparison, Listed):
        kinds.setdefault(comparison.name.column, Kind.TEXT)
        return
    known = {kind for value in comparison.values if (kind := _known(value, comparison, kinds)) is not None}
    if certain and not known:
        return
    kind = next(iter(known)) if len(known) == 1 else Kind.NUMBER
    for value in comparison.values:
        if isinstance(value, Name):
            kinds.setdefault(value.column, kind)
        elif isinstance(value, Sum):
            for column in _summed(value):
                kinds.setdefault(column, Kind.NUMBER)


def _known(value: Value, comparison: Comparison, kinds: Mapping[str, Kind]) -> Kind | None:
    match value:
        case Number() | Sum():
            return Kind.NUMBER
        case Name():
            return kinds.get(value.column)
        case Text():
            ordered = any(sign not in _EQUALITY for sign in comparison.signs)
            others = {kinds.get(other.column) for other in comparison.values if isinstance(other, Name)}
            if Kind.TIME in others or Kind.TEXT in others:
                return None  # a declared type decides how the text is read
            return Kind.TIME if ordered and instant(value.value) is not None else Kind.TEXT


def _summed(value: Sum) -> Iterator[str]:
    for _, term in value.terms:
        if isinstance(term, Name):
            yield term.column
        elif isinstance(term, Sum):
            yield from _summed(term)
        elif isinstance(term, Text):
            raise RuleError(f"'{term.value[:40]}' is a text and cannot be added")


def _check(comparison: Comparison | Listed, kinds: Mapping[str, Kind]) -> None:
    if isinstance(comparison, Listed):
        column = comparison.name.column
        if kinds[column] is not Kind.TEXT:
            raise RuleError(f"`{column}` holds {kinds[column]}s, and `in` is for texts")
        return
    for value in comparison.values:
        for column in _summed(value) if isinstance(value, Sum) else ():
            if kinds[column] is not Kind.NUMBER:
                raise RuleError(f"`{column}` holds {kinds[column]}s, which cannot be added")
    columns = [kinds[value.column] for value in comparison.values if isinstance(value, Name)]
    found = {*columns, *(Kind.NUMBER for value in comparison.values if isinstance(value, Number | Sum))}
    if len(found) > 1:
        raise RuleError(f"it compares {' with '.join(sorted(f'a {kind}' for kind in found))}")
    texts = [value.value for value in comparison.values if isinstance(value, Text)]
    if Kind.NUMBER in found and texts:
        raise RuleError(f"'{texts[0][:40]}' is compared with a number; write numbers without quotes")
    if Kind.TIME in found:
        for text in texts:
            if instant(text) is None:
                raise RuleError(f"'{text[:40]}' is compared with a time and is none; write YYYY-MM-DD")
    elif Kind.NUMBER not in found and any(sign not in _EQUALITY for sign in comparison.signs):
        raise RuleError("texts have no order; compare them with = or !=")
    if not columns and not any(isinstance(value, Sum) and list(_summed(value)) for value in comparison.values):
        raise RuleError("a comparison names no column")
