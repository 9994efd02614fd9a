"""The elements of a top-level JSON array, one after the other, without holding the array."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jiebang.dataset.json_values import RecordFails, parse_value
from jiebang.dataset.tally import MAX_RECORD_BYTES

_BLANK = re.compile(r"[ \t\r\n]*")
# Possessive: a string that does not end must not be tried in every way.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_SCALAR = re.compile(r"[^,\[\]{}]*")
_BROKEN = "the array is broken here, and what follows is not read"
_OPEN_ARRAY = "the array does not end"
_TOO_LONG = f"it is longer than {MAX_RECORD_BYTES >> 20} MiB, and what follows is not read"


@dataclass(frozen=True)
class Element:
    """One element: its value, or why it fails, and whether that ends the reading."""

    value: Any = None
    problem: str | None = None
    ends: bool = False


class _Text:
    """The part of a text that has been read and not yet used."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        # What is not UTF-8 becomes an unpaired surrogate, which fails its element and no other.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._blocks = iter(blocks)
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """Read on; false when nothing is left."""
        block = next(self._blocks, None)
        # At the end an incomplete character comes out of the decoder, as wrong as any other byte.
        read = self._decoder.decode(block or b"", final=block is None)
        self.text = self.text[self.at :] + read
        self.at = 0
        return block is not None or bool(read)

    def peek(self) -> str:
        """The next character that is not blank, which is then at `at`; empty at the end."""
        while True:
            match = _BLANK.match(self.text, self.at)
            assert match is not None  # the pattern also matches nothing
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""


def elements(blocks: Iterable[bytes]) -> Iterator[Element]:
    """The elements of the array whose text, in UTF-8, the blocks hold; a broken array ends with a failed element."""
    text = _Text(blocks)
    if text.peek() != "[":
        raise ValueError("not an array")
    text.at += 1
    if text.peek() == "]":
        text.at += 1
    else:
        while True:
            element = _element(text)
            yield element
            if element.ends:
                return
            following = text.peek()
            if following not in (",", "]"):
                yield Element(problem=_BROKEN if following else _OPEN_ARRAY)
                return
            text.at += 1
            if following == "]":
                break
            text.peek()
    if text.peek():
        yield Element(problem=_BROKEN)


def _element(text: _Text) -> Element:
    """The element at `at`, which moves behind it; one whose end cannot be told ends the reading."""
    while True:
        problem = None
        try:
            value, end = parse_value(text.text, text.at)
        except RecordFails as failure:
            problem = str(failure)
            found = _end_of_element(text.text, text.at)
        else:
            found = end
        # A number at the end of what was read may go on, and a failure may only be what is not yet read.
        if found is not None and found < len(text.text) and found - text.at <= MAX_RECORD_BYTES:
            text.at = found
            return Element(problem=problem) if problem else Element(value)
        if len(text.text) - text.at > MAX_RECORD_BYTES:
            return Element(problem=_TOO_LONG, ends=True)
        if not text.more():
            if problem is not None:
                return Element(problem=_BROKEN, ends=True)
            text.at = len(text.text)
            return Element(value)


def _end_of_element(text: str, at: int) -> int | None:
    """Where the element that begins at `at` ends, by its brackets and strings alone; None if it is not there."""
    if text[at : at + 1] not in ("{", "[", '"'):
        match = _SCALAR.match(text, at)
        return match.end() if match and match.end() > at else None
    depth = 0
    for token in _TOKEN.finditer(text, at):
        first = text[token.start()]
        if first == '"' and not token[1]:
            return None
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        if depth == 0:
            return token.end()
    return None
