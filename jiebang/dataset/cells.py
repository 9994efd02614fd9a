"""The exact reading of one cell, in plain Python: trimming, missing, types, and the value in millionths.

This is the arbiter. SQL decides the cells that a simple test proves normal; every other cell comes here, so what a
cell means is written once. Nothing here builds a number from untrusted digits: a cell of 5,000 digits or `9e999999999`
costs no more than its length.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Collection
from enum import IntFlag

from jiebang.declared_values import TRIMMED


class Conforms(IntFlag):
    """The types a cell's text conforms to; a cell without any is text only."""

    NOTHING = 0
    INTEGER = 1
    DECIMAL = 2
    BOOLEAN = 4
    DATE = 8
    TIMESTAMP = 16


_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?)([0-9]+))?", re.ASCII)
_DATE = re.compile(r"([0-9]{4})([-/])([0-9]{2})\2([0-9]{2})", re.ASCII)
_TIME = re.compile(
    r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?", re.ASCII
)
_BOOLEAN = frozenset(("true", "false"))

_INT64_MAX = "9223372036854775807"
_INT64_MIN = "9223372036854775808"
_DECIMAL_PLACES = 32  # |v| < 10**32
_HUGE_EXPONENT = 10**12  # beyond any mantissa that fits a record


def trim(text: str) -> str:
    """The text without the six trimmed characters at both ends, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text.strip(TRIMMED))


def canonical(text: str, missing: Collection[str]) -> str | None:
    """The cell as it is compared and counted: trimmed, NFC, or None where it is one of the missing markers."""
    cell = trim(text)
    return None if cell in missing else cell


def _fits_int64(integer: str) -> bool:
    limit = _INT64_MIN if integer[0] == "-" else _INT64_MAX
    digits = integer.lstrip("+-").lstrip("0")
    return len(digits) < 19 or (len(digits) == 19 and digits <= limit)


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _scale(match: re.Match[str]) -> tuple[str, int]:
    """The significant digits of a decimal and the power of ten of the first; no digits for zero."""
    _, whole, fraction, bare, exponent_sign, exponent = match.groups()
    digits = (whole or "") + (fraction or bare or "")
    significant = digits.lstrip("0")
    if not significant:
        return "", 0
    place = len(whole or "") - 1 - (len(digits) - len(significant))
    if exponent:
        exponent = exponent.lstrip("0") or "0"
        power = int(exponent) if len(exponent) <= 12 else _HUGE_EXPONENT
        place += -power if exponent_sign == "-" else power
    return significant, place


def conforming(cell: str) -> Conforms:
    """The types a canonical cell conforms to, decided on its text alone."""
    first = cell[:1]
    if first not in "0123456789+-.":
        return Conforms.BOOLEAN if len(cell) <= 5 and cell.lower() in _BOOLEAN else Conforms.NOTHING
    if _INTEGER.fullmatch(cell) and _fits_int64(cell):
        return Conforms.INTEGER | Conforms.DECIMAL
    decimal = _DECIMAL.fullmatch(cell)  # an integer beyond int64 can still be one
    if decimal:
        digits, place = _scale(decimal)
        return Conforms.DECIMAL if not digits or place < _DECIMAL_PLACES else Conforms.NOTHING
    date = _DATE.match(cell)
    if date and _is_day(date[1], date[3], date[4]):
        if date.end() == len(cell):
            return Conforms.DATE | Conforms.TIMESTAMP
        if _TIME.fullmatch(cell, date.end()):
            return Conforms.TIMESTAMP
    return Conforms.NOTHING


def millionths(cell: str) -> int | None:
    """The value of a numeric cell in 10⁻⁶ units, rounded half away from zero; None beyond int64 or if not numeric."""
    match = _DECIMAL.fullmatch(cell)
    if not match:
        return None
    digits, place = _scale(match)
    whole_digits = place + 7  # of the value times a million
    if not digits or whole_digits < 0:
        return 0
    if whole_digits > 19:
        return None
    value = int(digits[:whole_digits].ljust(whole_digits, "0") or "0")
    if digits[whole_digits : whole_digits + 1] >= "5":
        value += 1
    if match[1] == "-":
        value = -value
    return value if -(2**63) <= value < 2**63 else None
