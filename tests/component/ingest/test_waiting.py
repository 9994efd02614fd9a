"""Nothing waits for ever: deadlines drive again, quotas come back, uploads expire, and operators see why."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.contracts.board import RegistrationAccepted, Role
from tests.component.ingest.conftest import with_settings
from tests.component.ingest.stage import CSV, TUS, Stage
from tests.eventually import eventually


async def test_a_cancelled_submission_gives_its_attempt_back_as_often_as_the_daily_quota(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge(per_day=2, total=9)
    team = await stage.team(challenge)
    refunded = []
    for _ in range(3):
        submission = await team.submitted(challenge)
        answer = await team.http.post(f"/v1/submissions/{submission['id']}/cancel")
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "cancelled"
        refunded.append(answer.json()["refunded"])
        again = await team.http.post(f"/v1/submissions/{submission['id']}/cancel")
        assert (again.status_code, again.json()["refunded"]) == (200, refunded[-1])
        assert await stage.database.scan_jobs.find_one({"_id": submission["id"]}) is None
        await stage.until_events(submission["id"], "received", "cancelled")
    assert refunded == [True, True, False]
    assert (await team.quota(challenge))["used_today"] == 1


@with_settings(scan_deadline="1s", drives="2")
async def test_a_scan_past_its_deadline_is_driven_again_and_given_up_after_all_drives(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    await eventually(
        lambda: stage.database.scan_jobs.find_one({"_id": submission["id"], "priority": 0}),
        what="the scan being brought forward",
    )
    assert (await team.show(submission["id"]))["driven_again"] >= 1
    failed = await team.until(submission["id"], "failed")
    assert failed["reasons"][0]["code"] == "deadline_passed"

    async def given_back() -> bool:
        return bool((await team.quota(challenge))["used_total"] == 0)

    await eventually(given_back, what="the attempt being given back")
    await stage.until_events(submission["id"], "received", "failed")
    await stage.start_scanning()
    assert (await team.until(submission["id"], "failed"))["state"] == "failed"


@with_settings(score_deadline="1s")
async def test_scoring_that_does_not_answer_is_told_again(api_alone: Stage) -> None:
    stage = api_alone
    await stage.start_scanning()
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)

    async def told_again() -> bool:
        return (await stage.events(submission["id"])).count("submission.accepted.v1") >= 2

    await eventually(told_again, what="the acceptance being told again")
    await stage.others.publish(stage.entry(submission))
    ranked = await team.until(submission["id"], "ranked")
    assert [passage["state"] for passage in ranked["timeline"]].count("accepted") == 1


@with_settings(late="4s")
async def test_what_was_complete_before_the_end_counts_for_a_while_after_it(api_alone: Stage) -> None:
    stage = api_alone
    ends = timedelta(seconds=6)
    end = datetime.now(UTC) + ends
    challenge = await stage.challenge(ends=ends)
    team = await stage.team(challenge)
    in_time = await team.upload()
    begun = (await team.create(CSV)).headers["location"]
    assert datetime.now(UTC) < end, "too slow to hand anything in before the end"
    await eventually(lambda: datetime.now(UTC) > end + timedelta(seconds=1), every=0.1, what="the end of the phase")
    await team.patch(begun, 0, CSV)
    late = await team.submit(challenge, begun.rpartition("/")[2])
    assert (late.status_code, late.json()["code"]) == (409, "phase_closed")
    counted = await team.submit(challenge, in_time, key="k")
    assert counted.status_code == 201, counted.text
    assert counted.json()["received_at"] < end.isoformat()
    await eventually(lambda: datetime.now(UTC) > end + timedelta(seconds=5), every=0.1, what="the end of lateness")
    too_late = await team.submit(challenge, in_time)
    assert (too_late.status_code, too_late.json()["code"]) == (409, "phase_closed")
    again = await team.submit(challenge, in_time, key="k")
    assert (again.status_code, again.json()["id"]) == (201, counted.json()["id"])


async def test_a_registration_that_is_on_its_way_is_waited_for(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team()
    upload = await team.upload()
    asking = asyncio.create_task(team.submit(challenge, upload))
    await stage.others.publish(RegistrationAccepted(team=team.id, challenge=challenge))
    assert (await asking).status_code == 201


@with_settings(upload_lifetime="2s", collect_every="300ms", orphan_age="1s")
async def test_an_upload_expires_unless_a_submission_was_made_of_it(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    unused = await team.upload()
    unfinished = (await team.create(CSV)).headers["location"].rpartition("/")[2]
    for upload in (unused, unfinished):

        async def gone(upload: str = upload) -> bool:
            return (await team.http.head(f"/v1/uploads/{upload}", headers=TUS)).status_code == 410

        await eventually(gone, what="the upload being expired")
        await eventually(
            lambda upload=upload: stage.stored(f"datasets/{upload}") == [],  # type: ignore[misc]
            what="its bytes being gone",
        )
        answer = await team.submit(challenge, upload)
        assert (answer.status_code, answer.json()["code"]) == (410, "upload_expired")
    assert (await team.http.get(f"/v1/uploads/{submission['upload']}")).json()["state"] == "verified"
    assert len(stage.stored(f"datasets/{submission['upload']}")) == 2


async def test_a_check_beforehand_says_what_the_gates_say_and_uses_no_attempt(api_alone: Stage) -> None:
    stage = api_alone
    await stage.start_scanning()
    open_to_csv, parquet_only = await stage.challenge(), await stage.challenge(formats=("parquet",))
    team = await stage.team(open_to_csv, parquet_only)
    upload = await team.upload()

    async def check(challenge: str) -> dict[str, object]:
        answer = await team.http.post("/v1/preflight", json={"challenge": challenge, "upload": upload})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        assert (await team.http.get(answer.headers["location"])).json() == found
        return found

    passed = await check(open_to_csv)
    assert (passed["passed"], passed["reasons"]) == (True, [])
    failed = await check(parquet_only)
    assert failed["passed"] is False
    assert "format_not_allowed" in str(failed["reasons"])
    assert (await team.quota(open_to_csv))["used_total"] == 0
    assert await stage.database.submissions.count_documents({}) == 0


async def test_operators_see_why_a_submission_waits_and_can_have_it_begun_anew(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    first, second = await team.submitted(challenge), await team.submitted(challenge)
    operator = await stage.client(Role.OPERATOR, "ops_a")
    why = (await operator.get(f"/v1/ops/ingest/why/{second['id']}")).json()
    assert (why["waits_for"], why["submission"]["position"]) == ("scan", 1)
    assert (why["scan_job"]["state"], why["scan_job"]["priority"]) == ("queued", 10)
    assert why["deadline_at"] > why["since"]
    queues = {queue["queue"]: queue for queue in (await operator.get("/v1/ops/ingest/jobs")).json()["queues"]}
    assert queues["scan"]["queued"] == 2
    assert (await operator.post(f"/v1/ops/ingest/requeue/{second['id']}")).status_code == 202
    why = (await operator.get(f"/v1/ops/ingest/why/{second['id']}")).json()
    assert why["scan_job"]["priority"] == 0
    await stage.start_scanning()
    for submission in (first, second):
        await team.until(submission["id"], "accepted")
    assert (await operator.post(f"/v1/ops/ingest/requeue/{first['id']}")).status_code == 202
    await stage.until_events(first["id"], "received", "accepted", "accepted")


def descendants(pid: int) -> dict[int, int]:
    """The processes below a process, each with its depth."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    found = {pid: 0}
    while more := {child: found[parent] + 1 for child, parent in parents.items() if parent in found} | found:
        if more.keys() == found.keys():
            break
        found = more
    del found[pid]
    return found


def kill_children(parent: int, killed: list[int], enough: threading.Event) -> None:
    """Kill every child of a process as soon as it is there."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    while not enough.is_set():
        for child in map(int, children.read_text().split()):
            if child not in killed:
                os.kill(child, signal.SIGKILL)
                killed.append(child)
        time.sleep(0.0005)


async def test_a_sandboxed_child_that_is_killed_is_tried_again_once_and_then_it_failed(api_alone: Stage) -> None:
    stage = api_alone
    worker = await stage.start_scanning()
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    (fork_server,) = [pid for pid, depth in descendants(worker.process.pid).items() if depth == 1]
    killed: list[int] = []
    enough = threading.Event()
    killer = asyncio.create_task(asyncio.to_thread(kill_children, fork_server, killed, enough))
    submission = await team.submitted(challenge, b"a,b\n" + b"1,2\n" * (20 << 20))
    failed = await team.until(submission["id"], "failed", "accepted", within=60)
    enough.set()
    await killer
    assert len(killed) == 2, "the child was too fast to be killed"
    assert (failed["state"], failed["reasons"][0]["code"]) == ("failed", "scan_failed")

    async def given_back() -> bool:
        return bool((await team.quota(challenge))["used_total"] == 0)

    await eventually(given_back, what="the attempt being given back")
    assert worker.process.running
    await team.until((await team.submitted(challenge))["id"], "accepted")


@with_settings(lease="3s")
async def test_a_worker_killed_in_the_middle_of_a_scan_is_replaced_by_another(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    worker = await stage.start_scanning()
    submission = await team.submitted(challenge, b"a,b\n" + b"1,2\n" * (30 << 18))
    await eventually(
        lambda: stage.database.scan_jobs.find_one({"_id": submission["id"], "state": "leased"}),
        every=0.005,
        what="the worker having the job",
    )
    children = descendants(worker.process.pid)
    worker.process.kill()
    job = await stage.database.scan_jobs.find_one({"_id": submission["id"]})
    assert job is not None
    assert job["state"] == "leased", "the worker was too fast to be killed in the middle"
    await eventually(
        lambda: not any(Path(f"/proc/{child}").exists() for child in children), what="its children being gone"
    )
    await stage.start_scanning()
    accepted = await team.until(submission["id"], "accepted")
    assert [passage["state"] for passage in accepted["timeline"]] == ["received", "scanning", "accepted"]
    job = await stage.database.scan_jobs.find_one({"_id": submission["id"]})
    assert job is not None
    assert job["attempt"] == 2
    await stage.until_events(submission["id"], "received", "accepted")
