"""Keeping the database's time without asking for it each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.database_clock import ASKED_EVERY, DatabaseClock

START = datetime(2026, 3, 1, tzinfo=UTC)


async def test_it_asks_once_and_counts_on_and_asks_again_after_a_while() -> None:
    answers = [START, START + timedelta(hours=1)]
    passed = 0.0

    async def ask() -> datetime:
        return answers.pop(0)

    clock = DatabaseClock(ask, lambda: passed)
    assert await clock.now() == START
    passed = 1.2345
    assert await clock.now() == START + timedelta(seconds=1.234)
    passed = ASKED_EVERY
    assert await clock.now() == START + timedelta(seconds=ASKED_EVERY)
    passed = ASKED_EVERY + 0.1
    assert await clock.now() == START + timedelta(hours=1)
    assert answers == []
