"""The clocks of all service processes jump while a competition runs; the database's clock and the others stay."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from deploy.local.fetch import Programs
from deploy.local.keys import issue_keys
from deploy.local.platform import Platform
from deploy.local.ports import stored_port
from deploy.local.services import SERVICE_PROCESSES
from tests.system.competition import Competition, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SHANGHAI = timezone(timedelta(hours=8))
NOTICED_AFTER = 1
"""Seconds after which libfaketime reads its file again."""


def _libfaketime() -> Path:
    found = find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


class Clocks:
    """The wall clocks of a platform's service processes, which libfaketime reads from one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.platform: Platform | None = None
        self._set(timedelta())

    @property
    def settings(self) -> dict[str, str]:
        """The environment of the services: only the wall clock is moved, as a jump of the real one would."""
        return {
            "LD_PRELOAD": str(_libfaketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(NOTICED_AFTER),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    async def jump(self, to: timedelta) -> None:
        """Put every clock so far from the true time; returns when every process tells the new time."""
        self._set(to)
        for row in SERVICE_PROCESSES:
            await until(partial(self._shows, row.name, to), f"{row.name} shows a time {to} away", within=30)

    async def _shows(self, name: str, off: timedelta) -> bool:
        assert self.platform is not None
        port = stored_port(self.platform.state, f"{name}.internal")
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            answer = await http.get(f"http://127.0.0.1:{port}/livez")
        told = parsedate_to_datetime(answer.headers["Date"])
        return abs(told - datetime.now(UTC) - off) < timedelta(minutes=1)

    def _set(self, off: timedelta) -> None:
        written = self._file.with_suffix(".new")
        written.write_text(f"{off.total_seconds():+.0f}\n")
        written.replace(self._file)


@pytest.fixture(scope="module")
async def clocks(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clocks]:
    """A platform of its own whose clocks can be moved."""
    made = Clocks(tmp_path_factory.mktemp("clocks") / "offset")
    platform = Platform(tmp_path_factory.mktemp("platform"), programs=programs, settings=made.settings, for_tests=True)
    await platform.start()
    made.platform = platform
    yield made
    await platform.stop()


@pytest.fixture
async def competition(clocks: Clocks, rng: random.Random) -> AsyncIterator[Competition]:
    assert clocks.platform is not None
    played = Competition(clocks.platform, await issue_keys(clocks.platform), rng)
    await played.publish()
    await played.register(3)
    yield played
    await clocks.jump(timedelta())
    await played.close()


async def test_jumps_of_the_clock_change_neither_ids_nor_order_nor_what_counts_when(
    clocks: Clocks, competition: Competition
) -> None:
    """Fault 27, an hour either way and over midnight, with submissions under way at every jump."""
    begun = datetime.now(UTC)
    midnight = (begun.astimezone(SHANGHAI) + timedelta(days=1)).replace(hour=0, minute=0)
    to_tomorrow = midnight - begun.astimezone(SHANGHAI) + timedelta(minutes=30)
    days = {begun.astimezone(SHANGHAI).date().isoformat()}
    pids = _pids(competition)
    await _submit(competition, 3)
    for jump in (timedelta(hours=1), timedelta(hours=-1), to_tomorrow, timedelta()):
        under_way = asyncio.create_task(_submit(competition, 6))
        await clocks.jump(jump)
        await under_way
        await _submit(competition, 3)
        assert [entry["rank"] for entry in (await competition.leaderboard())["entries"]] == [1, 2, 3]
    ended = datetime.now(UTC)
    days.add(ended.astimezone(SHANGHAI).date().isoformat())

    assert _pids(competition) == pids, "a jump of the clock ended a process"
    assert await competition.check_promises() == {"ranked": 3 + 4 * 9}
    events = {event.id: (event.subject, event.sequence) for event in await competition.events()}
    assert len(set(events.values())) == len(events), "an event has two ids"
    received = [datetime.fromisoformat(each["received_at"]) for each in competition.receipts.values()]
    slack = timedelta(seconds=2)
    assert all(begun - slack <= moment <= ended + slack for moment in received), (
        "a moment of receipt is not the true one"
    )
    for team in competition.teams:
        quota = (await competition.call("GET", f"/v1/quota?challenge={competition.challenge}", team.key)).json()
        assert quota["used_total"] == 13
        assert {entry["day"] for entry in quota["entries"]} <= days, "an attempt counts on a day that has not come"


async def _submit(competition: Competition, count: int) -> None:
    for number in range(count):
        await competition.submit(competition.teams[number % len(competition.teams)])


def _pids(competition: Competition) -> dict[str, int]:
    return {row.name: competition.platform.process(row.name).pid for row in SERVICE_PROCESSES}
