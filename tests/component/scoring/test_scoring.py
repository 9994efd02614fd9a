"""Scoring as processes: an accepted submission becomes one score, whatever dies meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

import jiebang
from jiebang.declaration import Declaration
from shared.contracts.board import Role
from shared.contracts.scoring import ScoreCompleted, ScoreFailed
from shared.jobs import Job, Jobs, JobState
from shared.mongo import client, database
from tests.component.scoring.world import DEMAND, World, accepted, got
from tests.component.service_process import Running, running
from tests.eventually import eventually

CSV = b"species,mass\nAdelie,3700\nGentoo,5000\nChinstrap,3800\nGentoo,\n"
"""Measured at once."""


def slow_csv() -> bytes:
    """A file whose measuring takes long enough to be interrupted."""
    rows = "".join(f"Adelie {number % 977},{number}\n" for number in range(20_000))
    return ("species,mass\n" + rows * 60).encode()


def digest_of(content: bytes, folder: Path, filename: str = "penguins.csv") -> str:
    """The digest of a dataset as the scan sees it."""
    path = folder / filename
    path.write_bytes(content)
    return str(jiebang.scan(path).digest)


SHORT = {"JIEBANG_SCORING_LEASE": "3s", "JIEBANG_SCORING_SWEEP_EVERY": "300ms"}
"""A worker that dies is noticed within seconds."""


def scoring(world: World, folder: Path, **more: str) -> AbstractAsyncContextManager[Running]:
    """The API process."""
    return running("services.scoring.app", "SCORING", folder, {**world.variables, **SHORT, **more})


def worker(
    world: World, folder: Path, module: str = "services.scoring.worker", **more: str
) -> AbstractAsyncContextManager[Running]:
    """A worker process."""
    return running(module, "SCORING_WORKER", folder, {**world.variables, **SHORT, **more})


def jobs_of(world: World) -> Jobs:
    return Jobs(database(client(world.settings), world.settings, "scoring"), "score")


def children_of(pid: int) -> list[int]:
    """The child processes of a process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(folder.name))
    return found


async def leased_job(jobs: Jobs) -> Job:
    """The job that a worker has, as soon as one has it."""

    async def leased() -> Job | None:
        return next(iter(await jobs.list(JobState.LEASED)), None)

    found: Job | None = await eventually(leased, what="a leased job", every=0.01)
    assert found is not None
    return found


async def sandboxed_child(worker: Running) -> int:
    """The process that measures, as soon as there is one: a child of a fork server of the worker."""
    pid = worker.process.pid

    def child() -> int | None:
        return next((child for server in children_of(pid) for child in children_of(server)), None)

    found: int | None = await eventually(child, what="a child in the sandbox", every=0.005)
    assert found is not None
    return found


async def test_an_accepted_submission_gets_its_score_and_its_report(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    await world.hand_in("upl_1", CSV)
    async with (
        scoring(world, tmp_path) as app,
        worker(world, tmp_path),
        httpx.AsyncClient(base_url=app.url, trust_env=False) as client,
    ):
        await world.say(accepted("sub_1", digest_of(CSV, tmp_path)))
        [score] = await world.hears("scoring.scores", ScoreCompleted)
        own = jiebang.judge.score([tmp_path / "penguins.csv"], demand=Declaration.parse(DEMAND, closed=True))
        assert own.total is not None
        assert (score.total, score.grade, score.coverage) == (own.total, own.grade, own.coverage)
        assert dict(score.dimensions) == own.dimensions

        team = await world.key_of("team_1", Role.TEAM)
        answer = await got(client, "/v1/reports/sub_1", team)
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == score.report_sha256
        assert json.loads(answer.content)["total"] == own.total
        again = await client.get("/v1/reports/sub_1", headers={**team, "If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        page = await client.get("/v1/reports/sub_1", headers={**team, "Accept": "text/html,*/*;q=0.8"})
        assert page.headers["content-type"].startswith("text/html")
        assert "sandbox" in page.headers["content-security-policy"]
        assert own.total[:5] in page.text


async def test_duplicates_and_an_acceptance_told_again_make_one_score_which_is_told_again(
    world: World, tmp_path: Path
) -> None:
    await world.publish_challenge()
    await world.hand_in("upl_1", CSV)
    fact = accepted("sub_1", digest_of(CSV, tmp_path))
    async with scoring(world, tmp_path):
        said = await world.say(fact)
        await world.say(*said, fact)
        jobs = jobs_of(world)

        async def brought_forward() -> bool:
            job = next(iter(await jobs.list()), None)
            return job is not None and job.priority == 0

        await eventually(brought_forward, what="the job to be brought forward by the second acceptance")
        async with worker(world, tmp_path):
            await world.hears("scoring.scores", ScoreCompleted)
            await world.hand_in("upl_2", CSV)
            await world.say(*said, fact, accepted("sub_2", digest_of(CSV, tmp_path)))
            # The two that were read before are nothing; the new acceptance of a scored one has its score told again.
            await world.hears("scoring.scores", ScoreCompleted, count=3)
        assert [job.state for job in await jobs.list()] == [JobState.DONE, JobState.DONE]
    scores = await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)
    assert sorted(score.submission for score in scores) == ["sub_1", "sub_1", "sub_2"]
    first, again = [score for score in scores if score.submission == "sub_1"]
    assert first == again


async def test_an_acceptance_that_is_read_before_its_challenge_waits_for_it(world: World, tmp_path: Path) -> None:
    await world.hand_in("upl_1", CSV)
    await world.say(accepted("sub_1", digest_of(CSV, tmp_path)))
    async with scoring(world, tmp_path) as app, worker(world, tmp_path):
        await eventually(lambda: "is not known yet" in app.log(), what="the acceptance to be read too early")
        await world.publish_challenge()
        await world.hears("scoring.scores", ScoreCompleted)


async def test_a_worker_killed_in_the_middle_of_a_measuring_is_replaced(world: World, tmp_path: Path) -> None:
    content = slow_csv()
    await world.publish_challenge()
    await world.hand_in("upl_1", content)
    async with scoring(world, tmp_path):
        await world.say(accepted("sub_1", digest_of(content, tmp_path)))
        async with worker(world, tmp_path) as first:
            child = await sandboxed_child(first)
            held = await leased_job(jobs_of(world))
            first.process.kill()
        await eventually(lambda: not Path(f"/proc/{child}").exists(), what="the child to die with its worker")
        assert await world.heard("scoring.scores", ScoreCompleted) == []
        async with worker(world, tmp_path):
            await world.hears("scoring.scores", ScoreCompleted)
        job = await jobs_of(world).find(held.id)
        assert job is not None
        assert (job.state, job.attempt) == (JobState.DONE, held.attempt + 1)
    assert len(await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)) == 1
    leftovers = world.settings.scratch_dir / "scoring"
    assert list(leftovers.iterdir()) == [], "the dead worker's files were left behind"


async def test_a_worker_frozen_past_its_lease_comes_too_late(world: World, tmp_path: Path) -> None:
    content = slow_csv()
    await world.publish_challenge()
    await world.hand_in("upl_1", content)
    async with scoring(world, tmp_path), worker(world, tmp_path) as first:
        await world.say(accepted("sub_1", digest_of(content, tmp_path)))
        await sandboxed_child(first)
        first.process.freeze()
        try:
            async with worker(world, tmp_path):
                await world.hears("scoring.scores", ScoreCompleted)
        finally:
            first.process.thaw()
        await eventually(lambda: "lease_lost" in first.log(), what="the frozen worker to learn that it is too late")
    assert len(await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)) == 1


@pytest.mark.parametrize("moment", ["before_recording", "after_recording"])
async def test_a_worker_killed_around_the_recording_leaves_one_score(world: World, tmp_path: Path, moment: str) -> None:
    await world.publish_challenge()
    await world.hand_in("upl_1", CSV)
    async with scoring(world, tmp_path):
        async with worker(world, tmp_path, "tests.component.scoring.dying_worker", TEST_DIES=moment) as first:
            await world.say(accepted("sub_1", digest_of(CSV, tmp_path)))
            await eventually(lambda: not first.process.running, what="the worker to die")
            assert first.process.exit_code == -signal.SIGKILL
        job = await leased_job(jobs_of(world))
        assert job.attempt == 1
        async with worker(world, tmp_path):

            async def finished() -> bool:
                found = await jobs_of(world).find(job.id)
                return found is not None and found.state is JobState.DONE

            await eventually(finished, what="another worker to do the job")
        await world.hears("scoring.scores", ScoreCompleted)
    assert len(await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)) == 1


async def test_a_child_killed_from_outside_once_is_measured_again(world: World, tmp_path: Path) -> None:
    content = slow_csv()
    await world.publish_challenge()
    await world.hand_in("upl_1", content)
    async with scoring(world, tmp_path), worker(world, tmp_path) as process:
        await world.say(accepted("sub_1", digest_of(content, tmp_path)))
        os.kill(await sandboxed_child(process), signal.SIGKILL)
        await world.hears("scoring.scores", ScoreCompleted)
        assert "Disturbed" in process.log(), "the kill did nothing"
    assert len(await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)) == 1


async def test_a_child_killed_from_outside_again_and_again_fails_the_scoring(world: World, tmp_path: Path) -> None:
    content = slow_csv()
    await world.publish_challenge()
    await world.hand_in("upl_1", content)
    async with scoring(world, tmp_path) as app, worker(world, tmp_path) as process:
        await world.say(accepted("sub_1", digest_of(content, tmp_path)))
        first = await sandboxed_child(process)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: not Path(f"/proc/{first}").exists(), what="the first child to be gone")
        second = await sandboxed_child(process)
        assert second != first
        os.kill(second, signal.SIGKILL)
        [failed] = await world.hears("scoring.scores", ScoreFailed)
        assert failed.code == "measuring_crashed"
        async with httpx.AsyncClient(base_url=app.url, trust_env=False) as http:
            answer = await got(http, "/v1/reports/sub_1", await world.key_of("team_1", Role.TEAM))
            assert (answer.status_code, answer.json()["code"]) == (409, "scoring_failed")
            assert answer.json()["reason"] == "measuring_crashed"
    assert len(await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)) == 1


async def test_a_job_that_kills_every_worker_fails_after_its_attempts(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    await world.hand_in("upl_1", CSV)
    async with scoring(world, tmp_path, JIEBANG_SCORING_ATTEMPTS="2"):
        await world.say(accepted("sub_1", digest_of(CSV, tmp_path)))
        for _ in range(2):
            dying = worker(world, tmp_path, "tests.component.scoring.dying_worker", TEST_DIES="before_recording")
            async with dying as process:
                await eventually(lambda: not process.process.running, what="the worker to die")
        [failed] = await world.hears("scoring.scores", ScoreFailed)
        assert failed.code == "attempts_exhausted"
    assert len(await world.heard("scoring.scores", ScoreCompleted, ScoreFailed)) == 1


async def test_operators_see_the_queue_and_bring_a_submission_forward(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    await world.hand_in("upl_1", CSV)
    operator = await world.key_of("opr_1", Role.OPERATOR)
    team = await world.key_of("team_1", Role.TEAM)
    async with (
        scoring(world, tmp_path) as app,
        httpx.AsyncClient(base_url=app.url, trust_env=False) as http,
    ):
        await world.say(accepted("sub_1", digest_of(CSV, tmp_path)))
        await eventually(lambda: jobs_of(world).list(), what="a queued job")
        assert (await got(http, "/v1/ops/scoring/jobs", team)).status_code == 403
        shown = (await got(http, "/v1/ops/scoring/jobs", operator)).json()
        assert shown["counts"]["queued"] == 1
        assert (shown["jobs"][0]["submission"], shown["jobs"][0]["state"]) == ("sub_1", "queued")
        answer = await http.post("/v1/ops/scoring/requeue/sub_1", headers=operator)
        assert (answer.status_code, len(answer.json()["brought_forward"])) == (202, 1)
        assert (await http.post("/v1/ops/scoring/requeue/sub_9", headers=operator)).status_code == 404
        async with worker(world, tmp_path):
            await world.hears("scoring.scores", ScoreCompleted)

            async def over() -> bool:
                answer = await http.post("/v1/ops/scoring/requeue/sub_1", headers=operator)
                return answer.status_code == 409 and answer.json()["code"] == "job_over"

            await eventually(over, what="a finished job to be over")
