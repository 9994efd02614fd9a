"""Small files of strangers as text and JSON: bounded in size, depth and number of values, and never followed."""

from __future__ import annotations

import codecs
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

MOST_TEXT = 1 << 20
"""The most bytes of a document that are read; what is behind them counts for nothing."""

MOST_JSON = 16 << 20
"""A longer descriptor is not read."""

MOST_VALUES = 1_000_000
"""A descriptor with more values is not read: each takes memory, whatever it holds."""

DEEPEST = 64

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Unreadable(Exception):
    """A descriptor that cannot be read; its text is a short reason in words of our own."""


def read_text(location: Path, most: int = MOST_TEXT) -> str:
    """The beginning of a text: by its byte-order mark, else UTF-8, else GB18030, else UTF-8 with marks for lost bytes.

    Line ends are `\\n`.
    """
    with location.open("rb") as stream:
        raw = stream.read(most)
    return _decoded(raw).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(raw: bytes) -> str:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace").decode(raw[len(mark) :])
    for encoding in ("utf-8", "gb18030"):
        try:
            # Not final: a text that was cut may end within a character.
            return codecs.getincrementaldecoder(encoding)("strict").decode(raw)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace")


def read_json_object(location: Path) -> dict[str, Any]:
    """The object in a JSON file; fractions are decimals. Raises Unreadable with a reason."""
    size = location.stat().st_size
    if size > MOST_JSON:
        raise Unreadable(f"it has more than {MOST_JSON:,} bytes")
    raw = location.read_bytes()
    if sum(raw.count(mark) for mark in (b",", b"[", b"{", b":")) > MOST_VALUES:
        raise Unreadable(f"it holds more than {MOST_VALUES:,} values")
    try:
        value = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_object, parse_float=Decimal, parse_constant=_no_number
        )
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is not JSON (line {error.lineno})") from None
    except (ValueError, ArithmeticError):
        raise Unreadable("it holds a number that cannot be read") from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise Unreadable("it is not one JSON object")
    if _deeper_than(value, DEEPEST):
        raise Unreadable("it is nested too deeply")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("it holds a name twice")  # which of the two counts would be a matter of the reader
    return found


def _no_number(name: str) -> NoReturn:
    raise Unreadable(f"it holds {name}, which is not JSON")


def _deeper_than(value: Any, most: int) -> bool:
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
