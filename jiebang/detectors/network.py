"""Addresses of machines that lead to a person: IP, MAC, IMEI."""

from __future__ import annotations

import ipaddress
import re

from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind, names
from jiebang.detectors.finance import luhn
from jiebang.detectors.lists import words

CLASSES = (
    FindClass(
        "ip_address", Kind.PERSONAL, "IP address", "IP 地址", "Take it out, or cut it to its network: `114.114.0.0`."
    ),
    FindClass(
        "mac_address",
        Kind.PERSONAL,
        "MAC address of a device",
        "MAC 地址",
        "Take it out, or put a number of your own for it.",
    ),
    FindClass("imei", Kind.PERSONAL, "IMEI of a phone", "IMEI", "Take it out, or put a number of your own for it."),
)

_NETWORKS = tuple(ipaddress.ip_network(text) for text in words("networks"))
_BODIES = frozenset(words("imei_bodies"))


def is_global(text: str) -> bool:
    """Whether an IP address is global unicast: no private, shared, reserved or documentation address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not any(address in network for network in _NETWORKS if network.version == address.version)


def _ip_address(found: Candidate) -> str | None:
    text = found.matched.rstrip(".:") if ":" in found.matched else found.matched
    return "ip_address" if not found.is_masked and is_global(text) else None


def _mac_address(found: Candidate) -> str | None:
    digits = re.sub("[^0-9a-f]", "", found.matched.lower())
    # Pairs of digits alone are more likely a time or a draw of a lottery.
    group, nobody = int(digits[1], 16) & 1, digits.isdigit() or digits.startswith("00005e0053")
    return None if found.is_masked or group or nobody else "mac_address"


def _imei(found: Candidate) -> str | None:
    digits = found.matched
    return "imei" if not found.is_masked and digits[:2] in _BODIES and luhn(digits) else None


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PAIR = "[0-9A-Fa-f]{2}"

DETECTORS = (
    Detector(
        "ip_address",
        "[0-9]\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]|[^0-9A-Za-z:][23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
        re.compile(
            rf"(?<![0-9A-Za-z])(?<![0-9]\.){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9A-Za-z])(?!\.[0-9])"
            rf"|(?<![0-9A-Za-z:.])[23][0-9A-Fa-f]{{3}}:[0-9A-Fa-f:]{{2,34}}(?![0-9A-Za-z])".encode()
        ),
        _ip_address,
        "global unicast alone: no private, shared, documentation or reserved address; no letter or digit beside it",
        back=32,
        ahead=60,
    ),
    Detector(
        "mac_address",
        f"{_PAIR}(?:(?::{_PAIR}){{5}}|(?:-{_PAIR}){{5}}|{_PAIR}\\.[0-9A-Fa-f]{{4}}\\.[0-9A-Fa-f]{{4}})",
        re.compile(
            rf"(?<![0-9A-Za-z])(?<!(?<![0-9A-Za-z]){_PAIR}[:-])(?:{_PAIR}(?::{_PAIR}){{5}}|{_PAIR}(?:-{_PAIR}){{5}}"
            rf"|[0-9A-Fa-f]{{4}}(?:\.[0-9A-Fa-f]{{4}}){{2}})(?![0-9A-Za-z])(?![:-]{_PAIR}(?![0-9A-Za-z]))".encode()
        ),
        _mac_address,
        "of one device: no group address, no documentation address (RFC 7042), a letter in it",
        back=32,
        ahead=12,
    ),
    Detector(
        "imei",
        "[^0-9][0-9]{15}[^0-9]",
        re.compile(rb"(?<![0-9])(?<![0-9]\.)[0-9]{15}(?![0-9])(?!\.[0-9])"),
        _imei,
        "Luhn check digit, a body that gives them out in front; in a column of numbers its name must tell",
        telling=names("imei", "meid", "设备号", "串号"),
        named=True,
        back=32,
        ahead=12,
    ),
)
