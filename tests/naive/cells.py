"""Cells: trimming, missing markers, the types a text conforms to, and numbers in millionths."""

from __future__ import annotations

import datetime
import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from tests.naive.records import TRIMMED, nfc

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A", "#NA", "-", "--", "\\N")
INFERRED = ["integer", "decimal", "boolean", "date", "timestamp"]


@lru_cache(maxsize=1 << 18)
def canonical(text: str | None, missing: tuple[str, ...]) -> str | None:
    if text is None:
        return None
    text = nfc(text.strip(TRIMMED))
    return None if text in missing else text


def magnitude(text: str) -> int | None:
    """The power of ten of the leading digit of a decimal's text, None for zero; never builds the number."""
    mantissa, _, exponent = re.sub("e", "E", text.lstrip("+-")).partition("E")
    if not exponent:
        mantissa, _, exponent = mantissa.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return None
    if len(exponent.lstrip("+-0")) > 12:
        return -(10**12) if exponent.startswith("-") else 10**12
    return len(digits) - len(fraction) - 1 + int(exponent or "0")


def is_integer(text: str) -> bool:
    if not re.fullmatch("[+-]?[0-9]+", text):
        return False
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > 19:
        return False
    value = int(digits) * (-1 if text.startswith("-") else 1)
    return -(2**63) <= value < 2**63


def is_decimal(text: str) -> bool:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return False
    power = magnitude(text)
    return power is None or power < 32


def is_boolean(text: str) -> bool:
    return text.isascii() and text.lower() in ("true", "false")


def is_date(text: str) -> bool:
    match = re.fullmatch("([0-9]{4})([-/])([0-9]{2})([-/])([0-9]{2})", text)
    if not match or match[2] != match[4]:
        return False
    try:
        datetime.date(int(match[1]), int(match[3]), int(match[5]))
    except ValueError:
        return False
    return True


def is_timestamp(text: str) -> bool:
    if is_date(text):
        return True
    clock = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?"
    return is_date(text[:10]) and re.fullmatch(f"[T ]{clock}", text[10:]) is not None


@lru_cache(maxsize=1 << 18)
def conforms(text: str, kind: str) -> bool:
    tests = {
        "integer": is_integer,
        "decimal": is_decimal,
        "boolean": is_boolean,
        "date": is_date,
        "timestamp": is_timestamp,
    }
    return kind == "text" or tests[kind](text)


def follows_format(text: str, form: str) -> bool:
    if not text.isascii():
        return False
    try:
        datetime.datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def since_1970(moment: datetime.datetime) -> int:
    """Microseconds since 1970-01-01 UTC; a time without a zone is UTC."""
    offset = moment.utcoffset() or datetime.timedelta(0)
    span = moment.replace(tzinfo=None) - datetime.datetime(1970, 1, 1) - offset
    return (span.days * 86400 + span.seconds) * 10**6 + span.microseconds


@lru_cache(maxsize=1 << 18)
def instant(text: str, form: str | None = None) -> int | None:
    """The microseconds of a time: in the declared form, else as a timestamp is written; None for any other text."""
    if form is not None:
        return since_1970(datetime.datetime.strptime(text, form)) if follows_format(text, form) else None
    if not is_timestamp(text):
        return None
    # Python reads the same forms once a fraction has six digits; what is finer is cut off.
    text = re.sub(r"\.([0-9]+)", lambda match: "." + match[1].ljust(6, "0")[:6], text.replace("/", "-"))
    return since_1970(datetime.datetime.fromisoformat(text))


def damaged_characters(text: str) -> int:
    """Characters that are damage, each once."""
    bad = [(unicodedata.category(c) in ("Cc", "Co") and c not in "\t\r\n\x7f") or c == "\ufffd" for c in text]
    pairs = [a + b for a in "ÂÃ" for b in map(chr, range(0x80, 0xC0))] + ["â€", "ï»¿", "ï¿½", "锟斤", "斤拷", "屯屯"]
    for pair in pairs:
        for start in range(len(text) - len(pair) + 1):
            if text.startswith(pair, start):
                bad[start : start + len(pair)] = [True] * len(pair)
    for start, character in enumerate(text):
        end = text.find(">", start)
        if character == "<" and end > 0 and is_tag(text[start + 1 : end]):
            bad[start : end + 1] = [True] * (end + 1 - start)
    return sum(bad)


def is_tag(inside: str) -> bool:
    """Whether a text between angle brackets is a tag: a name of ASCII letters and digits, then blanks and anything."""
    if "<" in inside:
        return False
    name = inside.removeprefix("/")
    length = 0
    while length < len(name) and name[length].isascii() and name[length].isalnum():
        length += 1
    if length == 0 or not name[0].isalpha():
        return False
    return name[length:] in ("", "/") or name[length] in " \t\n\r\f\v"


def infer_type(cells: list[str]) -> str:
    """The type most cells conform to, the earlier of equals, if nine tenths do; else text."""
    if not cells:
        return "text"
    counts = {kind: sum(conforms(cell, kind) for cell in cells) for kind in INFERRED}
    best = max(INFERRED, key=lambda kind: counts[kind])
    return best if 10 * counts[best] >= 9 * len(cells) else "text"


@lru_cache(maxsize=1 << 18)
def millionths(text: str) -> int | None:
    """The value times a million, rounded half away from zero; None beyond int64."""
    power = magnitude(text)
    if power is None or power < -8:
        return 0
    if power > 13:
        return None
    scaled = Fraction(re.sub(r"\.(?=$|[eE])", "", text)) * 10**6
    whole = abs(scaled)
    rounded = int(whole + Fraction(1, 2))
    value = -rounded if scaled < 0 else rounded
    return value if -(2**63) <= value < 2**63 else None
