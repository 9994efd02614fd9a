"""A platform that is lost with all its disks, and put back out of an archive: the same to the byte, and it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.local.demo.receiver import Receiver
from deploy.local.fetch import Programs
from deploy.local.kafka import KafkaServer
from deploy.local.keys import issue_keys
from deploy.local.mongo import MongoServer
from deploy.local.platform import Platform
from tests.system.competition import Competition, until
from tests.system.topics import all_read

pytestmark = pytest.mark.timeout(420)
JIEBANG = Path(sys.executable).with_name("jiebang")


def jiebang(platform: Platform, *words: str | Path, code: int = 0) -> dict[str, Any]:
    """What an operator's command answers."""
    ended = subprocess.run(
        [JIEBANG, "ops", *words, "--json"],
        env={**os.environ, **platform.settings_of_services()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == code, f"{ended.returncode}: {ended.stdout}\n{ended.stderr}"
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def streamed(platform: Platform) -> bytes:
    """An archive as it is written to standard output."""
    command = [JIEBANG, "ops", "export", "-"]
    settings = {**os.environ, **platform.settings_of_services()}
    return subprocess.run(command, env=settings, capture_output=True, check=True, timeout=120).stdout


@asynccontextmanager
async def servers_alone(platform: Platform, programs: Programs) -> AsyncIterator[None]:
    """Kafka and MongoDB of a platform whose services are stopped."""
    kafka, mongo = KafkaServer(platform.state / "kafka", programs), MongoServer(platform.state / "mongo", programs)
    await asyncio.gather(kafka.start(), mongo.start())
    platform.environment = {"JIEBANG_KAFKA_BOOTSTRAP": kafka.bootstrap, "JIEBANG_MONGO_URI": mongo.uri}
    try:
        yield
    finally:
        await asyncio.gather(kafka.process.stop(), mongo.process.stop())


async def seen(competition: Competition, subscriptions: list[str]) -> dict[str, Any]:
    """All that teams, sponsors, operators and the public see."""
    board = f"/v1/leaderboards/{competition.challenge}"
    found: dict[str, Any] = {}

    async def look(path: str, key: str | None = None, *, accept: str = "application/json") -> None:
        answer = await competition.call("GET", path, key, headers={"Accept": accept})
        found[f"{path} {accept} {(key or '')[-6:]}"] = answer.content

    for path in (board, f"{board}/history", f"/v1/challenges/{competition.challenge}", "/v1/keys"):
        await look(path)
    for team in competition.teams:
        await look(f"/v1/quota?challenge={competition.challenge}", team.key)
        await look(f"{board}/teams/{team.id}")
        await look(f"/v1/teams/{team.id}", competition.keys["organiser"])
    for id, received in competition.receipts.items():
        key = next(team.key for team in competition.teams if team.id == received["team"])
        await look(f"/v1/submissions/{id}", key)
        await look(f"/v1/submissions/{id}/receipt", key)
        if (await competition.status(id))["state"] == "ranked":
            await look(f"/v1/reports/{id}", key)
            await look(f"/v1/reports/{id}", key, accept="text/html")
    for subscription in subscriptions:
        await look(f"/v1/subscriptions/{subscription}", competition.keys["sponsor"])
        await look(f"/v1/subscriptions/{subscription}/deliveries", competition.keys["sponsor"])
    return found


async def subscribe(competition: Competition, receiver: Receiver, name: str) -> str:
    """A subscription to every score."""
    answer = await competition.call(
        "POST",
        "/v1/subscriptions",
        competition.keys["sponsor"],
        json={
            "url": receiver.url_for(name),
            "filters": {"challenges": [competition.challenge], "types": ["score.completed.v1"]},
        },
        headers={"Idempotency-Key": secrets.token_hex(12)},
    )
    receiver.trust(name, answer.json()["secret"])
    return str(answer.json()["id"])


def heard(receiver: Receiver, name: str) -> list[str]:
    """The submissions of whose scores a receiver was told, one for each webhook that came."""
    return sorted(each.event["data"]["submission"] for each in receiver.deliveries if each.sponsor == name)


async def test_what_was_lost_with_every_disk_is_put_back_to_the_byte_and_goes_on(
    tmp_path: Path, programs: Programs, rng: random.Random
) -> None:
    folder, archive = tmp_path / "platform", tmp_path / "season.tar"
    platform = Platform(folder, programs=programs)
    await platform.start()
    with Receiver() as receiver:
        try:
            competition = Competition(platform, await issue_keys(platform), rng)
            await competition.publish()
            await competition.register(3)
            prompt = await subscribe(competition, receiver, "prompt")
            held = await subscribe(competition, receiver, "held")
            key = competition.keys["sponsor"]
            await competition.call("POST", f"/v1/subscriptions/{held}/pause", key)
            for number in range(6):
                await competition.submit(competition.teams[number % 3])
            await competition.submit(competition.teams[0], b"\x00\x01 not a table", "readings.parquet")
            assert await competition.check_promises() == {"ranked": 6, "rejected": 1}
            ranked = sorted([id for id in competition.receipts if (await competition.status(id))["state"] == "ranked"])
            await until(lambda: _is(heard(receiver, "prompt"), ranked), "the sponsor has heard of every score")
            await until(lambda: all_read(platform), "everything is read")

            taken = jiebang(platform, "export", archive)
            (tmp_path / "streamed.tar").write_bytes(streamed(platform))
            assert jiebang(platform, "import", tmp_path / "streamed.tar", "--check")["documents"]
            before = await seen(competition, [prompt, held])
            assert jiebang(platform, "export", archive, code=2)["code"] == "no_such_path", "nothing is overwritten"
            assert jiebang(platform, "import", archive, "--check")["archive"] == taken["archive"]
            assert jiebang(platform, "import", archive, code=1)["code"] == "platform_runs"
            await competition.close()
        finally:
            await platform.stop()

        # Everything is lost but the archive, and the key that the platform is known by.
        shutil.copy2(folder / "signing-key.pem", tmp_path / "kept.pem")
        for each in ("kafka", "mongo", "objects", "scratch"):
            shutil.rmtree(folder / each)
        (folder / "signing-key.pem").unlink()
        shutil.copy2(tmp_path / "kept.pem", folder / "signing-key.pem")
        async with servers_alone(platform, programs):
            imported = jiebang(platform, "import", archive)
            assert {name: imported[name] for name in ("documents", "records", "objects", "archive")} == {
                name: taken[name] for name in ("documents", "records", "objects", "archive")
            }
            again = jiebang(platform, "import", archive)
            assert (again["changed"], again["documents"], again["records"], again["objects"]) == (False, 0, 0, 0)

        platform = Platform(folder, programs=programs)
        await platform.start()
        try:
            competition.platform = platform
            competition.__post_init__()
            assert await seen(competition, [prompt, held]) == before
            assert heard(receiver, "held") == []
            later = await competition.submit(competition.teams[1])
            assert await competition.check_promises() == {"ranked": 7, "rejected": 1}
            await competition.call("POST", f"/v1/subscriptions/{held}/resume", key)
            everything = sorted([*ranked, later])
            await until(lambda: _is(heard(receiver, "held"), everything), "what was held back has come")
            await until(lambda: all_read(platform), "everything is read")
            assert heard(receiver, "held") == everything, "each once"
            assert heard(receiver, "prompt") == everything, "each once"
            assert all(each.verified for each in receiver.deliveries), "signed with the secrets of before"
            assert await rebuilt_the_same(competition), "the topics say what the boards show"
            await competition.close()
        finally:
            await platform.stop()


async def test_without_anything_of_kafka_what_was_under_way_is_driven_again(
    tmp_path: Path, programs: Programs, rng: random.Random
) -> None:
    """Every topic, every event that nobody had read yet, and every position is lost; the database is there."""
    soon = {f"JIEBANG_INGEST_{stage}_DEADLINE": "5s" for stage in ("SCAN", "SCORE", "RANK")}
    folder = tmp_path / "platform"
    platform = Platform(folder, programs=programs, settings=soon, restart=False)
    await platform.start()
    try:
        competition = Competition(platform, await issue_keys(platform), rng)
        await competition.publish()
        await competition.register(2)
        for number in range(3):
            await competition.submit(competition.teams[number % 2])
        assert await competition.settled() == {"ranked": 3}
        await until(lambda: all_read(platform), "everything is read")
        before = await competition.leaderboard()
        platform.process("scoring").kill()
        unread = await competition.submit(competition.teams[0])
        await until(lambda: is_state(competition, unread, "accepted"), "it is scanned, and nobody scores it")
        await until(lambda: told(competition, unread, "submission.accepted.v1"), "its event is in Kafka")
        lost = {event.id for event in await competition.events() if event.subject == unread}
        await competition.close()
    finally:
        await platform.stop()
    shutil.rmtree(folder / "kafka")
    platform = Platform(folder, programs=programs, settings=soon)
    await platform.start()
    try:
        competition.platform = platform
        competition.__post_init__()
        assert [entry["submission"] for entry in (await competition.leaderboard())["entries"]] == [
            entry["submission"] for entry in before["entries"]
        ]
        assert await competition.settled() == {"ranked": 4}
        found = [event for event in await competition.events() if event.subject == unread]
        assert not lost & {event.id for event in found}, "its events had not been lost"
        assert "submission.accepted.v1" in {event.type for event in found}, "it was not told again"
        await competition.submit(competition.teams[1])
        assert await competition.settled() == {"ranked": 5}
        await competition.close()
    finally:
        await platform.stop()


async def is_state(competition: Competition, submission: str, state: str) -> bool:
    return bool((await competition.status(submission))["state"] == state)


async def told(competition: Competition, submission: str, type: str) -> bool:
    return any(event.subject == submission and event.type == type for event in await competition.events())


async def rebuilt_the_same(competition: Competition) -> bool:
    """Whether boards made anew from the topics are those that stand."""
    key = competition.keys["operator"]
    asked = (await competition.call("POST", "/v1/ops/ranking/rebuilds", key)).json()
    found: dict[str, Any] = {}

    async def ended() -> bool:
        found.update((await competition.call("GET", f"/v1/ops/ranking/rebuilds/{asked['id']}", key)).json())
        return found["state"] in ("done", "failed")

    await until(ended, "the boards are made anew")
    return bool(found["state"] == "done" and found["same"])


async def _is(found: object, wanted: object) -> bool:
    return found == wanted
