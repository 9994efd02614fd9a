"""A submission from its upload to its rank, over HTTP and real Kafka, and its three other ends."""

from __future__ import annotations

import hashlib
import json

from jiebang.receipt import verify_receipt
from tests.component.ingest.stage import CSV, Stage


async def test_one_csv_goes_from_upload_to_rank(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    assert submission["digest"] == hashlib.sha256(CSV).hexdigest()

    accepted = await team.until(submission["id"], "accepted")
    assert [passage["state"] for passage in accepted["timeline"]] == ["received", "scanning", "accepted"]
    assert (accepted["working"], accepted["position"]) == ("scoring", 0)

    await stage.others.publish(stage.score(submission))
    await team.until(submission["id"], "scored")
    await stage.others.publish(stage.entry(submission))
    ranked = await team.until(submission["id"], "ranked")
    assert (ranked["rank"], ranked["total"], ranked["grade"]) == (4, "87.125000", "B")
    assert ranked["deadline_at"] is None
    await stage.until_events(submission["id"], "received", "accepted", "ranked")


async def test_the_receipt_verifies_offline_and_says_what_was_received(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    keys = (await team.http.get("/v1/keys")).json()
    facts = verify_receipt(submission["receipt"], keys)
    assert facts == {
        "submission": submission["id"],
        "challenge": challenge,
        "challenge_version": 1,
        "phase": "preliminary",
        "team": team.id,
        "upload": submission["upload"],
        "digest": submission["digest"],
        "bytes": len(CSV),
        "received_at": submission["received_at"],
    }
    again = await team.http.get(f"/v1/submissions/{submission['id']}/receipt")
    assert again.json() == submission["receipt"]


async def test_a_rejection_says_why_and_consumes_the_attempt(stage: Stage) -> None:
    challenge = await stage.challenge(formats=("parquet",))
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    rejected = await team.until(submission["id"], "rejected")
    (reason,) = rejected["reasons"]
    assert (reason["code"], reason["path"]) == ("format_not_allowed", "data.csv")
    assert "parquet" in reason["sentence"]
    assert (await team.quota(challenge))["used_total"] == 1
    await stage.until_events(submission["id"], "received", "rejected")


async def test_a_score_that_failed_fails_the_submission_and_refunds_once(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    await team.until(submission["id"], "accepted")
    event = await stage.others.publish(stage.score_failed(submission))
    await stage.others.publish(event.data, again=event)
    failed = await team.until(submission["id"], "failed")
    assert failed["reasons"][0]["code"] == "crashed"
    await stage.until_events(submission["id"], "received", "accepted", "failed")
    quota = await team.quota(challenge)
    assert (quota["used_total"], quota["entries"][0]["state"]) == (0, "refunded")


async def test_the_timeline_comes_as_events_and_goes_on_where_it_stopped(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    await team.until(submission["id"], "accepted")
    await stage.others.publish(stage.entry(submission))
    path = f"/v1/submissions/{submission['id']}/events"

    async def follow(**headers: str) -> list[tuple[str, str]]:
        async with team.http.stream("GET", path, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            text = (await answer.aread()).decode()
        blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
        for block in blocks[1:]:
            assert json.loads(block["data"])["state"] == block["event"]
        return [(block["id"], block["event"]) for block in blocks if "id" in block]

    whole = [("1", "received"), ("2", "scanning"), ("3", "accepted"), ("4", "ranked")]
    assert await follow() == whole
    assert await follow(**{"Last-Event-ID": "2"}) == whole[2:]
