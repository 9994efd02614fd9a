"""The same request is the same submission, and the last attempt is given out once."""

from __future__ import annotations

import asyncio

from tests.component.ingest.stage import BODY, CSV, TUS, Stage, announce


async def test_the_same_key_and_body_give_the_same_submission(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    upload = await team.upload()
    answers = [await team.submit(challenge, upload, key="k", note="x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[0].json()["receipt"] == answers[2].json()["receipt"]
    assert (await team.quota(challenge))["used_total"] == 1


async def test_the_same_key_at_once_gives_one_submission(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    upload = await team.upload()
    answers = await asyncio.gather(*(team.submit(challenge, upload, key="k") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await stage.database.submissions.count_documents({"state.team": team.id}) == 1
    assert (await team.quota(challenge))["used_total"] == 1


async def test_the_same_key_with_another_body_is_a_conflict_and_stores_nothing(stage: Stage) -> None:
    challenge, elsewhere = await stage.challenge(), await stage.challenge()
    team = await stage.team(challenge, elsewhere)
    upload = await team.upload()
    first = (await team.submit(challenge, upload, key="k")).json()
    for answer in (
        await team.submit(challenge, upload, key="k", note="another"),
        await team.submit(elsewhere, upload, key="k"),
        await team.submit(challenge, await team.upload(), key="k"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    listed = (await team.http.get("/v1/submissions")).json()["submissions"]
    assert [found["id"] for found in listed] == [first["id"]]
    assert (await team.quota(elsewhere))["used_total"] == 0


async def test_one_key_at_once_for_two_challenges_gives_one_of_them(stage: Stage) -> None:
    challenges = [await stage.challenge() for _ in range(2)]
    team = await stage.team(*challenges)
    upload = await team.upload()
    answers = await asyncio.gather(*(team.submit(challenge, upload, key="k") for challenge in challenges))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    used = [(await team.quota(challenge))["used_total"] for challenge in challenges]
    assert sorted(used) == [0, 1]


async def test_another_teams_key_is_another_key(stage: Stage) -> None:
    challenge = await stage.challenge()
    ids = set()
    for _ in range(2):
        team = await stage.team(challenge)
        ids.add((await team.submit(challenge, await team.upload(), key="k")).json()["id"])
    assert len(ids) == 2


async def test_of_fifty_submissions_for_the_last_slot_exactly_one_is_accepted(stage: Stage) -> None:
    challenge = await stage.challenge(per_day=3, total=9)
    team = await stage.team(challenge)
    for _ in range(2):
        await team.submitted(challenge)
    upload = await team.upload()
    conflicts = 'write_conflicts_total{collection="ledgers"}'
    before = await stage.metric(conflicts)
    # Others read the ledger while the write of the first one is held back.
    async with stage.delayed("findAndModify", "ledgers", 500):
        answers = await asyncio.gather(*(team.submit(challenge, upload) for _ in range(50)))
    assert await stage.metric(conflicts) > before, "the requests did not race"
    codes = [answer.json().get("code", "accepted") for answer in answers]
    assert (codes.count("accepted"), codes.count("quota_exhausted")) == (1, 49)
    assert await stage.database.submissions.count_documents({"state.team": team.id}) == 3
    assert (await team.quota(challenge))["used_today"] == 3


async def test_an_upload_with_a_key_is_made_once(stage: Stage) -> None:
    team = await stage.team()
    key = {"Idempotency-Key": "k"}
    made = [await team.http.post("/v1/uploads", headers=announce(CSV) | key) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].headers["location"] == made[1].headers["location"]
    other = await team.http.post("/v1/uploads", headers=announce(CSV + b"1,2\n") | key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert other.headers["tus-resumable"] == TUS["Tus-Resumable"]


async def test_an_upload_announced_again_takes_its_first_bytes_once(stage: Stage) -> None:
    team = await stage.team()
    half = len(CSV) // 2
    headers = announce(CSV) | BODY | {"Idempotency-Key": "k"}
    answers = [await team.http.post("/v1/uploads", headers=headers, content=CSV[:half]) for _ in range(2)]
    assert [(answer.status_code, answer.headers["upload-offset"]) for answer in answers] == [(201, str(half))] * 2
    location = answers[0].headers["location"]
    assert answers[1].headers["location"] == location
    assert (await team.patch(location, half, CSV[half:])).status_code == 204
    assert (await team.http.get(location)).json()["state"] == "verified"


async def test_a_team_pages_through_its_own_submissions(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    made = [(await team.submitted(challenge))["id"] for _ in range(5)]
    path = f"/v1/submissions?challenge={challenge}&limit=2"
    seen = []
    while path:
        answer = await team.http.get(path)
        seen += [found["id"] for found in answer.json()["submissions"]]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
        assert bool(path) == bool(answer.json()["next"])
    assert seen == made[::-1]
    nonsense = await team.http.get("/v1/submissions", params={"after": "nonsense"})
    assert (nonsense.status_code, nonsense.json()["code"]) == (422, "invalid_cursor")


async def test_a_status_is_read_anew_only_when_it_changed(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    await team.until(submission["id"], "accepted")
    await stage.others.publish(stage.entry(submission))
    await team.until(submission["id"], "ranked")
    path = f"/v1/submissions/{submission['id']}"
    etag = (await team.http.get(path)).headers["etag"]
    assert (await team.http.get(path, headers={"If-None-Match": etag})).status_code == 304
