"""A second reading of personal information in plain Python: character by character, clear rather than fast.

Nothing here imports the engine. It tells the classes whose rules are exact.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import re
import unicodedata

PROVINCES = [
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (91, 91))
    for code in range(first, last + 1)
]
BODIES = ["01", "10", "30", "33", "35", "44", "45", "49", "50", "51", "52", "53", "54", "86", "91", "98", "99"]
NETWORKS = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
"""


def plain(text: str) -> str:
    """NFKC, no format characters, every decimal digit as ASCII."""
    characters = []
    for character in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(character)
        if category == "Nd":
            characters.append(str(unicodedata.decimal(character)))
        elif category != "Cf":
            characters.append(character)
    return "".join(characters)


def is_digit(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place] in "0123456789"


def stands_alone(text: str, start: int, end: int) -> bool:
    """No digit beside it, nor a dot that touches a digit on its other side."""
    if is_digit(text, start - 1) or is_digit(text, end):
        return False
    before = start > 0 and text[start - 1] == "." and is_digit(text, start - 2)
    behind = end < len(text) and text[end] == "." and is_digit(text, end + 1)
    return not before and not behind


def masked(text: str, start: int, end: int) -> bool:
    return "*" in text[max(0, start - 1) : end + 1]


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(digits[::-1]):
        doubled = int(digit) * 2 if place % 2 else int(digit)
        total += sum(map(int, str(doubled)))
    return total % 10 == 0


def network_of(digits: str) -> str | None:
    size = len(digits)
    if digits[:2] == "62" and 16 <= size <= 19:
        return "UnionPay"
    if digits[0] == "4" and size == 16:
        return "Visa"
    if size == 16 and ("51" <= digits[:2] <= "55" or "2221" <= digits[:4] <= "2720"):
        return "Mastercard"
    if size == 16 and "3528" <= digits[:4] <= "3589":
        return "JCB"
    return "American Express" if size == 15 and digits[:2] in ("34", "37") else None


def phones(text: str) -> bool:
    for start in range(len(text)):
        for prefix, *between in itertools.product(("", "86", "0086"), *[("", " ", "-")] * 3):
            # Where there is a prefix it may be parted from the number, too.
            if not prefix and between[0]:
                continue
            shape = prefix + (between[0] if prefix else "") + "DDD" + between[1] + "DDDD" + between[2] + "DDDD"
            end = start + len(shape)
            part = text[start:end]
            if len(part) < len(shape):
                continue
            if any(
                (s == "D" and c not in "0123456789") or (s != "D" and s != c) for s, c in zip(shape, part, strict=True)
            ):
                continue
            number = "".join(c for s, c in zip(shape, part, strict=True) if s == "D")
            if (
                number[0] == "1"
                and number[1] in "3456789"
                and stands_alone(text, start, end)
                and not masked(text, start, end)
            ):
                return True
    return False


def id_cards(text: str, as_of: datetime.date) -> set[str]:
    found = set()
    for start in range(len(text) - 17):
        number = text[start : start + 18].upper()
        if not re.fullmatch("[1-9][0-9]{16}[0-9X]", number) or is_digit(text, start - 1) or is_digit(text, start + 18):
            continue
        remainder = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(number[:17])) % 11
        if number[17] != "10X98765432"[remainder] or number[:2] not in PROVINCES:
            continue
        try:
            born = datetime.datetime.strptime(number[6:14], "%Y%m%d").date()
        except ValueError:
            continue
        if born.year < 1800 or born > as_of:
            continue
        birthdays = sum(
            1
            for year in range(born.year + 1, as_of.year + 1)
            if (year, born.month, born.day) <= tuple(as_of.timetuple()[:3])
        )
        found.add("child_id_card" if birthdays < 14 else "id_card")
    return found


def cards(text: str) -> bool:
    shapes = ["D" * size for size in range(15, 20)]
    for separator in " -":
        shapes += [separator.join(["DDDD"] * 4 + rest) for rest in ([], ["D"], ["DD"], ["DDD"])]
        shapes.append(separator.join(["DDDD", "DDDDDD", "DDDDD"]))
    for start in range(len(text)):
        for shape in shapes:
            part = text[start : start + len(shape)]
            if len(part) < len(shape) or any(
                (s == "D" and c not in "0123456789") or (s != "D" and s != c) for s, c in zip(shape, part, strict=True)
            ):
                continue
            digits = "".join(c for c in part if c in "0123456789")
            amex = shape.count("D") == 15 and " " in shape + part.replace("-", " ")
            if amex and digits[:2] not in ("34", "37"):
                continue
            end = start + len(shape)
            if network_of(digits) and luhn(digits) and stands_alone(text, start, end) and not masked(text, start, end):
                return True
    return False


def imeis(text: str) -> bool:
    return any(
        run.end() - run.start() == 15
        and stands_alone(text, run.start(), run.end())
        and not masked(text, run.start(), run.end())
        and run[0][:2] in BODIES
        and luhn(run[0])
        for run in re.finditer("[0-9]+", text)
    )


def addresses(text: str) -> bool:
    for start in range(len(text)):
        for end in range(start + 7, min(len(text), start + 15) + 1):
            beside = text[start - 1 : start] + text[end : end + 1]
            if any(character.isascii() and character.isalnum() for character in beside):
                continue
            try:
                address = ipaddress.IPv4Address(text[start:end])
            except ValueError:
                continue
            private = any(address in ipaddress.ip_network(network) for network in NETWORKS.split())
            if not private and stands_alone(text, start, end) and not masked(text, start, end):
                return True
    return False


def classes_of(text: str, as_of: datetime.date) -> set[str]:
    """The classes of phones, identity numbers, cards, IMEIs and IPv4 addresses in a cell of a text column."""
    text = plain(text)
    found = id_cards(text, as_of)
    told = {"phone": phones(text), "bank_card": cards(text), "imei": imeis(text), "ip_address": addresses(text)}
    return found | {name for name, there in told.items() if there}
