"""Papers of a person: resident identity numbers, passports, travel permits, military papers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind, names
from jiebang.detectors.lists import words

CLASSES = (
    FindClass(
        "id_card",
        Kind.PERSONAL,
        "resident identity number",
        "居民身份证号",
        "Take it out, or keep at most the division code and the year of birth.",
    ),
    FindClass(
        "child_id_card",
        Kind.SENSITIVE,
        "resident identity number of a child under 14",
        "不满十四周岁未成年人的身份证号",
        "Take the records of children out, or their numbers at least: they are sensitive by themselves.",
    ),
    FindClass(
        "passport", Kind.PERSONAL, "passport number", "护照号", "Take it out, or put a number of your own for it."
    ),
    FindClass(
        "travel_permit",
        Kind.PERSONAL,
        "number of a permit to travel to or from Hong Kong, Macao or Taiwan",
        "港澳台通行证号",
        "Take it out, or put a number of your own for it.",
    ),
    FindClass(
        "military_paper",
        Kind.PERSONAL,
        "number of a military paper",
        "军官证号",
        "Take it out, or put a number of your own for it.",
    ),
)

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
PROVINCES = frozenset(words("provinces"))
OF_AGE = 14


def check_character(first_seventeen: str) -> str:
    """The last character of a resident identity number (GB 11643, ISO 7064 MOD 11-2)."""
    return _CHECK[sum(weight * int(digit) for weight, digit in zip(WEIGHTS, first_seventeen, strict=True)) % 11]


def _id_card(found: Candidate) -> str | None:
    number = found.matched.upper()
    if number[:2] not in PROVINCES or check_character(number[:17]) != number[17]:
        return None
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None
    if born > found.as_of:
        return None
    age = found.as_of.year - born.year - ((found.as_of.month, found.as_of.day) < (born.month, born.day))
    return "child_id_card" if age < OF_AGE else "id_card"


def _near(name: str, word: str) -> Callable[[Candidate], str | None]:
    """A validator for numbers that say little by themselves: a word must stand nearby."""
    return lambda found: name if not found.is_masked and found.is_near(word) else None


def _military(found: Candidate) -> str | None:
    if found.is_masked:
        return None
    return "military_paper" if "字第" in found.matched or found.is_near("军官证|士兵证") else None


def _travel_permit(found: Candidate) -> str | None:
    """Eight digits alone are a permit of Taiwan only right behind its name: any number has eight digits."""
    if found.is_masked:
        return None
    if found.matched.isdigit():
        before = found.text[max(0, found.start - 24) : found.start].decode("utf-8", "ignore")
        return "travel_permit" if re.search("台胞证(?:号码|号)?[:： ]?$", before) else None
    return "travel_permit" if found.is_near("通行证|回乡证|台胞证|permit") else None


_ARMS = "军|政|后|装|参|海|空|联|武|南|北|沈|兰|济|成|广"
_DATE = "(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"

DETECTORS = (
    Detector(
        "id_card",
        f"[^0-9][1-9][0-9]{{5}}{_DATE}[0-9]{{3}}[0-9Xx]",
        re.compile(f"(?<![0-9])[1-9][0-9]{{5}}{_DATE}[0-9]{{3}}[0-9Xx](?![0-9])".encode()),
        _id_card,
        "GB 11643 check character, a real day of birth not after the day of judgement, a province code;"
        " under 14 on that day it is a child's",
        also="child_id_card",
        back=32,
        ahead=12,
    ),
    Detector(
        "passport",
        "[^0-9A-Za-z][A-Z][0-9A-Z][0-9]{7}[^0-9A-Za-z]",
        re.compile(rb"(?<![0-9A-Za-z])(?:[DEGPS][0-9]{8}|E[A-HJ-NP-Z][0-9]{7})(?![0-9A-Za-z])"),
        _near("passport", "护照|passport"),
        "the word 护照 or passport within ten characters",
        telling=names("passport", "护照"),
        keyword="护照",
    ),
    Detector(
        "travel_permit",
        "[^0-9A-Za-z][CHMW][0-9A-Z][0-9]{7}(?:[0-9]{2})?[^0-9A-Za-z]|台胞证(?:号码|号)?(?::|：| )?[0-9]{8}[^0-9A-Za-z]",
        re.compile(rb"(?<![0-9A-Za-z])(?:[CHMW][0-9]{8}(?:[0-9]{2})?|C[A-HJ-NP-Z][0-9]{7}|[0-9]{8})(?![0-9A-Za-z])"),
        _travel_permit,
        "the word 通行证, 回乡证, 台胞证 or permit within ten characters; eight digits alone right behind 台胞证",
        telling=names("通行证", "回乡证", "台胞证"),
        keyword="通行证",
    ),
    Detector(
        "military_paper",
        f"(?:(?:{_ARMS})字第[0-9]{{6,8}}|(?:军官证|士兵证)(?:号码|号)?(?::|：| )?[0-9]{{7}})",
        re.compile(f"(?:(?:{_ARMS})字第[0-9]{{6,8}}|(?<![0-9])[0-9]{{7,8}})(?![0-9])".encode()),
        _military,
        "written as 军字第1234567号 (of an arm or a command), or behind the word 军官证 or 士兵证",
        telling=names("军官证", "士兵证"),
        keyword="军官证",
    ),
)
