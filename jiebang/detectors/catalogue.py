"""Every class of finds and every detector, in one table."""

from __future__ import annotations

from jiebang.detectors import contact, credentials, finance, identity, network, passwords, schema, vehicles
from jiebang.detectors.definition import Detector, FindClass, Kind

_FAMILIES = (identity, contact, finance, network, vehicles, credentials, passwords)

CLASSES: tuple[FindClass, ...] = tuple(found for family in (*_FAMILIES, schema) for found in family.CLASSES)
"""Every class; its number, by which finds are kept, is its place here."""

DETECTORS: tuple[Detector, ...] = tuple(detector for family in _FAMILIES for detector in family.DETECTORS)

NUMBERS = {found.name: number for number, found in enumerate(CLASSES)}


def numbers_of(*kinds: Kind) -> tuple[int, ...]:
    """The numbers of the classes of these kinds."""
    return tuple(number for number, found in enumerate(CLASSES) if found.kind in kinds)
