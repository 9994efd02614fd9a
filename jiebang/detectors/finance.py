"""Money and who trades: payment cards, and the code of an organisation, which is nobody's."""

from __future__ import annotations

import re

from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind, names
from jiebang.detectors.identity import check_character
from jiebang.detectors.lists import entries

CLASSES = (
    FindClass(
        "bank_card",
        Kind.SENSITIVE,
        "bank card number",
        "银行卡号",
        "Take it out, or keep its last four digits alone: financial accounts are sensitive.",
    ),
    FindClass(
        "organisation_code",
        Kind.ORGANISATION,
        "unified social credit code of an organisation",
        "统一社会信用代码",
        "Nothing is to be done: it names an organisation, not a person.",
    ),
)

NETWORKS = tuple((*card["first"], frozenset(card["digits"])) for card in entries("cards"))
"""The networks of cards: the least and greatest beginning, and how many digits there are."""

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether a card network gives out numbers of that beginning and length."""
    return any(
        len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high for low, high, lengths in NETWORKS
    )


def _bank_card(found: Candidate) -> str | None:
    if found.is_masked:
        return None
    digits = found.digits
    # What follows a card of sixteen digits need not be its last group.
    numbers = [digits, digits[:16]] if found.end - found.start == len(digits) + 4 else [digits]
    return "bank_card" if any(is_card(number) and luhn(number) for number in numbers) else None


def credit_code_check(first_seventeen: str) -> str:
    """The last character of a unified social credit code (GB 32100)."""
    total = sum(_VALUES[character] * pow(3, place, 31) for place, character in enumerate(first_seventeen))
    return _ALPHABET[-total % 31]


def _organisation_code(found: Candidate) -> str | None:
    code = found.matched
    # One in some three hundred numbers of persons would pass as the code of an organisation.
    of_person = code[:17].isdigit() and check_character(code[:17]) == code[17]
    return "organisation_code" if credit_code_check(code[:17]) == code[17] and not of_person else None


_CODE = "[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}"

DETECTORS = (
    Detector(
        "bank_card",
        "[^0-9][2-6](?:[0-9]{14,18}|[0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}(?:[ -][0-9]{1,3})?"
        "|[0-9]{3}[ -][0-9]{6}[ -][0-9]{5})[^0-9]",
        re.compile(
            rb"(?<![0-9])(?<![0-9]\.)(?:[2-6][0-9]{14,18}"
            rb"|[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?|3[47][0-9]{2}([ -])[0-9]{6}\2[0-9]{5})"
            rb"(?![0-9])(?!\.[0-9])"
        ),
        _bank_card,
        "Luhn check digit; beginning and length of a card network; in a column of numbers its name must tell",
        telling=names("card", "bank", "account", "acct", "pan", "卡号", "银行", "账号", "账户", "帐号", "帐户"),
        named=True,
        back=40,
        ahead=12,
    ),
    Detector(
        "organisation_code",
        f"[^0-9A-Za-z]{_CODE}[^0-9A-Za-z]",
        re.compile(f"(?<![0-9A-Za-z]){_CODE}(?![0-9A-Za-z])".encode()),
        _organisation_code,
        "GB 32100 check character (mod 31); it is no personal information",
        back=32,
        ahead=12,
    ),
)
