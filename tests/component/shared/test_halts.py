"""A halted stream is seen through any replica, and reads on in all of them when an operator says so."""

from __future__ import annotations

from collections import deque
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared import problems
from shared.auth import Authenticator, Credential, make_key
from shared.clock import SystemClock
from shared.consumption import Consumption
from shared.contracts.board import Role
from shared.contracts.envelope import Event
from shared.failures import DeadLetterLimit, PermanentError
from shared.halts import Halts, router
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.mongo import Database
from shared.settings import Settings
from tests.component.shared.harness import Reading, Topic, team_event
from tests.eventually import eventually

STREAM = "board.teams"


class OneKey:
    def __init__(self, role: Role) -> None:
        id = CredentialId(SystemIds().new("key"))
        made = make_key(role, id)
        self.key = made.key
        self._credential = Credential(id, OwnerId("org_1"), role, made.secret_sha256)

    async def find(self, credential: CredentialId) -> Credential | None:
        return self._credential


def api_of(halts: Halts, role: Role = Role.OPERATOR) -> httpx.AsyncClient:
    app, keys = FastAPI(), OneKey(role)
    problems.install(app)
    app.include_router(router("ranking", halts))
    app.state.authenticator = Authenticator(keys, SystemClock())
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://test/v1/ops/ranking/",
        headers={"Authorization": f"Bearer {keys.key}"},
    )


async def nothing(event: Event[Any]) -> None:
    pass


def replica(database: Database, process: str) -> tuple[Halts, Consumption]:
    halts, consumption = Halts(database, process), Consumption(STREAM, STREAM, f"ranking.{STREAM}", nothing, deque())
    halts.watch(consumption)
    return halts, consumption


async def test_a_stream_that_was_halted_by_its_dead_letters_reads_on(
    settings: Settings, topic: Topic, mongo_database: Database
) -> None:
    read: list[str] = []
    mended = False

    async def handle(event: Event[Any]) -> None:
        if event.subject == "bad" and not mended:
            raise PermanentError("it is refused")
        read.append(event.subject)

    async with Reading(settings, handle, limit=DeadLetterLimit(window=10, least=2, share=0.5)) as reading:
        halts = Halts(mongo_database)
        halts.watch(reading.consumption)
        async with api_of(halts) as api:
            for number in range(4):
                await topic.send(team_event("bad", number + 1), key=b"bad")
            await topic.send(team_event("good"), key=b"good")
            await eventually(lambda: reading.consumption.halted)
            await halts.attend()
            (stream,) = (await api.get("streams")).json()["streams"]
            assert stream["stream"] == STREAM
            assert [halt["why"] for halt in stream["halted"]] == ["PermanentError('it is refused')"]
            assert read == [], "nothing is read while it is halted"
            mended = True
            answer = await api.post(f"streams/{STREAM}/resume")
            assert (answer.status_code, len(answer.json()["resumed"])) == (202, 1)
            await eventually(lambda: read == ["bad", "bad", "good"])
            assert (await api.get("streams")).json()["streams"][0]["halted"] == []
            assert (await api.post("streams/nothing/resume")).json()["code"] == "unknown_stream"


async def test_every_replica_reads_on_whichever_was_asked(mongo_database: Database) -> None:
    (first, one), (second, two), (third, three) = (replica(mongo_database, name) for name in ("a:1", "b:1", "c:1"))
    for halted in (one, two):
        halted.halt("too much")
    for each in (first, second, third):
        await each.attend()
    (seen,) = await third.streams()
    assert [halt["process"] for halt in seen["halted"]] == ["a:1", "b:1"]
    assert await third.resume(STREAM, "org_1") == ["a:1", "b:1"]
    assert one.halted, "a replica reads on when it looks"
    for each in (first, second, third):
        await each.attend()
    assert [each.halted for each in (one, two, three)] == [False, False, False]


async def test_a_halt_of_its_own_is_ended_at_once_and_a_later_one_is_another(mongo_database: Database) -> None:
    halts, consumption = replica(mongo_database, "a:1")
    consumption.halt("first")
    assert await halts.resume(STREAM, "org_1") == ["a:1"]
    assert not consumption.halted
    consumption.halt("second")
    await halts.attend()
    await halts.attend()
    assert consumption.halted, "what was said of the first halt does not end the second"
    (seen,) = await halts.streams()
    assert [halt["why"] for halt in seen["halted"]] == ["second"]


async def test_a_halt_of_a_process_that_is_gone_is_not_shown(mongo_database: Database) -> None:
    halts, _ = replica(mongo_database, "a:1")
    gone, consumption = replica(mongo_database, "gone:1")
    consumption.halt("too much")
    await gone.attend()
    longer_ago = {"$subtract": ["$$NOW", 60_000]}
    await mongo_database["halted_streams"].update_many({}, [{"$set": {"seen_at": longer_ago}}])
    (seen,) = await halts.streams()
    assert seen["halted"] == []


@pytest.mark.parametrize("role", [Role.TEAM, Role.SPONSOR, Role.ORGANISER])
async def test_nobody_but_operators_resumes(mongo_database: Database, role: Role) -> None:
    halts, consumption = replica(mongo_database, "a:1")
    consumption.halt("too much")
    async with api_of(halts, role) as api:
        assert (await api.get("streams")).status_code == 403
        assert (await api.post(f"streams/{STREAM}/resume")).status_code == 403
    assert consumption.halted
