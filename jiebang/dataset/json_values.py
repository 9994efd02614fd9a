"""One JSON record, by the rules: RFC 8259, no name twice at any depth, numbers as they are written."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

MAX_DEPTH = 128
"""A record nested deeper than this fails."""

NOT_JSON = "it is not JSON"
_REPEATED = "a name is repeated"
_CONSTANT = "NaN and Infinity are not JSON"
_NOT_OBJECT = "it is not an object"
UNPAIRED_SURROGATE = "it holds an unpaired surrogate"
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"

_CONSTANTS = {True: b"true", False: b"false"}


class RecordFails(ValueError):
    """A record that counts as failed; the text says why, without its content."""


class Lexeme(str):
    """The source text of a JSON number."""

    __slots__ = ()


def _refuse_constant(_: str) -> Any:
    raise RecordFails(_CONSTANT)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if not all(map(str.isascii, value)):
        value = {unicodedata.normalize("NFC", name): entry for name, entry in pairs}
    if len(value) < len(pairs):
        raise RecordFails(_REPEATED)
    return value


# A number at the top of a record has the same text as a string, so only what is nested needs to tell them apart.
_flat = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant, object_pairs_hook=_object)
_nested = json.JSONDecoder(
    parse_int=Lexeme, parse_float=Lexeme, parse_constant=_refuse_constant, object_pairs_hook=_object
)


def parse_value(text: str, at: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `at`, numbers as `Lexeme`, and where it ends; raises RecordFails."""
    try:
        return _nested.raw_decode(text, at)
    except RecordFails:
        raise
    except ValueError:
        raise RecordFails(NOT_JSON) from None
    except RecursionError:
        raise RecordFails(_TOO_DEEP) from None


def parse_line(text: str) -> dict[str, bytes | None]:
    """The cells of a record that is alone in `text`, by name, in UTF-8; raises RecordFails."""
    try:
        value = _flat.decode(text)
        if value.__class__ is dict and any(entry.__class__ in (dict, list) for entry in value.values()):
            value = _nested.decode(text)
    except RecordFails:
        raise
    except ValueError:
        raise RecordFails(NOT_JSON) from None
    except RecursionError:
        raise RecordFails(_TOO_DEEP) from None
    return cells_of(value)


def cells_of(value: Any) -> dict[str, bytes | None]:
    """The cells of a parsed record, by name, in UTF-8; raises RecordFails."""
    if not isinstance(value, dict):
        raise RecordFails(_NOT_OBJECT)
    cells: dict[str, bytes | None] = {}
    try:
        for name, entry in value.items():
            if not name.isascii():
                name.encode("utf-8")
            if isinstance(entry, str):
                cells[name] = entry.encode("utf-8")
            elif entry is None:
                cells[name] = None
            elif isinstance(entry, bool):
                cells[name] = _CONSTANTS[entry]
            else:
                cells[name] = container_text(entry).encode("utf-8")
    except UnicodeEncodeError:
        raise RecordFails(UNPAIRED_SURROGATE) from None
    return cells


def container_text(value: Any, depth: int = 2) -> str:
    """Compact JSON of a container: names sorted by code point, strings composed, numbers as they were written."""
    if depth > MAX_DEPTH:
        raise RecordFails(_TOO_DEEP)
    if isinstance(value, dict):
        inner = (f"{_quoted(name)}:{container_text(value[name], depth + 1)}" for name in sorted(value))
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join([container_text(item, depth + 1) for item in value]) + "]"
    if isinstance(value, Lexeme):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    return "true" if value else "false"


def _quoted(text: str) -> str:
    return json.dumps(unicodedata.normalize("NFC", text), ensure_ascii=False)
