"""The API killed with kill -9 at each point that matters: nothing is lost, nothing happens twice, nothing is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.component.ingest.conftest import with_settings
from tests.component.ingest.stage import CSV, TUS, Stage, Team
from tests.eventually import eventually

MIB = 1 << 20
SOON = {"orphan_age": "1s", "collect_every": "300ms"}


async def cut_off(request: asyncio.Task[httpx.Response]) -> None:
    """A request whose server died gets no answer."""
    with pytest.raises(httpx.TransportError):
        await request


@with_settings(**SOON)
async def test_killed_at_half_of_an_upload_it_goes_on_from_the_last_piece(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    data = random.Random(5).randbytes(40 * MIB)
    location = (await team.create(data)).headers["location"]
    upload = location.rpartition("/")[2]
    killed = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        for start in range(0, 20 * MIB, MIB):
            yield data[start : start + MIB]
        await killed.wait()
        yield data[20 * MIB : 21 * MIB]

    async def reached() -> bool:
        found = await stage.database.uploads.find_one({"_id": upload})
        return found is not None and found["state"]["offset"] >= 16 * MIB

    sending = asyncio.create_task(team.patch(location, 0, half()))
    await eventually(reached, what="two pieces being counted")
    await stage.kill_api()
    killed.set()
    await cut_off(sending)
    assert await stage.database.submissions.count_documents({}) == 0
    assert stage.stored("datasets") == []

    await stage.restart_api()
    head = await team.http.head(location, headers=TUS)
    offset = int(head.headers["upload-offset"])
    assert offset == 16 * MIB
    assert (await team.submit(challenge, upload)).json()["code"] == "upload_incomplete"
    assert (await team.patch(location, offset, data[offset:])).status_code == 204
    answer = await team.submit(challenge, upload)
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == len(data)
    await eventually(lambda: stage.stored("uploads") == [], what="the pieces being gone")


@with_settings(**SOON)
async def test_killed_after_the_bytes_were_stored_and_before_they_count(api_alone: Stage) -> None:
    stage = api_alone
    team = await stage.team()
    location = (await team.create(CSV)).headers["location"]
    async with stage.blocked("findAndModify", "uploads"):
        sending = asyncio.create_task(team.patch(location, 0, CSV))
        (orphan,) = await eventually(lambda: stage.stored("uploads"), what="the piece being stored")
        await stage.kill_api()
        await cut_off(sending)
    assert stage.stored("uploads") == [orphan]
    await stage.restart_api()
    assert (await team.http.head(location, headers=TUS)).headers["upload-offset"] == "0"
    await eventually(lambda: stage.stored("uploads") == [], what="the orphan being collected")
    assert (await team.patch(location, 0, CSV)).status_code == 204
    assert (await team.http.get(location)).json()["state"] == "verified"


async def test_killed_after_the_write_and_before_the_answer(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    upload = await team.upload()
    async with stage.blocked("findAndModify", "ledgers"):
        asking = asyncio.create_task(team.submit(challenge, upload, key="k"))
        stored = await eventually(lambda: stage.database.submissions.find_one({}), what="the submission being stored")
        await stage.kill_api()
        await cut_off(asking)
    await stage.restart_api()
    again = await team.submit(challenge, upload, key="k")
    assert (again.status_code, again.json()["id"]) == (201, stored["_id"])
    assert await stage.database.submissions.count_documents({}) == 1
    assert (await team.quota(challenge))["used_total"] == 1
    await stage.until_events(stored["_id"], "received")
    await eventually(lambda: stage.database.scan_jobs.find_one({"_id": stored["_id"]}), what="the scan being queued")


@with_settings(reservation_lifetime="1s")
async def test_an_attempt_held_by_a_request_that_died_is_let_go(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge(per_day=1)
    team = await stage.team(challenge)
    upload = await team.upload()
    async with stage.blocked("update", "submissions"):
        asking = asyncio.create_task(team.submit(challenge, upload, key="k"))
        await eventually(lambda: _reserved(stage, team), what="the attempt being held")
        await stage.kill_api()
        await cut_off(asking)
    assert await stage.database.submissions.count_documents({}) == 0
    await stage.restart_api()

    async def free() -> bool:
        return bool((await team.quota(challenge))["used_total"] == 0)

    await eventually(free, what="the attempt being let go")
    assert (await team.submit(challenge, upload, key="k")).status_code == 201


@with_settings(reservation_lifetime="1s")
async def test_an_attempt_whose_submission_is_stored_is_consumed_though_its_request_died(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge(per_day=1)
    team = await stage.team(challenge)
    upload = await team.upload()
    async with stage.blocked("findAndModify", "ledgers"):
        asking = asyncio.create_task(team.submit(challenge, upload))
        await eventually(lambda: stage.database.submissions.find_one({}), what="the submission being stored")
        await stage.kill_api()
        await cut_off(asking)
    assert await _reserved(stage, team)
    await stage.restart_api()

    async def consumed() -> bool:
        return bool((await team.quota(challenge))["entries"][0]["state"] == "committed")

    await eventually(consumed, what="the attempt being consumed")
    assert (await team.submit(challenge, upload)).json()["code"] == "quota_exhausted"


async def _reserved(stage: Stage, team: Team) -> bool:
    ledger = await stage.database.ledgers.find_one({"state.team": team.id})
    return ledger is not None and [entry["state"] for entry in ledger["state"]["entries"].values()] == ["reserved"]


async def test_a_refund_that_a_crash_left_owing_is_paid_once(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    async with stage.blocked("findAndModify", "ledgers"):
        asking = asyncio.create_task(team.http.post(f"/v1/submissions/{submission['id']}/cancel"))
        await eventually(
            lambda: stage.database.submissions.find_one({"state.state": "cancelled", "state.refund_due": True}),
            what="the submission being cancelled and its refund owing",
        )
        await stage.kill_api()
        await cut_off(asking)
    await stage.restart_api()
    await eventually(
        lambda: stage.database.submissions.find_one({"state.state": "cancelled", "state.refund_due": False}),
        what="the refund being paid",
    )
    assert (await team.quota(challenge))["used_total"] == 0
    await stage.until_events(submission["id"], "received", "cancelled")


async def test_a_verification_that_nobody_queued_is_found(api_alone: Stage) -> None:
    stage = api_alone
    team = await stage.team()
    data = random.Random(6).randbytes(9 * MIB)
    location = (await team.create(data)).headers["location"]
    upload = location.rpartition("/")[2]
    async with stage.blocked("update", "verify_jobs"):
        sending = asyncio.create_task(team.patch(location, 0, data))
        await eventually(
            lambda: stage.database.uploads.find_one({"_id": upload, "state.state": "verifying"}),
            what="the upload being whole",
        )
        await stage.kill_api()
        await cut_off(sending)
    assert await stage.database.verify_jobs.find_one({}) is None
    await stage.restart_api()

    async def verified() -> bool:
        return bool((await team.http.get(location)).json()["state"] == "verified")

    await eventually(verified, within=60, what="the verification by a job")
    assert await stage.database.verify_jobs.find_one({"_id": upload}) is not None
