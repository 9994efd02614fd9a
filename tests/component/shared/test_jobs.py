"""Leased jobs on a real MongoDB: many workers, fences, leases that run out, turns, attempts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.failures import DependencyDown, PermanentError, ProjectionBehind, Retries
from shared.job_loop import JobLoop
from shared.jobs import Job, Jobs, JobState, Lease, LeaseLost, Priority
from shared.mongo import Database
from tests.eventually import eventually

AT_ONCE = Retries(first_wait=timedelta(0), longest_wait=timedelta(0))


def jobs_in(database: Database, *, lease: float = 60, attempts: int = 3) -> Jobs:
    return Jobs(database, "scans", lease=timedelta(seconds=lease), attempts=attempts, retries=AT_ONCE)


@pytest.fixture
async def jobs(mongo_database: Database) -> Jobs:
    made = jobs_in(mongo_database)
    await made.prepare()
    return made


async def test_a_job_is_queued_once(jobs: Jobs) -> None:
    new = await asyncio.gather(*(jobs.queue("sub_1", {"n": number}) for number in range(10)))
    assert sum(new) == 1
    assert (await jobs.counts()).queued == 1
    lease = await jobs.claim("a")
    assert lease is not None
    await jobs.finish(lease)
    assert not await jobs.queue("sub_1", {}), "a finished job is not queued again by a duplicate"


async def test_jobs_that_are_done_cost_nothing_to_count_claim_or_expire(jobs: Jobs, mongo_database: Database) -> None:
    done = {"state": JobState.DONE.value, "queued_at": datetime.now(UTC), "finished_at": datetime.now(UTC)}
    await mongo_database["scans"].insert_many([{"_id": f"sub_{number}", **done} for number in range(500)])
    await jobs.queue("sub_new", {}, team="team_1")
    await mongo_database.command("profile", 2)
    counts = await jobs.counts()
    assert await jobs.claim("a") is not None
    assert await jobs.claim("a") is None
    assert await jobs.expire() == 0
    await jobs.queue("sub_next", {}, team="team_1")
    await mongo_database.command("profile", 0)
    assert (counts.queued, counts.leased, counts.failed, counts.done) == (1, 0, 0, 500)
    looks = [look async for look in mongo_database["system.profile"].find({"ns": f"{mongo_database.name}.scans"})]
    assert len(looks) >= 8, "not everything was noted"
    for look in looks:
        assert look.get("docsExamined", 0) + look.get("keysExamined", 0) < 10, look


async def test_many_workers_claim_each_job_once(jobs: Jobs) -> None:
    for number in range(60):
        await jobs.queue(f"sub_{number:02}", {"n": number})

    async def work(worker: str) -> list[str]:
        mine = []
        while (lease := await jobs.claim(worker)) is not None:
            mine.append(lease.id)
            await jobs.finish(lease)
        return mine

    claimed = [id for mine in await asyncio.gather(*(work(f"w{number}") for number in range(12))) for id in mine]
    assert sorted(claimed) == [f"sub_{number:02}" for number in range(60)]
    assert (await jobs.counts()).done == 60


async def test_whoever_lost_the_lease_can_neither_hold_finish_nor_release(mongo_database: Database) -> None:
    jobs = jobs_in(mongo_database, lease=0)
    await jobs.queue("sub_1", {})
    frozen = await jobs.claim("frozen")
    assert frozen is not None
    assert await eventually(jobs.expire) == 1
    other = await jobs_in(mongo_database).claim("other")
    assert other is not None
    assert (frozen.attempt, other.attempt) == (1, 2)
    for late in (jobs.heartbeat(frozen), jobs.finish(frozen), jobs.release(frozen, "late"), jobs.put_back(frozen)):
        with pytest.raises(LeaseLost, match="attempt 1"):
            await late
    await jobs.finish(other)
    found = await jobs.find("sub_1")
    assert found is not None
    assert found.state is JobState.DONE


async def test_a_held_lease_does_not_run_out(mongo_database: Database) -> None:
    short = jobs_in(mongo_database, lease=0)
    await short.queue("sub_1", {})
    lease = await short.claim("a")
    assert lease is not None
    await jobs_in(mongo_database, lease=60).heartbeat(lease)
    assert await short.expire() == 0


async def test_a_worker_that_dies_every_time_fails_the_job_with_a_reason_that_is_reported_once(
    mongo_database: Database,
) -> None:
    jobs = jobs_in(mongo_database, lease=0, attempts=3)
    await jobs.queue("sub_1", {"submission": "sub_1"}, team="team_1")
    for attempt in (1, 2, 3):
        lease = await jobs.claim("dies")
        assert lease is not None
        assert lease.attempt == attempt
        await eventually(jobs.expire)
    assert await jobs.claim("dies") is None
    told: list[Job] = []

    async def report(job: Job) -> None:
        told.append(job)

    async def cannot(job: Job) -> None:
        raise DependencyDown("mongodb")

    with pytest.raises(DependencyDown):
        await jobs.report_failures(cannot)
    assert await jobs.report_failures(report) == 1
    assert await jobs.report_failures(report) == 0
    (job,) = told
    assert (job.id, job.state, job.attempt) == ("sub_1", JobState.FAILED, 3)
    assert job.payload == {"submission": "sub_1"}
    assert job.error is not None
    assert "did not answer" in job.error


async def test_a_failed_attempt_waits_and_the_last_one_fails(jobs: Jobs) -> None:
    await jobs.queue("sub_1", {})
    states = []
    for _ in range(3):
        lease = await eventually(lambda: jobs.claim("a"))
        states.append(await jobs.release(lease, "broken $name"))
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    job = await jobs.find("sub_1")
    assert job is not None
    assert job.error == "broken $name"


async def test_an_attempt_that_is_given_back_does_not_count_but_its_number_is_used_up(jobs: Jobs) -> None:
    await jobs.queue("sub_1", {})
    numbers = []
    for _ in range(5):
        lease = await jobs.claim("a")
        assert lease is not None
        numbers.append(lease.attempt)
        await jobs.put_back(lease)
    assert numbers == [1, 2, 3, 4, 5]
    for _ in range(3):
        lease = await eventually(lambda: jobs.claim("a"))
        state = await jobs.release(lease, "broken")
    assert state is JobState.FAILED


async def test_a_job_waits_for_its_next_attempt(mongo_database: Database) -> None:
    jobs = Jobs(mongo_database, "scans", retries=Retries(first_wait=timedelta(hours=1)))
    await jobs.queue("sub_1", {})
    lease = await jobs.claim("a")
    assert lease is not None
    await jobs.release(lease, "broken")
    assert await jobs.claim("a") is None
    assert await jobs.drive_again("sub_1")
    assert await jobs.claim("a") is not None


async def test_a_team_that_floods_the_queue_waits_for_the_others(jobs: Jobs) -> None:
    for number in range(5):
        await jobs.queue(f"flood_{number}", {}, team="flood")
    await jobs.queue("calm_0", {}, team="calm")
    await jobs.queue("calm_1", {}, team="calm")
    order = []
    while (lease := await jobs.claim("a")) is not None:
        order.append(lease.id)
    assert order == ["flood_0", "calm_0", "flood_1", "calm_1", "flood_2", "flood_3", "flood_4"]


async def test_priority_comes_before_turn_and_age(jobs: Jobs) -> None:
    await jobs.queue("preflight", {}, priority=Priority.WHENEVER)
    await jobs.queue("first", {})
    await jobs.queue("second", {})
    await jobs.queue("urgent", {}, priority=Priority.DRIVEN_AGAIN)
    assert await jobs.drive_again("second")
    order = []
    while (lease := await jobs.claim("a")) is not None:
        order.append(lease.id)
    assert order == ["second", "urgent", "first", "preflight"]


async def test_a_failed_job_is_driven_again_with_its_attempts_anew(mongo_database: Database) -> None:
    jobs = jobs_in(mongo_database, attempts=1)
    await jobs.queue("sub_1", {})
    lease = await jobs.claim("a")
    assert lease is not None
    assert await jobs.release(lease, "broken") is JobState.FAILED
    assert not await jobs.drive_again("sub_1")
    assert await jobs.drive_again("sub_1", attempts_anew=True)
    again = await jobs.claim("a")
    assert again is not None
    assert (again.attempt, again.counted) == (2, 1)
    with pytest.raises(LeaseLost):
        await jobs.finish(lease)
    await jobs.finish(again)


async def test_only_a_job_that_nobody_began_can_be_withdrawn(jobs: Jobs) -> None:
    await jobs.queue("sub_1", {})
    await jobs.queue("sub_2", {})
    lease = await jobs.claim("a")
    assert lease is not None
    assert not await jobs.withdraw(lease.id)
    assert await jobs.withdraw("sub_2")
    assert not await jobs.withdraw("sub_2")


async def test_a_worker_does_jobs_and_says_how_each_ended(jobs: Jobs) -> None:
    done: list[str] = []
    away = True

    async def work(lease: Lease) -> None:
        match lease.payload["how"]:
            case "well":
                done.append(lease.id)
            case "never":
                raise PermanentError("not a dataset")
            case "bug":
                raise ZeroDivisionError
            case "away" if away:
                raise DependencyDown("object store")

    for how in ("well", "never", "bug", "away"):
        await jobs.queue(how, {"how": how})
    loop = asyncio.get_running_loop().create_task(JobLoop(jobs, work, worker="w").run())
    await eventually(lambda: _in(jobs, "never", JobState.FAILED))
    await eventually(lambda: _in(jobs, "bug", JobState.FAILED))
    await eventually(lambda: _in(jobs, "well", JobState.DONE))
    never, bug = await jobs.find("never"), await jobs.find("bug")
    assert never is not None
    assert bug is not None
    assert (never.attempt, bug.attempt) == (1, 3)
    away = False
    await eventually(lambda: _in(jobs, "away", JobState.DONE))
    assert done == ["well"]
    assert not loop.done()
    loop.cancel()


async def test_a_job_whose_projection_is_behind_waits_uncounted_while_others_are_done(jobs: Jobs) -> None:
    attempts: list[int] = []

    async def work(lease: Lease) -> None:
        if lease.id == "early":
            attempts.append(lease.attempt)
            if len(attempts) < 5:
                raise ProjectionBehind("no challenge yet")

    await jobs.queue("early", {})
    await jobs.queue("other", {})
    loop = asyncio.get_running_loop().create_task(JobLoop(jobs, work, worker="w").run())
    await eventually(lambda: _in(jobs, "other", JobState.DONE))
    assert len(attempts) < 5
    await eventually(lambda: _in(jobs, "early", JobState.DONE))
    assert attempts == [1, 2, 3, 4, 5], "more than the three that are allowed"
    loop.cancel()


async def test_a_job_whose_projection_stays_behind_fails_after_its_time_and_is_reported(jobs: Jobs) -> None:
    attempts: list[int] = []
    arrived = False

    async def work(lease: Lease) -> None:
        attempts.append(lease.attempt)
        if not arrived:
            raise ProjectionBehind("no challenge yet")

    await jobs.queue("lost", {})
    loop = JobLoop(jobs, work, worker="w", longest_behind=timedelta(milliseconds=1500))
    task = asyncio.get_running_loop().create_task(loop.run())
    await eventually(lambda: _in(jobs, "lost", JobState.FAILED))
    assert len(attempts) > 1
    reported: list[str | None] = []

    async def report(job: Job) -> None:
        reported.append(job.error)

    await jobs.report_failures(report)
    assert reported == ["ProjectionBehind('no challenge yet')"]
    given_up_after = len(attempts)
    assert await jobs.drive_again("lost", attempts_anew=True)
    await eventually(lambda: _in(jobs, "lost", JobState.QUEUED) if len(attempts) > given_up_after else False)
    arrived = True
    await eventually(lambda: _in(jobs, "lost", JobState.DONE))
    task.cancel()


async def test_a_worker_that_is_stopped_gives_its_job_back_uncounted(jobs: Jobs) -> None:
    begun = asyncio.Event()

    async def work(lease: Lease) -> None:
        begun.set()
        await asyncio.Event().wait()

    await jobs.queue("sub_1", {})
    loop = asyncio.get_running_loop().create_task(JobLoop(jobs, work, worker="w").run())
    await begun.wait()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    lease = await jobs.claim("other")
    assert lease is not None
    assert (lease.attempt, lease.counted) == (2, 1)


async def test_a_worker_keeps_the_lease_of_long_work_and_drops_work_whose_lease_is_lost(
    mongo_database: Database,
) -> None:
    jobs = jobs_in(mongo_database, lease=1.0)
    ends: list[str] = []
    let_go = asyncio.Event()

    async def work(lease: Lease) -> None:
        try:
            await let_go.wait()
            ends.append("finished")
        except asyncio.CancelledError:
            ends.append("dropped")
            raise

    await jobs.queue("sub_1", {})
    loop = asyncio.get_running_loop().create_task(JobLoop(jobs, work, worker="w").run())
    held = asyncio.get_running_loop().time() + 2.5
    while asyncio.get_running_loop().time() < held:
        assert await jobs.expire() == 0
        await asyncio.sleep(0.1)
    await mongo_database["scans"].update_one({"_id": "sub_1", "attempt": 1}, {"$set": {"attempt": 7}})
    await eventually(lambda: ends == ["dropped"])
    loop.cancel()


async def _in(jobs: Jobs, id: str, state: JobState) -> bool:
    job = await jobs.find(id)
    return job is not None and job.state is state


async def test_a_failure_that_cannot_be_told_of_hides_no_other(mongo_database: Database) -> None:
    jobs = jobs_in(mongo_database, attempts=1)
    for id in ("sub_1", "sub_2"):
        await jobs.queue(id, {})
        lease = await jobs.claim("a")
        assert lease is not None
        assert await jobs.release(lease, "broken") is JobState.FAILED
    told: list[str] = []

    async def report(job: Job) -> None:
        if job.id == "sub_1":
            raise PermanentError("nobody knows this submission")
        told.append(job.id)

    assert await jobs.report_failures(report) == 1
    assert told == ["sub_2"]
    assert await jobs.report_failures(report) == 0, "the one that failed is tried again, the other is not"
    assert told == ["sub_2"]
