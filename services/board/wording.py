"""Reading the texts that people write on the board: present, of bounded length, in Chinese, English or both. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jiebang.document import KeyPath, refuse_unknown_keys
from jiebang.errors import DeclarationError

LANGUAGES = ("zh", "en")

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def read_text(value: Any, path: KeyPath, *, longest: int) -> dict[str, str]:
    """A text in Chinese, English or both: `{zh, en}`, or one plain text whose language is plain to see."""
    if isinstance(value, str):
        value = {"zh" if _CHINESE.search(value) else "en": value}
    texts = read_mapping(value, path)
    refuse_unknown_keys(texts, LANGUAGES, path, "a text in two languages")
    read = {
        language: read_line(text, (*path, language), longest=longest)
        for language, text in texts.items()
        if text is not None
    }
    if not read:
        raise wrong(path, f"`{shown(path)}` is empty.", "Write it in Chinese (zh), English (en) or both.")
    return read


def read_line(value: Any, path: KeyPath, *, longest: int) -> str:
    """A text that is there, is not too long, and holds no control characters or lone surrogates."""
    if not isinstance(value, str):
        raise wrong(path, f"`{shown(path)}` must be text.", "Write it in quotes.")
    text = value.strip()
    if not text or len(text) > longest:
        raise wrong(
            path, f"`{shown(path)}` must have 1 to {longest} characters.", "Shorten it or fill it in.", limit=longest
        )
    if _UNWRITABLE.search(text):
        raise wrong(path, f"`{shown(path)}` holds control characters.", "Remove them.")
    return text


def read_mapping(value: Any, path: KeyPath) -> dict[str, Any]:
    """A mapping with text keys."""
    if not isinstance(value, Mapping):
        where = f"`{shown(path)}`" if path else "This"
        raise wrong(path, f"{where} must be a mapping of keys to values.", "Write `key: value` under it.")
    return {str(key): entry for key, entry in value.items()}


def wrong(path: KeyPath, title: str, detail: str, **facts: Any) -> DeclarationError:
    """The error for a value that cannot stand there; it never repeats the value, which may be personal data."""
    return DeclarationError("wrong_value", title, detail, path=list(path), **facts)


def shown(path: KeyPath) -> str:
    """A path of keys as people write it."""
    return ".".join(str(part) for part in path)
