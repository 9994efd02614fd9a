"""PRV-1 read naively: a record says where it comes from, or it does not."""

from __future__ import annotations

import datetime


def prv_1(records: list[tuple[str | None, str | None, str | None]]) -> int:
    """How many records (source, source_details, original_time; None where missing) say all three in form.

    As for every column, the times are dates only if nine tenths of the cells that are there are.
    """
    times = [time for _, _, time in records if time is not None]
    if 10 * sum(map(is_date, times)) < 9 * len(times) or not times:
        return 0
    return sum(map(is_valid, records))


def is_valid(record: tuple[str | None, str | None, str | None]) -> bool:
    source, details, time = record
    if source is None or details is None or time is None or not is_date(time):
        return False
    if source in ("互联网", "web"):
        scheme, separator, rest = details.partition("://")
        return scheme in ("http", "https") and separator == "://" and rest[:1] >= "0"
    return True


def is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10
