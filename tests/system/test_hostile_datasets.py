"""Datasets that attack whoever opens them, handed in to the whole platform: refused with a reason, and nobody waits."""

from __future__ import annotations

import gzip
import io
import random
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.local.platform import Platform
from deploy.local.ports import stored_port
from deploy.local.services import HttpPart, ServiceProcess, service_part
from tests.system.competition import Competition
from tests.system.hostile_engine import MARK

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1_000_000
HOSTILE_WORKER = ServiceProcess("ingest-scan", "tests.system.hostile_scan_worker", public=False)


class Worker:
    """The scan worker that opens hostile datasets, from outside."""

    def __init__(self, part: HttpPart, port: int) -> None:
        self.process = part.process
        self._port = port

    async def kills(self) -> dict[str, int]:
        """How many children it has had killed, by cause."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            text = (await http.get(f"http://127.0.0.1:{self._port}/metrics")).text
        found = re.findall(r'^sandbox_kills_total\{cause="(\w+)"\} ([\d.e+]+)$', text, re.MULTILINE)
        return {cause: int(float(count)) for cause, count in found}

    @property
    def peak_memory(self) -> int:
        """The most that it has ever held, in bytes."""
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024


@pytest.fixture
async def worker(platform: Platform) -> AsyncIterator[Worker]:
    """The one scan worker of the platform, for now: its engine can be taken over, and what it may use is little."""
    settings = {
        **platform.settings_of_services(),
        "PYTHONPATH": str(ROOT),
        "JIEBANG_INGEST_SCAN_WALL": "10s",
        "JIEBANG_INGEST_SCAN_MEMORY_BYTES": str(700 * MEGABYTE),
    }
    part = service_part(HOSTILE_WORKER, platform.state, settings, replica=9)
    async with platform.held_down("ingest-scan"):
        await part.start()
        try:
            yield Worker(part, stored_port(platform.state, "ingest-scan-9.internal"))
        finally:
            assert await part.process.stop() == 0


@pytest.fixture
async def competition(platform: Platform, keys: dict[str, str], rng: random.Random) -> AsyncIterator[Competition]:
    played = Competition(platform, keys, rng)
    await played.publish()
    await played.register(1)
    yield played
    await played.close()


def _zip_bomb() -> bytes:
    """300 kB that would be 300 MB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("readings.csv", "w") as member:
        for _ in range(300):
            member.write(b"0" * 2**20)
    return made.getvalue()


def _gzip_bomb() -> bytes:
    """1 MB that would be 1 GB."""
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb") as member:
        for _ in range(1000):
            member.write(b"0" * 2**20)
    return made.getvalue()


def _exploit(what: str) -> bytes:
    return MARK + what.encode() + b"\nstation,reading,visits,grade\nS1,1.0,1,a\n"


ATTACKS = {
    "a zip that lies low": (_zip_bomb(), "readings.zip", "ratio_too_high", None),
    "a gzip of nothing but zeros": (_gzip_bomb(), "readings.csv.gz", "ratio_too_high", None),
    "a memory eater": (_exploit("memory"), "readings.csv", "needs_too_much_memory", "killed_memory"),
    "a fork bomb": (_exploit("fork"), "readings.csv", "takes_too_long", "killed_time"),
    "an endless parse": (_exploit("parse"), "readings.csv", "takes_too_long", "killed_time"),
}


async def test_an_attack_is_refused_with_a_reason_and_the_next_submission_goes_through(
    competition: Competition, worker: Worker
) -> None:
    """Fault 28, each attack twice, through one worker that is never restarted."""
    (team,) = competition.teams
    await competition.submit(team)
    await competition.settled()
    pid, before = worker.process.pid, worker.peak_memory
    for name, (body, filename, code, cause) in [*ATTACKS.items(), *ATTACKS.items()]:
        kills = await worker.kills()
        attack = await competition.submit(team, body, filename)
        honest = await competition.submit(team)
        await competition.settled()
        found = await competition.status(attack)
        assert found["state"] == "rejected", name
        assert [reason["code"] for reason in found["reasons"]] == [code], name
        assert all(reason["sentence"] for reason in found["reasons"])
        assert (await competition.status(honest))["state"] == "ranked"
        if cause is not None:
            assert (await worker.kills()).get(cause, 0) == kills.get(cause, 0) + 1, f"{name} did not happen"
    assert worker.process.pid == pid
    assert worker.peak_memory - before < 64 * MEGABYTE, "the worker's own memory grew with the attacks"
    assert await competition.check_promises() == {"ranked": 1 + 2 * len(ATTACKS), "rejected": 2 * len(ATTACKS)}
