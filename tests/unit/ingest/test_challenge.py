"""In time is decided by the moment the upload was complete, not by the moment the queue got to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.ingest.challenge import Challenge, Phase, PhaseClosed
from services.ingest.quota import Allowance

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 3, 10, tzinfo=UTC)
LATE = timedelta(minutes=10)
TICK = timedelta(milliseconds=1)
CHALLENGE = Challenge(
    id="chl_a",
    version=1,
    sponsor="spn_a",
    phases=(Phase("preliminary", START, END), Phase("semi-final", END + timedelta(days=5), END + timedelta(days=9))),
    allowance=Allowance(5, 50),
    max_bytes=10**9,
    formats=("csv",),
)


def phase(received_at: datetime, now: datetime) -> str:
    return CHALLENGE.phase_of(received_at, now=now, late=LATE).name


def test_the_first_moment_of_a_phase_is_in_it_and_its_end_is_not() -> None:
    assert phase(START, START) == "preliminary"
    assert phase(END - TICK, END - TICK) == "preliminary"
    for outside in (START - TICK, END):
        with pytest.raises(PhaseClosed) as refused:
            phase(outside, outside)
        assert refused.value.phase.name == "preliminary"


def test_an_upload_that_was_complete_in_time_may_be_submitted_ten_minutes_later() -> None:
    assert phase(END - TICK, END + LATE - TICK) == "preliminary"
    with pytest.raises(PhaseClosed):
        phase(END - TICK, END + LATE)


def test_an_upload_of_the_old_phase_does_not_count_in_the_next_one() -> None:
    with pytest.raises(PhaseClosed):
        phase(END - TICK, END + timedelta(days=6))
    assert phase(END + timedelta(days=6), END + timedelta(days=6)) == "semi-final"
