"""Every refusal is a problem document with a stable code, a sentence, and what to do; and nothing is half stored."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.contracts.board import Role
from tests.component.ingest.conftest import with_settings
from tests.component.ingest.stage import CSV, TUS, Stage, Team, announce, b64
from tests.eventually import eventually


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of an answer."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["code"]
    assert problem["title"].endswith(".")
    assert problem["detail"]
    assert problem["fault"] in ("participant", "sponsor", "platform")
    return problem


async def refused(stage: Stage, team: Team, challenge: str, upload: str) -> tuple[dict[str, Any], httpx.Response]:
    """The refusal of a submission, after checking that it left nothing behind."""
    before = await stage.database.submissions.count_documents({})
    answer = await team.submit(challenge, upload)
    problem = refusal(answer)
    assert await stage.database.submissions.count_documents({}) == before
    return problem, answer


async def test_an_unknown_challenge(stage: Stage) -> None:
    team = await stage.team(await stage.challenge())
    problem, _ = await refused(stage, team, "chl_unknown", await team.upload())
    assert (problem["status"], problem["code"]) == (404, "unknown_challenge")


async def test_a_team_that_is_not_registered(stage: Stage) -> None:
    team = await stage.team()
    problem, _ = await refused(stage, team, await stage.challenge(), await team.upload())
    assert (problem["status"], problem["code"]) == (403, "not_registered")


async def test_there_is_no_quota_in_a_challenge_that_the_team_never_joined(stage: Stage) -> None:
    joined, other = await stage.challenge(), await stage.challenge()
    team = await stage.team(joined)
    assert (await team.quota(joined))["used_total"] == 0
    problem = refusal(await team.http.get("/v1/quota", params={"challenge": other}))
    assert (problem["status"], problem["code"]) == (403, "not_registered")


@pytest.mark.parametrize(("starts", "ends"), [(1, 2), (-3, -2)])
async def test_a_closed_phase_says_when_it_is(stage: Stage, starts: int, ends: int) -> None:
    challenge = await stage.challenge(starts=timedelta(hours=starts), ends=timedelta(hours=ends))
    team = await stage.team(challenge)
    problem, _ = await refused(stage, team, challenge, await team.upload())
    assert (problem["status"], problem["code"], problem["phase"]) == (409, "phase_closed", "preliminary")
    assert problem["starts_at"] < problem["ends_at"]


@with_settings(unsubmitted_uploads="2")
async def test_a_team_with_too_many_uploads_without_a_submission_is_told_what_to_do(api_alone: Stage) -> None:
    stage = api_alone
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    key = {"Idempotency-Key": "k"}
    first = await team.http.post("/v1/uploads", headers=announce(CSV) | key)
    verified = await team.upload()
    problem = refusal(await team.create(CSV))
    assert (problem["status"], problem["code"], problem["limit"]) == (429, "too_many_uploads", 2)
    again = await team.http.post("/v1/uploads", headers=announce(CSV) | key)
    assert (again.status_code, again.headers["location"]) == (201, first.headers["location"])
    assert (await (await stage.team()).create(CSV)).status_code == 201
    assert (await team.submit(challenge, verified)).status_code == 201
    third = await team.create(CSV)
    assert third.status_code == 201, "a submitted upload is counted"
    assert (await team.create(CSV)).status_code == 429
    assert (await team.http.delete(third.headers["location"], headers=TUS)).status_code == 204
    assert (await team.create(CSV)).status_code == 201


@with_settings(unsubmitted_bytes="1000", orphan_age="1s", collect_every="300ms")
async def test_a_team_with_too_many_bytes_without_a_submission_is_told_what_to_do(api_alone: Stage) -> None:
    stage = api_alone
    team = await stage.team()
    upload = await team.upload(bytes(600))
    problem = refusal(await team.create(bytes(401)))
    assert (problem["status"], problem["code"]) == (413, "too_many_bytes")
    assert (problem["limit"], problem["held"], problem["received"]) == (1000, 600, 401)
    announced = await team.create(bytes(400))
    assert announced.status_code == 201
    assert refusal(await team.create(b"1"))["held"] == 1000
    assert (await team.http.delete(announced.headers["location"], headers=TUS)).status_code == 204
    assert (await team.http.delete(f"/v1/uploads/{upload}", headers=TUS)).status_code == 204

    async def room() -> bool:
        return (await team.create(bytes(1000))).status_code == 201

    await eventually(room, what="the bytes of the deleted upload being collected")
    assert stage.stored(f"datasets/{upload}") == []


async def test_no_quota_says_when_it_returns(stage: Stage) -> None:
    challenge = await stage.challenge(per_day=1, total=2)
    team = await stage.team(challenge)
    await team.submitted(challenge)
    problem, answer = await refused(stage, team, challenge, await team.upload())
    assert (problem["status"], problem["code"]) == (429, "quota_exhausted")
    assert (problem["limit"], problem["per"]) == (1, "per_day")
    assert problem["quota_returns_at"].endswith("T16:00:00.000000Z")
    assert int(answer.headers["retry-after"]) == problem["retry_after"] > 0
    assert answer.headers["ratelimit"].startswith('"day";r=0;t=')
    quota = await team.quota(challenge)
    assert (quota["used_today"], quota["returns_at"]) == (1, problem["quota_returns_at"])


async def test_no_quota_in_all_says_that_waiting_does_not_help(stage: Stage) -> None:
    challenge = await stage.challenge(per_day=5, total=1)
    team = await stage.team(challenge)
    await team.submitted(challenge)
    problem, answer = await refused(stage, team, challenge, await team.upload())
    assert (problem["status"], problem["per"], problem["quota_returns_at"]) == (429, "total", None)
    assert "retry-after" not in answer.headers


async def test_a_dataset_that_is_larger_than_the_challenge_allows(stage: Stage) -> None:
    challenge = await stage.challenge(max_bytes=len(CSV) - 1)
    team = await stage.team(challenge)
    problem, _ = await refused(stage, team, challenge, await team.upload())
    assert (problem["status"], problem["code"]) == (413, "dataset_too_large")
    assert (problem["limit"], problem["received"]) == (len(CSV) - 1, len(CSV))
    assert (await team.quota(challenge))["used_total"] == 0


async def test_an_unknown_upload_and_that_of_another_team(stage: Stage) -> None:
    challenge = await stage.challenge()
    team, other = await stage.team(challenge), await stage.team(challenge)
    for upload in ("upl_unknown", await other.upload()):
        problem, _ = await refused(stage, team, challenge, upload)
        assert (problem["status"], problem["code"]) == (404, "unknown_upload")


async def test_a_missing_part(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    location = (await team.create(CSV)).headers["location"]
    await team.patch(location, 0, CSV[:10])
    problem, _ = await refused(stage, team, challenge, location.rpartition("/")[2])
    assert (problem["status"], problem["code"]) == (409, "upload_incomplete")
    assert (problem["expected"], problem["received"]) == (len(CSV), 10)


async def test_a_wrong_digest_leaves_no_bytes_behind(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    announced = hashlib.sha256(b"something else").hexdigest()
    upload = await team.upload(CSV, sha256=announced)
    problem, _ = await refused(stage, team, challenge, upload)
    assert (problem["status"], problem["code"], problem["reason"]) == (422, "upload_refused", "digest_mismatch")
    assert (problem["expected"], problem["received"]) == (announced, hashlib.sha256(CSV).hexdigest())
    shown = (await team.http.get(f"/v1/uploads/{upload}")).json()
    assert (shown["state"], shown["problem"]["code"]) == ("refused", "digest_mismatch")
    assert stage.stored(f"uploads/{upload}") == stage.stored(f"datasets/{upload}") == []


async def test_a_submission_needs_its_idempotency_key(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    answer = await team.http.post("/v1/submissions", json={"challenge": challenge, "upload": await team.upload()})
    assert (answer.status_code, refusal(answer)["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Tus-Resumable": "0.1.0"}, 412, "tus_version"),
        ({"Upload-Metadata": f"filename {b64('a.csv')}"}, 422, "digest_required"),
        ({"Upload-Metadata": f"filename {b64('../a.csv')},sha256 {b64('a' * 64)}"}, 422, "filename_refused"),
        ({"Upload-Metadata": f"filename {b64('a' * 4000)},sha256 {b64('a' * 64)}"}, 422, "filename_refused"),
        ({"Upload-Metadata": f"filename {b64('a' + chr(0))},sha256 {b64('a' * 64)}"}, 422, "filename_refused"),
        ({"Upload-Length": str(10**15)}, 413, "upload_too_large"),
    ],
)
async def test_an_announcement_that_will_not_do(stage: Stage, headers: dict[str, str], status: int, code: str) -> None:
    team = await stage.team()
    before = await stage.database.uploads.count_documents({})
    answer = await team.http.post("/v1/uploads", headers=announce(CSV) | headers)
    assert (answer.status_code, refusal(answer)["code"]) == (status, code)
    assert await stage.database.uploads.count_documents({}) == before


async def test_an_emoji_is_a_name_like_any_other(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge, CSV, filename="数据🐧.csv")
    assert (await team.until(submission["id"], "accepted"))["dataset_digest"]


async def test_it_is_too_late_to_cancel_after_the_scan(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    await team.until(submission["id"], "accepted")
    answer = await team.http.post(f"/v1/submissions/{submission['id']}/cancel")
    assert (answer.status_code, refusal(answer)["code"]) == (409, "too_late_to_cancel")


async def test_nothing_of_another_team_exists(stage: Stage) -> None:
    challenge = await stage.challenge()
    team, other = await stage.team(challenge), await stage.team(challenge)
    submission = await team.submitted(challenge)
    for method, path in (
        ("GET", ""),
        ("GET", "/receipt"),
        ("GET", "/events"),
        ("POST", "/cancel"),
    ):
        answer = await other.http.request(method, f"/v1/submissions/{submission['id']}{path}")
        assert (answer.status_code, refusal(answer)["code"]) == (404, "unknown_submission")
    upload = f"/v1/uploads/{submission['upload']}"
    for method in ("GET", "DELETE"):
        answer = await other.http.request(method, upload, headers=TUS)
        assert (answer.status_code, refusal(answer)["code"]) == (404, "unknown_upload")
    assert (await other.http.head(upload, headers=TUS)).status_code == 404
    assert (await other.http.get("/v1/submissions")).json() == {"submissions": [], "next": None}


async def test_who_may_do_what(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    organiser = await stage.client(Role.ORGANISER, "org_a")
    operator = await stage.client(Role.OPERATOR, "ops_a")
    sponsor = await stage.client(Role.SPONSOR, "spn_a")
    path = f"/v1/submissions/{submission['id']}"
    assert [(await each.get(path)).status_code for each in (organiser, operator, sponsor)] == [200, 200, 403]
    assert [(await each.post(f"{path}/cancel")).status_code for each in (organiser, operator, sponsor)] == [403] * 3
    why = f"/v1/ops/ingest/why/{submission['id']}"
    assert [(await each.get(why)).status_code for each in (operator, organiser, team.http)] == [200, 403, 403]
    malformed: list[Any] = [{}, {"Authorization": "Bearer jb_team_x"}, {"Authorization": "Bearer ключ".encode()}]
    for headers in malformed:
        answer = await httpx.AsyncClient(base_url=stage.api.url, trust_env=False).get(path, headers=headers)
        assert (answer.status_code, refusal(answer)["code"]) == (401, "unauthenticated")
