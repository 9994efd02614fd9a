"""Parts that end are started again, except while they are held down."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.local.fetch import Programs
from deploy.local.kafka import KafkaServer
from deploy.local.ports import free_port
from deploy.local.process import Process, StartFailed
from deploy.local.services import HttpPart
from deploy.local.supervisor import Supervisor

SERVER = """
import http.server, os, sys
from pathlib import Path
if Path(sys.argv[2]).exists():
    sys.exit("the disk is gone")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Watched:
    """A part under supervision, and what the supervisor said about it."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.broken = folder / "broken"
        command = [sys.executable, "-c", SERVER, str(port), self.broken]
        self.part = HttpPart(
            Process("part", command, log=folder / "part.log"), (port,), f"http://127.0.0.1:{port}/readyz"
        )
        self.url = f"http://127.0.0.1:{port}/readyz"
        self.said: list[str] = []
        self.supervisor = Supervisor(self.said.append)

    async def until_said(self, words: str) -> None:
        async with asyncio.timeout(30):
            while not any(words in line for line in self.said):  # noqa: ASYNC110  (a list has no event)
                await asyncio.sleep(0.01)

    async def answers(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(self.url)).status_code == 200
            except httpx.TransportError:
                return False


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    await watched.part.start()
    watched.supervisor.watch(watched.part)
    yield watched
    await watched.supervisor.release([watched.part])
    await watched.part.stop()


async def test_a_killed_part_is_started_again_on_its_port(watched: Watched) -> None:
    before = watched.part.process.pid
    watched.part.process.kill()
    assert watched.part.process.exit_code == -signal.SIGKILL
    await watched.until_said("ready again")
    assert watched.part.process.pid != before
    assert await watched.answers()


async def test_a_part_held_down_stays_down_and_is_ready_at_the_end_of_it(watched: Watched) -> None:
    async with watched.supervisor.held_down(watched.part):
        assert not watched.part.process.running
        assert not await watched.answers()
    assert await watched.answers()
    assert watched.said == []
    watched.part.process.kill()
    await watched.until_said("ready again")


async def test_a_part_that_cannot_start_is_tried_again_ever_more_slowly_with_its_last_words(watched: Watched) -> None:
    watched.broken.touch()
    watched.part.process.kill()
    await watched.until_said("in 0.8 s")
    assert [line for line in watched.said if "in 0.2 s" in line or "in 0.4 s" in line or "in 0.8 s" in line]
    assert any("ended with 1 while starting" in line and "the disk is gone" in line for line in watched.said)
    watched.broken.unlink()
    await watched.until_said("ready again")
    assert await watched.answers()


async def test_a_part_that_is_released_is_left_alone(watched: Watched) -> None:
    await watched.supervisor.release([watched.part])
    watched.part.process.kill()
    await asyncio.wait_for(watched.part.process.wait(), 5)
    assert watched.said == []
    assert not watched.part.process.running


async def test_a_part_that_never_gets_ready_is_reported(tmp_path: Path) -> None:
    port = free_port()
    process = Process(
        "mute", [sys.executable, "-c", "print('thinking'); import time; time.sleep(600)"], log=tmp_path / "l"
    )
    part = HttpPart(process, (port,), f"http://127.0.0.1:{port}/readyz")
    with pytest.raises(StartFailed, match="mute was not ready within 1 s, it never answered"):
        await part.start(timeout=1)
    assert process.running
    await part.stop()
    assert not process.running


async def test_a_part_whose_start_fails_in_a_way_nobody_foresaw_is_started_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = HttpPart.start
    failures = [ValueError("an answer that no client can read")]

    async def start(part: HttpPart) -> None:
        await started(part)
        if failures:
            part.process.kill()
            raise failures.pop()

    monkeypatch.setattr(HttpPart, "start", start)
    watched.part.process.kill()
    await watched.until_said("an answer that no client can read")
    await watched.until_said("ready again")
    assert await watched.answers()


async def test_a_broker_that_dies_under_the_question_whether_it_is_ready_is_not_waited_for(
    tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = KafkaServer(tmp_path, programs)

    async def asks_for_ever(self: KafkaServer) -> None:
        server.process.kill()
        await asyncio.Event().wait()

    monkeypatch.setattr(KafkaServer, "_answers", asks_for_ever)
    monkeypatch.setattr("deploy.local.kafka.ANSWER_SECONDS", 0.2)
    with pytest.raises(StartFailed, match="ended with -9 while starting"):
        await server.start()


async def test_a_broker_that_knows_no_controller_yet_is_asked_again(
    tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = KafkaServer(tmp_path, programs)
    answers = KafkaServer._answers
    refusals = [AttributeError("'NoneType' object has no attribute 'nodeId'")]

    async def not_yet(self: KafkaServer) -> None:
        if refusals:
            raise refusals.pop()
        await answers(self)

    monkeypatch.setattr(KafkaServer, "_answers", not_yet)
    try:
        await server.start()
        assert refusals == []
    finally:
        await server.stop()
