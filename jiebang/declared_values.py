"""How the values of a declaration are read from what YAML or JSON gave; every error names the key it speaks of."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from jiebang.document import KeyPath
from jiebang.errors import DeclarationError

TRIMMED = " \t\r\n\u00a0\u3000"
"""The characters that are cut off both ends of a cell and of a CSV column name."""


def wrong(path: KeyPath, title: str, detail: str, **facts: Any) -> DeclarationError:
    """An error about the value of a key, given by the keys that lead to it."""
    return DeclarationError("wrong_value", title, detail, path=list(path), **facts)


def written(path: KeyPath) -> str:
    """The keys that lead to a value, as one writes them."""
    return ".".join(str(part) for part in path)


def as_text(value: Any, path: KeyPath) -> str:
    """A text, in NFC; a whole number is the text of its digits."""
    # A class or a marker may be written as a bare number; whole numbers have one text, floats do not.
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    raise wrong(path, f"`{written(path)}` must be text, not {_kind(value)}.", "Write it in quotes.")


def _kind(value: Any) -> str:
    names = {bool: "a truth value", float: "a fraction", dict: "a mapping", list: "a list"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def as_optional_text(value: Any, path: KeyPath) -> str | None:
    """A text, or None where nothing is written."""
    return None if value is None else as_text(value, path)


def as_mapping(value: Any, path: KeyPath) -> dict[str, Any] | None:
    """A mapping with names of text, or None where nothing is written."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong(path, f"`{written(path)}` must be a mapping, not {_kind(value)}.", "Write `name: value` under it.")
    return {as_text(name, path): entry for name, entry in value.items()}


def as_texts(value: Any, path: KeyPath) -> tuple[str, ...]:
    """A list of texts, each named once."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise wrong(path, f"`{written(path)}` must be a list, not {_kind(value)}.", "Write it as [a, b].")
    texts = tuple(as_text(item, (*path, index)) for index, item in enumerate(value))
    for index, text in enumerate(texts):
        if text in texts[:index]:
            raise wrong((*path, index), f"`{written(path)}` names `{text}` twice.", "Name it once.")
    return texts


def as_names(value: Any, path: KeyPath) -> tuple[str, ...]:
    """A list of at least one text; no texts where nothing is written."""
    if value is None:
        return ()
    names = as_texts(value, path)
    if not names:
        raise wrong(path, f"`{written(path)}` is an empty list.", "Leave the key out if there is nothing to declare.")
    return names
