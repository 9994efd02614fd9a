"""Declared domains: the values that a column may hold."""

from __future__ import annotations

import re
from typing import Any

from tests.naive.cells import conforms, instant, millionths


def declared_domains(declare: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The domain of each column; a bare list is a list of values."""
    domains = declare.get("domains", {})
    return {name: {"values": domain} if isinstance(domain, list) else domain for name, domain in domains.items()}


def is_range_of_times(domain: dict[str, Any]) -> bool:
    return any(instant(str(domain[key])) is not None for key in ("min", "max") if key in domain)


def is_listed(cell: str, domain: dict[str, Any]) -> bool:
    """Whether a cell is one of the values and matches the pattern."""
    if "values" in domain and cell not in domain["values"]:
        return False
    return "pattern" not in domain or re.fullmatch(domain["pattern"], cell) is not None


def implied_type(domain: dict[str, Any]) -> str | None:
    """The type that bounds give a column."""
    if "min" not in domain and "max" not in domain:
        return None
    return "timestamp" if is_range_of_times(domain) else "decimal"


def declared_types(declare: dict[str, Any]) -> dict[str, str]:
    """The type of each column that has one by `types` or by the bounds of its domain."""
    implied = {name: implied_type(domain) for name, domain in declared_domains(declare).items()}
    return {**{name: kind for name, kind in implied.items() if kind is not None}, **declare.get("types", {})}


def upper_bound(text: str) -> int:
    """The last microsecond that a bound allows: a bare date allows its whole day."""
    moment = instant(text)
    assert moment is not None
    return moment + 86400 * 10**6 - 1 if len(text) == len("2020-01-01") else moment


def is_within(cell: str, moment: int | None, conforming: bool, domain: dict[str, Any]) -> bool:
    """Whether a cell is in its domain; `moment` is its time, `conforming` whether it is of its column's type."""
    if not is_listed(cell, domain):
        return False
    low, high = domain.get("min"), domain.get("max")
    if low is None and high is None:
        return True
    if is_range_of_times(domain):
        value, least = moment, None if low is None else instant(str(low))
        greatest = None if high is None else upper_bound(str(high))
    else:
        value = millionths(cell) if conforming and conforms(cell, "decimal") else None
        least, greatest = (None if bound is None else millionths(str(bound)) for bound in (low, high))
    return value is not None and (least is None or value >= least) and (greatest is None or value <= greatest)
