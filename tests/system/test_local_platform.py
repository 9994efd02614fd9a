"""The local platform keeps its state, and leaves nothing running however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from deploy.local.platform import Platform
from deploy.local.services import SERVICE_PROCESSES


@asynccontextmanager
async def platform_command(state: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m deploy.local up` as a process of its own, at the moment when it says that everything is up."""
    command = [sys.executable, "-m", "deploy.local", "up", "--state", str(state), *options]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            while not (line := await process.stdout.readline()).startswith(b"Ctrl-C"):
                assert line, (await process.stderr.read()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


def descendants(pid: int) -> dict[int, int]:
    """Every process under this one, each with a descriptor that stays its own even if its number is used again."""
    found: dict[int, int] = {}
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found[child] = os.pidfd_open(child)
            found |= descendants(child)
    return found


async def until_ended(descriptor: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 15)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_nothing_outlives_a_killed_platform_and_its_state_does(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with platform_command(state) as up:
        keys = json.loads((state / "keys.json").read_text())
        url = json.loads((state / "platform.json").read_text())["url"]
        team = {"name": {"en": "Survivors"}, "organisation": "Test"}
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {keys['organiser']}"}) as client:
            made = await client.post(f"{url}/v1/teams", json=team, headers={"Idempotency-Key": "survivors"})
        assert made.status_code == 201, made.text
        below = descendants(up.pid)
        assert len(below) >= len(SERVICE_PROCESSES) + 3

        up.send_signal(signal.SIGKILL)
        await up.wait()
        for descriptor in below.values():
            await until_ended(descriptor)

    async with platform_command(state) as again:
        assert json.loads((state / "platform.json").read_text())["url"] == url
        async with httpx.AsyncClient() as client:
            found = await client.get(f"{url}/v1/teams/{made.json()['team']['id']}")
        assert found.status_code == 200
        assert found.json()["name"]["en"] == "Survivors"
        below = descendants(again.pid)
        again.send_signal(signal.SIGINT)
        assert await again.wait() == 0
        for descriptor in below.values():
            await until_ended(descriptor)


async def test_a_second_platform_on_the_same_state_is_refused(platform: Platform) -> None:
    command = [sys.executable, "-m", "deploy.local", "up", "--state", str(platform.state), "--fresh"]
    second = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await second.communicate()
    assert second.returncode == 1
    assert b"runs on" in errors
    assert b"deploy.local down" in errors
    assert platform.process("kafka").running


async def test_status_names_the_part_that_is_away(platform: Platform) -> None:
    async def status() -> tuple[int | None, str]:
        command = [sys.executable, "-m", "deploy.local", "status", "--state", str(platform.state)]
        shown = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await shown.communicate()
        return shown.returncode, output.decode()

    code, table = await status()
    assert code == 0, table
    async with platform.held_down("ranking"):
        code, table = await status()
    assert code == 1
    (row,) = [line for line in table.splitlines() if "ranking" in line]
    assert "away" in row


async def test_a_part_that_cannot_start_is_reported_in_words_and_nothing_is_left(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.local", "up", "--state", str(tmp_path / "state")]
    refused = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "JIEBANG_LOG_LEVLE": "INFO"},
    )
    _, errors = await refused.communicate()
    assert refused.returncode == 1
    assert b"JIEBANG_LOG_LEVLE is not a setting; the nearest one is JIEBANG_LOG_LEVEL" in errors
    assert b"Traceback" not in errors


async def test_everything_is_killed_at_once_and_comes_back(platform: Platform) -> None:
    before = {name: part.process.pid for name, part in platform.parts.items()}
    for name in before:
        platform.process(name).kill()
    assert {platform.process(name).exit_code for name in before} == {-signal.SIGKILL}
    await platform.wait_ready()
    assert all(platform.process(name).pid != pid for name, pid in before.items())


async def test_a_row_is_scaled_to_several_processes_and_back(platform: Platform) -> None:
    await platform.scale("scoring-worker", 3)
    assert platform.process("scoring-worker-2").running
    third = platform.process("scoring-worker-3")
    await platform.scale("scoring-worker", 1)
    assert not third.running
    assert third.exit_code == 0
    assert platform.process("scoring-worker").running
