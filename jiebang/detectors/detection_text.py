"""The text in which detectors look: NFKC, without format characters, with every decimal digit as ASCII.

So full-width digits, zero-width spaces and their like hide nothing. Most text needs none of it: a quick pass over a
whole block tells that nothing in it could change what a detector says.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

# Characters that are their own NFKC wherever they stand, are neither digits nor format characters, and are old enough
# that every version of Unicode in use agrees.
_STABLE = (
    r"\x{00}-\x{7F}\x{2013}-\x{2016}\x{2018}-\x{2023}\x{2580}-\x{25FF}\x{3001}-\x{3029}\x{3041}-\x{3096}"
    r"\x{30A1}-\x{30FA}\x{30FC}-\x{30FE}\x{3400}-\x{4DB5}\x{4E00}-\x{9FA5}"
)
# Wide ！（），；？ and … stand for marks that no detector of persons looks at, so they may stay; so may a wide colon
# and a wide blank, but where they could stand in an address or a number.
_MARKS = r"\x{2026}\x{FF01}\x{FF08}\x{FF09}\x{FF0C}\x{FF1A}\x{FF1B}\x{FF1F}\x{3000}"
UNUSUAL = f"[^{_STABLE}{_MARKS}]|[0-9A-Fa-f]\\x{{FF1A}}[0-9A-Fa-f:]|[!-~]\\x{{3000}}|\\x{{3000}}[!-~]"
"""A pattern of RE2, over characters: text that has to be brought into form before it is looked at."""

QUICKLY_UNUSUAL = (
    r"[\xC2-\xE1\xEA-\xEE\xF0-\xF4]|\xE2(?:[^\x80\x96\x97]|\x80[^\x93-\x96\x98-\xA3\xA6])"
    r"|\xE3(?:\x80[\xAA-\xBF]|\x81\x80|\x82[\x97-\xA0]|\x83[\xBB\xBF]|[\x84-\x8F])"
    r"|\xE4\xB6[\xB6-\xBF]|\xE4\xB7|\xE9\xBE[\xA6-\xBF]|\xE9\xBF"
    r"|\xEF(?:[^\xBC]|\xBC[^\x81\x88\x89\x8C\x9A\x9B\x9F])"
    r"|[0-9A-Fa-f]\xEF\xBC\x9A[0-9A-Fa-f:]|[!-~]\xE3\x80\x80|\xE3\x80\x80[!-~]"
)
"""The same for hyperscan, over bytes of UTF-8 and a little too much: true wherever `UNUSUAL` is."""

TELLING = r"[0-9@_:.-]|[A-Za-z]{15}"
"""Whatever is found holds this once it is in form: a digit, what stands in an address or an id, or a key of letters."""


@cache
def _dropped_or_digit() -> re.Pattern[str]:
    characters = map(chr, range(0x80, sys.maxunicode + 1))
    return re.compile(f"[{''.join(c for c in characters if unicodedata.category(c) in ('Cf', 'Nd'))}]")


def _plain(match: re.Match[str]) -> str:
    digit = unicodedata.decimal(match[0], None)
    return "" if digit is None else str(digit)


def detection_text(text: str) -> str:
    """The text as detectors see it."""
    if text.isascii():
        return text
    return _dropped_or_digit().sub(_plain, unicodedata.normalize("NFKC", text))
