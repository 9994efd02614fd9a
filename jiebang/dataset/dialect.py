"""The header record of a CSV file: its delimiter and the names of its columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from jiebang.declared_values import TRIMMED

DELIMITERS = (b",", b"\t", b";", b"|")

_OUTSIDE = re.compile(rb'[",\t;|\r\n]')
# The characters of TRIMMED. Possessive: millions of blank lines are gone over once, and no place in them is kept.
_BLANK_START = re.compile("(?:[ \t\r\n]++|\u00a0|\u3000)*+".encode())


@dataclass(frozen=True)
class Header:
    """The first record of a CSV file.

    `delimiter` is one byte, or empty where nothing separates; `names` are as columns are called (NFC, trimmed, repeats
    numbered); `end` is where the data begins, in bytes from the start of the text.
    """

    delimiter: bytes
    names: tuple[str, ...]
    end: int


def is_blank(line: bytes) -> bool:
    """Whether a line holds nothing but trimmed characters."""
    if len(line) > 4096:
        line = line.lstrip(b" \t\r\n")
    return not line.strip(b" \t\r\n") or not line.decode("utf-8", "replace").strip(TRIMMED)


def column_names(raw: Iterable[str]) -> tuple[str, ...]:
    """Names in NFC; from left to right, a repeated one gets the first free of `#2`, `#3`, …"""
    names: dict[str, None] = {}
    following: dict[str, int] = {}
    for name in raw:
        name = unique = unicodedata.normalize("NFC", name)
        while unique in names:
            number = following[name] = following.get(name, 1) + 1
            unique = f"{name}#{number}"
        names[unique] = None
    return tuple(names)


def find_header(text: bytes, *, final: bool) -> Header | None:
    """The header of a CSV text, or None when more of the text is needed (or, with `final`, when there is none)."""
    blank = _BLANK_START.match(text)
    assert blank is not None  # the pattern also matches nothing
    if blank.end() == len(text):
        return None
    at = _line_start(text, blank.end())
    counts = _count_delimiters(text, at, final=final)
    if counts is None:
        return None
    delimiter = max(DELIMITERS, key=lambda candidate: counts[candidate])
    if not counts[delimiter]:
        delimiter = b""
    tab = text.find(b"\t", 0, at)
    if delimiter == b"\t" and tab >= 0:  # only now a line of tabs turns out to be a record
        at = _line_start(text, tab)
    record = _record(text, at, delimiter, final=final)
    if record is None:
        return None
    fields, end_of_record = record
    # A header is read as well as it can be: names with a wrong byte are still names.
    names = column_names(field.decode("utf-8", "replace").strip(TRIMMED) for field in fields)
    return Header(delimiter, names, end_of_record)


def _line_start(text: bytes, at: int) -> int:
    """Where the line begins that holds the byte at `at`."""
    return max(text.rfind(b"\n", 0, at), text.rfind(b"\r", 0, at)) + 1


def _count_delimiters(text: bytes, at: int, *, final: bool) -> dict[bytes, int] | None:
    """How often each delimiter occurs outside quotes in the record at `at`; None if its end is not there yet."""
    counts = dict.fromkeys(DELIMITERS, 0)
    field_start = at
    while True:
        found = _OUTSIDE.search(text, at)
        if found is None:
            return counts if final else None
        at = found.end()
        char = found.group()
        if char == b'"':
            if found.start() != field_start:
                continue  # a quote inside a field is literal
            closing = closing_quote(text, at)
            if closing is None or (closing + 1 == len(text) and not final):
                return counts if final else None
            at = closing + 1
        elif char in counts:
            counts[char] += 1
            field_start = at
        else:
            return counts


def closing_quote(text: bytes, at: int, end: int | None = None) -> int | None:
    """Where the quoted field whose text begins at `at` closes, skipping doubled quotes; None if it does not."""
    while True:
        quote = text.find(b'"', at, end)
        if quote < 0:
            return None
        if text[quote + 1 : quote + 2] != b'"':
            return quote
        at = quote + 2


def _record(text: bytes, at: int, delimiter: bytes, *, final: bool) -> tuple[list[bytes], int] | None:
    """The fields of the record at `at` and where its line ends; None if that is not there yet."""
    separator = re.compile(rb"[\r\n" + re.escape(delimiter) + rb"]")
    fields = []
    while True:
        value = b""
        if text[at : at + 1] == b'"':
            closing = closing_quote(text, at + 1)
            if not final and (closing is None or closing + 1 == len(text)):
                return None
            closing = len(text) if closing is None else closing
            value = text[at + 1 : closing].replace(b'""', b'"')
            at = closing + 1
        found = separator.search(text, at)
        if found is None and not final:
            return None
        end = found.start() if found else len(text)
        fields.append(value + text[at:end])
        if found is None or found.group() != delimiter:
            return fields, end
        at = found.end()
