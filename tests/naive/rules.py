"""Declared rules, read as Python: the words and signs of both are nearly the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.naive.cells import instant

TOKEN = re.compile(r"'(?:[^']|'')*'|[0-9]+(?:\.[0-9]+)?|\w+|<=|>=|!=|[<>=+\-(),]")
WORDS = {"and", "or", "not", "in", "if", "then", "abs", "time"}
LARGEST = 10**18


@dataclass
class Cell:
    """A number in a sum: one that is too large spoils the rule."""

    value: int

    def __post_init__(self) -> None:
        if abs(self.value) > LARGEST:
            raise OverflowError


def names_in(rule: str) -> list[str]:
    """The columns of a rule."""
    found = TOKEN.findall(rule)
    return list(dict.fromkeys(token for token in found if re.fullmatch(r"[^\W\d]\w*", token) and token not in WORDS))


def kinds_in(rule: str, types: dict[str, str], time: str | None) -> dict[str, str]:
    """What each column of a rule holds: by its type, by what the rule says, else numbers beside numbers or columns."""
    kinds = {}
    for name in names_in(rule):
        declared = types.get(name, "timestamp" if name == time else None)
        beside = re.search(rf"\b{name}\b\s*(=|!=|in|not in)\s*\(?'|'\s*(=|!=)\s*{name}\b", rule)
        if declared in ("date", "timestamp") or f"time({name})" in rule:
            kinds[name] = "time"
        elif declared in ("text", "boolean") or (declared is None and beside):
            kinds[name] = "text"
        else:
            kinds[name] = "number"
    return kinds


def as_python(rule: str, *, of_times: bool) -> str:
    """The rule as a Python expression over `v`, which gives the value of a column."""
    parts = []
    tokens = TOKEN.findall(rule)
    listing = False
    for place, token in enumerate(tokens):
        if token.startswith("'"):
            text = token[1:-1].replace("''", "'")
            parts.append(str(instant(text)) if of_times else repr(text))
        elif token[0].isdigit():
            parts.append(str(int(Decimal(token) * 10**6)))
        elif token == "=":
            parts.append("==")
        elif token == "if":
            parts.append("not (")
        elif token == "then":
            parts.append(") or (")
        elif token == "(" and tokens[place - 1] == "in":
            listing = True
            parts.append("[")
        elif token == ")" and listing:
            listing = False
            parts.append("]")
        elif token == "time":
            parts.append("")
        elif token in WORDS or not re.match(r"\w", token):
            parts.append(token)
        else:
            parts.append(f"v[{token!r}]")
    return " ".join(parts) + (" )" if "if" in tokens else "")


def keeps(rule: str, values: dict[str, Any], kinds: dict[str, str]) -> bool:
    """Whether a record whose cells are all there keeps the rule; None stands for a cell that cannot be read."""
    if None in values.values():
        return False
    if re.search(r"\+|-|abs", rule):
        summed = [
            name
            for side in re.split(r"<=|>=|!=|<|>|=|and|or|then", rule)
            if re.search(r"\+|-|abs", side)
            for name in names_in(side)
        ]
        try:
            for name in summed:
                Cell(values[name])
        except OverflowError:
            return False
    return bool(eval(as_python(rule, of_times="time" in kinds.values()), {"v": values, "abs": abs, "__builtins__": {}}))
