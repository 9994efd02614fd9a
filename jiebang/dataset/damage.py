"""Characters of a text that are damage rather than text: what wrong decoding, extraction and conversion leave."""

from __future__ import annotations

import re

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x80-\x9f"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"

# What UTF-8 looks like when it was read as Latin-1, and what GB18030 makes of U+FFFD and of uninitialised memory.
_MOJIBAKE = "[ÂÃ][\u0080-\u00bf]|â€|ï»¿|ï¿½|锟斤|斤拷|屯屯"
_TAG = r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>"

_SINGLE = re.compile(f"[\ufffd{_CONTROLS}{_PRIVATE}]")
_PAIRS = re.compile(f"(?=({_MOJIBAKE}))")  # ahead, since 锟斤拷 holds two of them
_TAGS = re.compile(_TAG, re.ASCII)

SUSPECT = (
    r"[<ÂÃâï锟斤屯\x{FFFD}\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{80}-\x{9F}\x{E000}-\x{F8FF}\x{F0000}-\x{10FFFF}]"
)
"""A pattern in the syntax of RE2 that matches in every text with damage, and in few others."""


def damage(text: str) -> int:
    """How many characters of a text are damage; each counts once.

    They are U+FFFD, C0 and C1 controls but tab, LF and CR, private use, both characters of a mojibake pair, and all
    those of an HTML tag.
    """
    found = {match.start() for match in _SINGLE.finditer(text)}
    for match in _PAIRS.finditer(text):
        found.update(range(match.start(1), match.end(1)))
    for match in _TAGS.finditer(text):
        found.update(range(match.start(), match.end()))
    return len(found)
