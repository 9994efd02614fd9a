"""Instants: a time's text as microseconds since 1970-01-01T00:00 UTC, and back. A time without a zone is UTC."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

_TIME = re.compile(
    r"([0-9]{4})([-/])([0-9]{2})\2([0-9]{2})"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]+))?)?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))?)?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_DAY = _EPOCH.toordinal()
_MICROSECOND = datetime.timedelta(microseconds=1)

SECOND = 1_000_000
DAY = 86_400 * SECOND


def instant(text: str) -> int | None:
    """The instant of a date or timestamp as the types are written; what is finer than a microsecond is cut off."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, _, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = match.groups()
    try:
        days = datetime.date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    minutes = int(hour or 0) * 60 + int(minute or 0)
    if sign is not None:
        offset = int(zone_hour) * 60 + int(zone_minute)
        minutes += offset if sign == "-" else -offset
    return days * DAY + (minutes * 60 + int(second or 0)) * SECOND + int((fraction or "")[:6].ljust(6, "0"))


def by_format(time_format: str) -> Callable[[str], int | None]:
    """The instants of texts in a declared `strptime` format (C locale, ASCII); None for what is not in it."""

    def read(text: str) -> int | None:
        if not text.isascii():
            return None
        try:
            found = datetime.datetime.strptime(text, time_format)
        except (ValueError, re.error):
            return None
        offset = found.utcoffset() or datetime.timedelta(0)
        return (found.replace(tzinfo=None) - _EPOCH - offset) // _MICROSECOND

    return read


def shown(microseconds: int) -> str:
    """An instant as ISO text in UTC, no longer than it must be."""
    try:
        moment = _EPOCH + datetime.timedelta(microseconds=microseconds)
    except OverflowError:
        return f"{microseconds} microseconds after 1970"
    return moment.isoformat(timespec="minutes" if microseconds % (60 * SECOND) == 0 else "auto")
