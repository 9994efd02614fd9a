"""What a detector is: a cheap pattern that finds candidates, an exact one, and a validator that decides."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a find means: of a person, of a person and sensitive (GB/T 45574), of an organisation, or a secret."""

    PERSONAL = "personal"
    SENSITIVE = "sensitive"
    ORGANISATION = "organisation"
    SECRET = "secret"

    @property
    def is_personal(self) -> bool:
        """Whether it counts as personal information; sensitive information is personal, too."""
        return self in (Kind.PERSONAL, Kind.SENSITIVE)


@dataclass(frozen=True, slots=True)
class FindClass:
    """One class of finds: what it is called, what it means, and what to do about it."""

    name: str
    kind: Kind
    en: str
    zh: str
    advice: str


_NEAR_BYTES = 60
"""Ten characters and a word of Chinese or Latin before them."""


@dataclass(slots=True)
class Candidate:
    """Where the exact pattern of a detector matched: `text[start:end]` in the detection text of one cell or line."""

    text: bytes
    start: int
    end: int
    as_of: datetime.date

    @property
    def matched(self) -> str:
        """What matched."""
        return self.text[self.start : self.end].decode("utf-8")

    @property
    def digits(self) -> str:
        """The digits of what matched, without the blanks and hyphens that part them."""
        return self.text[self.start : self.end].translate(None, b" -+").decode("ascii")

    def is_near(self, word: str) -> bool:
        """Whether one of the words, alternatives in small letters, stands at most ten characters before or behind."""
        before = self.text[max(0, self.start - _NEAR_BYTES) : self.start].decode("utf-8", "ignore").lower()
        behind = self.text[self.end : self.end + _NEAR_BYTES].decode("utf-8", "ignore").lower()
        return bool(re.search(f"(?:{word}).{{0,10}}$", before) or re.match(f".{{0,10}}(?:{word})", behind))

    @property
    def is_masked(self) -> bool:
        """Whether a star stands in it or touches it: then part of the value is hidden."""
        return b"*" in self.text[max(0, self.start - 1) : self.end + 1]


@dataclass(frozen=True, slots=True)
class Detector:
    """How one class is found.

    `candidate` is for hyperscan, over bytes of UTF-8: it may find too much, never too little, and what it finds of one
    value it should find once. `exact` is what must stand there, neighbours looked at; `validate` takes what it matched
    and gives the name of the class, or None; `rule` says in words what it demands; `also` is the other class that it
    may give. `telling` matches the column names under which a number of this class is expected, `named` demands one in
    a column of numbers, and `keyword` is put in front of the cells of a column with a telling name, for a class that
    needs a word in front. `back` and `ahead` are how many bytes around the end of a candidate are looked at.
    """

    name: str
    candidate: str
    exact: re.Pattern[bytes]
    validate: Callable[[Candidate], str | None]
    rule: str
    caseless: bool = False
    also: str | None = None
    telling: re.Pattern[str] | None = None
    named: bool = False
    keyword: str = ""
    back: int = 80
    ahead: int = 64


def always(name: str) -> Callable[[Candidate], str | None]:
    """A validator for patterns that say enough by themselves; what is masked is dropped."""
    return lambda found: None if found.is_masked else name


def names(*words: str) -> re.Pattern[str]:
    """Column names that hold one of these words; Latin words stand alone or parted by `_`, `-`, blank or case."""
    latin = [word for word in words if word.isascii()]
    other = [word for word in words if not word.isascii()]
    parts = [rf"(?<![a-z])(?:{'|'.join(latin)})(?![a-z])"] if latin else []
    return re.compile("|".join([*parts, *other]))


_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_name(column: str) -> str:
    """A column's name in small letters, with its words parted: `userPhone` is `user phone`."""
    return _WORD_BREAK.sub(" ", column).lower().replace("_", " ").replace("-", " ")
