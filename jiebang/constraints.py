"""What a declaration says about values: the domain of a column, the period of the times, the parts of a split."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from jiebang.declared_values import (
    TRIMMED,
    as_mapping,
    as_names,
    as_optional_text,
    as_text,
    as_texts,
    written,
    wrong,
)
from jiebang.document import KeyPath, refuse_unknown_keys
from jiebang.errors import DeclarationError
from jiebang.times import DAY, instant

if TYPE_CHECKING:
    import duckdb

_NUMBER = re.compile(r"([+-]?)([0-9]{1,12})(?:\.([0-9]{1,6}))?")
_DAY_LENGTH = 10
_LONGEST_PATTERN = 1000
_MOST_VALUES = 10_000
_GRID_STEPS = {
    "ms": 1_000, "s": 1_000_000, "sec": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": DAY, "w": 7 * DAY,
}  # fmt: skip
_LONGEST_STEP = 10_000 * 366 * DAY  # longer than all time that has a date


def number(text: str) -> int | None:
    """A decimal of at most twelve digits and six places in millionths, None for any other text."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, places = match.groups()
    value = int(whole) * 10**6 + int((places or "").ljust(6, "0"))
    return -value if sign == "-" else value


def _end(text: str) -> int | None:
    """The last instant that an upper bound allows: a date allows its whole day."""
    moment = instant(text)
    return moment if moment is None or len(text) > _DAY_LENGTH else moment + DAY - 1


@dataclass(frozen=True)
class Domain:
    """The values that a column may hold: some that are listed, those that a pattern matches, a range, or all of it.

    `low` and `high` are millionths for a column of numbers and microseconds since 1970 for one of times.
    """

    values: tuple[str, ...] = ()
    pattern: str | None = None
    least: str | None = None
    greatest: str | None = None

    @property
    def of_times(self) -> bool:
        """Whether the bounds are dates or timestamps."""
        bounds = [bound for bound in (self.least, self.greatest) if bound is not None]
        return bool(bounds) and instant(bounds[0]) is not None

    @property
    def low(self) -> int | None:
        """The least value that is allowed."""
        if self.least is None:
            return None
        return instant(self.least) if self.of_times else number(self.least)

    @property
    def high(self) -> int | None:
        """The greatest value that is allowed."""
        if self.greatest is None:
            return None
        return _end(self.greatest) if self.of_times else number(self.greatest)

    @property
    def is_of_text(self) -> bool:
        """Whether values are listed or matched, which is decided on the text of a cell."""
        return bool(self.values) or self.pattern is not None

    @property
    def is_range(self) -> bool:
        """Whether there is a bound."""
        return self.least is not None or self.greatest is not None

    @property
    def type(self) -> str | None:
        """The type of column that the bounds are for, None without bounds."""
        return None if not self.is_range else "timestamp" if self.of_times else "decimal"

    def as_dict(self) -> dict[str, Any]:
        """The domain as JSON, as it is declared."""
        result: dict[str, Any] = {"values": list(self.values)} if self.values else {}
        named = {"pattern": self.pattern, "min": self.least, "max": self.greatest}
        return {**result, **{key: value for key, value in named.items() if value is not None}}


@dataclass(frozen=True)
class Period:
    """The time that records are to be of, both ends included; a date as the end means its whole day."""

    begin: str | None = None
    end: str | None = None

    @property
    def first(self) -> int | None:
        """The first instant in it, in microseconds since 1970."""
        return None if self.begin is None else instant(self.begin)

    @property
    def last(self) -> int | None:
        """The last instant in it."""
        return None if self.end is None else _end(self.end)

    def as_dict(self) -> dict[str, Any]:
        """The period as JSON, as it is declared."""
        named = {"from": self.begin, "to": self.end}
        return {key: value for key, value in named.items() if value is not None}


@dataclass(frozen=True)
class Split:
    """Which records are for training and which for testing: by a column's values, or (`column` None) by their files."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    column: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The split as JSON, as it is declared."""
        by = {} if self.column is None else {"column": self.column}
        return {**by, "train": list(self.train), "test": list(self.test)}


def last_of(day: str) -> int:
    """The last instant of a date, which is known to be one."""
    end = _end(day)
    assert end is not None
    return end


def read_domains(value: Any, path: KeyPath) -> dict[str, Domain]:
    """The domains of columns: a list of values, or a mapping of values, pattern, min and max."""
    entries = as_mapping(value, path) or {}
    return {column: _domain(entry, (*path, column)) for column, entry in entries.items()}


def _domain(entry: Any, path: KeyPath) -> Domain:
    if not isinstance(entry, Mapping):
        return Domain(values=_values(entry, path))
    own = as_mapping(entry, path) or {}
    refuse_unknown_keys(own, ("values", "pattern", "min", "max"), path, "a domain")
    values = () if own.get("values") is None else _values(own["values"], (*path, "values"))
    pattern = _pattern(own.get("pattern"), (*path, "pattern"))
    domain = Domain(values, pattern, _bound(own.get("min"), (*path, "min")), _bound(own.get("max"), (*path, "max")))
    if domain == Domain():
        raise wrong(path, f"`{written(path)}` allows everything.", "Say `values`, `pattern`, `min` or `max`.")
    for key, bound, found in (("min", domain.least, domain.low), ("max", domain.greatest, domain.high)):
        if bound is not None and found is None:
            raise wrong((*path, key), f"`{written(path)}` mixes numbers and times.", "Write both bounds alike.")
    if domain.low is not None and domain.high is not None and domain.low > domain.high:
        raise wrong(path, f"`{written(path)}` allows nothing: `min` is above `max`.", "Exchange them.")
    return domain


def _values(value: Any, path: KeyPath) -> tuple[str, ...]:
    values = tuple(text.strip(TRIMMED) for text in as_texts(value, path))
    if not values or len(values) > _MOST_VALUES or len(set(values)) < len(values):
        raise wrong(
            path, f"`{written(path)}` must list 1 to {_MOST_VALUES:,} values that differ.", "Name each value once."
        )
    return values


def _pattern(value: Any, path: KeyPath) -> str | None:
    pattern = as_optional_text(value, path)
    if pattern is None:
        return None
    if len(pattern) > _LONGEST_PATTERN or "\0" in pattern:
        raise wrong(path, f"`{written(path)}` is too long a pattern.", f"At most {_LONGEST_PATTERN} characters.")
    fault = _fault_of_pattern(pattern)
    if fault is not None:
        raise wrong(path, f"`{written(path)}` is not a pattern: {fault}.", "Write it in the syntax of RE2.")
    return pattern


@lru_cache(maxsize=10_000)
def _fault_of_pattern(pattern: str) -> str | None:
    """Why a text is no pattern, in the words of what reads the cells; None where it is one."""
    import duckdb

    try:
        with _judge_of_patterns().cursor() as cursor:
            cursor.execute("SELECT regexp_full_match('', $1)", [pattern]).fetchall()
    except duckdb.Error as error:
        return str(error).splitlines()[0][:200]
    return None


@cache
def _judge_of_patterns() -> duckdb.DuckDBPyConnection:
    # One for all patterns: making a connection takes fifty times as long as asking it, and a dataset may name many.
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1})


def _bound(value: Any, path: KeyPath) -> str | None:
    if isinstance(value, float):
        value = repr(value)
    elif isinstance(value, datetime.date):
        value = value.isoformat()
    text = as_optional_text(value, path)
    if text is not None and number(text) is None and instant(text) is None:
        raise wrong(
            path,
            f"`{written(path)}` must be a number or a time, not `{text[:40]}`.",
            "Write a decimal of at most twelve digits and six places, or YYYY-MM-DD, or YYYY-MM-DDTHH:MM.",
        )
    return text


def read_period(value: Any, path: KeyPath) -> Period | None:
    """The period of the times, from one date or timestamp to another."""
    own = as_mapping(value, path)
    if own is None:
        return None
    refuse_unknown_keys(own, ("from", "to"), path, "a period")
    ends = {key: _moment(own.get(key), (*path, key)) for key in ("from", "to")}
    period = Period(ends["from"], ends["to"])
    if period == Period():
        raise wrong(path, f"`{written(path)}` has no end.", "Say `from`, `to` or both.")
    if period.first is not None and period.last is not None and period.first > period.last:
        raise wrong(path, f"`{written(path)}` is empty: `from` is after `to`.", "Exchange them.")
    return period


def _moment(value: Any, path: KeyPath) -> str | None:
    text = value.isoformat() if isinstance(value, datetime.date) else as_optional_text(value, path)
    if text is not None and instant(text) is None:
        raise wrong(path, f"`{written(path)}` must be a time, not `{text[:40]}`.", "Write YYYY-MM-DD.")
    return text


def read_split(value: Any, path: KeyPath) -> Split | None:
    """The parts of a split; a part may be a single name."""
    own = as_mapping(value, path)
    if own is None:
        return None
    refuse_unknown_keys(own, ("column", "train", "test"), path, "a split")
    parts = {}
    for part in ("train", "test"):
        if own.get(part) is None:
            raise wrong(path, f"`{written(path)}` lacks `{part}`.", "Name both parts.")
        at: KeyPath = (*path, part)
        names = as_names([own[part]] if isinstance(own[part], str | int) else own[part], at)
        parts[part] = tuple(name.strip(TRIMMED) for name in names)
    for name in parts["test"]:
        if name in parts["train"]:
            raise wrong((*path, "test"), f"`{name}` is for training and for testing.", "Name it in one of them.")
    return Split(parts["train"], parts["test"], as_optional_text(own.get("column"), (*path, "column")))


def read_grid(value: Any, path: KeyPath) -> str | None:
    """The step of a grid of times, such as 15min or 1h."""
    text = as_optional_text(value, path)
    if text is not None and grid_step(text) is None:
        raise wrong(
            path,
            f"`{text[:40]}` is not a step of a grid.",
            f"Write a whole number and a unit ({', '.join(_GRID_STEPS)}), such as 1h, 15min or 1d.",
        )
    return text


def grid_step(text: str) -> int | None:
    """The step of a grid in microseconds, None if it is not one."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})\s*([A-Za-z]{1,12})", text)
    unit = _GRID_STEPS.get(match[2]) if match else None
    if match is None or unit is None:
        return None
    step = int(match[1]) * unit
    return step if step < _LONGEST_STEP else None


def read_count(value: Any, path: KeyPath, detail: str) -> int | None:
    """A whole number above 0."""
    if value is None:
        return None
    text = as_text(value, path)
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        raise wrong(path, f"`{written(path)}` must be a whole number above 0.", detail)
    return int(text)


def unfit(domains: Mapping[str, Domain], types: Mapping[str, str], path: KeyPath) -> DeclarationError | None:
    """What is wrong with a range for a column whose declared type has no such values."""
    for column, domain in domains.items():
        declared = types.get(column)
        right = ("date", "timestamp") if domain.of_times else ("integer", "decimal")
        if domain.is_range and declared is not None and declared not in right:
            what = "times" if domain.of_times else "numbers"
            return wrong(
                (*path, "domains", column),
                f"`{column}` is declared {declared}, and its domain is a range of {what}.",
                f"Declare it {' or '.join(right)}, or list its values.",
            )
    return None
