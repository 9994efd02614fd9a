"""When a delivery is tried again, and when an endpoint is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.retries import DELAYS, Health, next_attempt, retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_without_jitter_the_table_is_kept_to_the_second() -> None:
    waits = [next_attempt(tried, NOW, chance=0.5) for tried in range(1, 8)]
    assert [moment - NOW for moment in waits if moment] == [
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=5),
        timedelta(hours=10),
        timedelta(hours=10),
    ]
    assert next_attempt(8, NOW, chance=0.5) is None


@given(st.integers(0, 7), st.floats(0, 1, exclude_max=True))
def test_jitter_moves_a_wait_by_at_most_a_fifth(tried: int, chance: float) -> None:
    moment = next_attempt(tried, NOW, chance=chance)
    assert moment is not None
    assert DELAYS[tried] * 0.8 - timedelta(microseconds=1) <= moment - NOW <= DELAYS[tried] * 1.2


def test_jitter_uses_the_whole_fifth_to_both_sides() -> None:
    assert next_attempt(2, NOW, chance=0.0) == NOW + timedelta(minutes=4)
    late = next_attempt(2, NOW, chance=0.999)
    assert late is not None
    assert late > NOW + timedelta(minutes=5, seconds=59)


@given(st.integers(1, 7), st.floats(0, 1, exclude_max=True), st.timedeltas(timedelta(0), DAY))
def test_what_the_receiver_asked_for_is_never_undercut(tried: int, chance: float, asked: timedelta) -> None:
    moment = next_attempt(tried, NOW, chance=chance, retry_after=asked)
    assert moment is not None
    assert moment - NOW >= asked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 4000, 86400),
        (format_datetime(NOW + timedelta(hours=1), usegmt=True), 3600),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 86400),
        ("Sun, 01 Mar 2026 13:00:00", 3600),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date_and_is_at_most_a_day(value: str, seconds: int) -> None:
    assert retry_after({"Retry-After": value}, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "١٢", "Mon, 99 Foo 2026 99:99:99 GMT", "\x00"])
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}, NOW) is None
    assert retry_after({}, NOW) is None


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reader(value: str) -> None:
    asked = retry_after({"Retry-After": value}, NOW)
    assert asked is None or timedelta(0) <= asked <= DAY


def after(*hours: float) -> Health:
    health = Health()
    for hour in hours:
        health = health.failed(NOW + timedelta(hours=hour))
    return health


def test_five_days_of_failures_give_an_endpoint_up() -> None:
    health = after(0, 12, 60, 119)
    assert not health.given_up(NOW + timedelta(hours=119))
    assert health.given_up(NOW + timedelta(hours=120))


def test_one_burst_and_another_a_week_later_do_not() -> None:
    health = after(0, 0.1, 0.5, 2, 168, 168.1)
    assert not health.given_up(NOW + timedelta(hours=169))


def test_the_retries_of_one_event_alone_start_the_clock() -> None:
    moment, health = NOW, Health()
    for tried in range(1, 9):
        health = health.failed(moment)
        moment = next_attempt(tried, moment, chance=0.5) or moment
    assert health.failing_since == NOW
    assert health.given_up(NOW + timedelta(days=5))


@given(st.lists(st.floats(0, 400), min_size=1, max_size=40))
def test_an_endpoint_is_never_given_up_before_five_days_or_without_failures_twelve_hours_apart(
    hours: list[float],
) -> None:
    health = Health()
    for index, hour in enumerate(sorted(hours)):
        at = NOW + timedelta(hours=hour)
        health = health.failed(at)
        if health.given_up(at):
            earlier = sorted(hours)[: index + 1]
            assert earlier[-1] - earlier[0] >= 120 - 1e-6
            assert any(12 - 1e-6 <= b - a <= 24 + 1e-6 for a in earlier for b in earlier)
