"""Vehicles of a person: number plates and vehicle identification numbers."""

from __future__ import annotations

import re

from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind
from jiebang.detectors.lists import words

CLASSES = (
    FindClass(
        "number_plate",
        Kind.PERSONAL,
        "number plate",
        "车牌号",
        "Take it out, or keep the province and city alone: `京A*****`.",
    ),
    FindClass(
        "vin",
        Kind.PERSONAL,
        "vehicle identification number",
        "车辆识别代号",
        "Take it out, or keep its first eight characters alone.",
    ),
)

_VALUES = dict(
    zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", [*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10)], strict=True)
)
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin_check(vin: str) -> str:
    """The ninth character of a vehicle identification number (GB 16735, 49 CFR 565)."""
    rest = sum(_VALUES[character] * weight for character, weight in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if rest == 10 else str(rest)


def _plate(found: Candidate) -> str | None:
    return "number_plate" if not found.is_masked and sum(map(str.isdigit, found.matched)) >= 2 else None


def _vin(found: Candidate) -> str | None:
    vin = found.matched
    # The first three characters name the maker, the last four count his vehicles.
    if found.is_masked or vin[:3].isdigit() or not vin[13:].isdigit():
        return None
    return "vin" if vin_check(vin) == vin[8] else None


_PROVINCES = "|".join(words("plate_provinces"))
_PLATE = f"(?:{_PROVINCES})[A-HJ-NP-Z](?:·|•| |-)?[0-9A-HJ-NP-Z]{{4}}(?:[0-9A-HJ-NP-Z]{{1,2}}|挂|学|警|港|澳)"

DETECTORS = (
    Detector(
        "number_plate",
        f"(?:{_PROVINCES})[A-HJ-NP-Z](?:·|•| |-)?[0-9A-HJ-NP-Z]{{4}}(?:[0-9A-HJ-NP-Z]|挂|学|警|港|澳)",
        re.compile(f"{_PLATE}(?![0-9A-Za-z])".encode()),
        _plate,
        "GA 36: a province, a letter, five or six characters without I and O, two digits at least",
        back=32,
        ahead=12,
    ),
    Detector(
        "vin",
        "[^0-9A-Za-z][0-9A-HJ-NPR-Z]{13}[0-9]{4}[^0-9A-Za-z]",
        re.compile(rb"(?<![0-9A-Za-z])[0-9A-HJ-NPR-Z]{13}[0-9]{4}(?![0-9A-Za-z])"),
        _vin,
        "GB 16735 check character; a maker's code in front, a number at the end",
        back=32,
        ahead=12,
    ),
)
