"""Secrets and sensitive personal information: told before a submission, refused by it, where the challenge asks."""

from __future__ import annotations

from typing import Any

from tests.component.ingest.stage import Stage

RUBRIC: dict[str, Any] = {
    "id": "careful",
    "gates": ["G4", "G5"],
    "dimensions": {"completeness": {"weight": 1, "measures": {"COM-1": {"floor": 0, "target": 1}}}},
}
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
LEAKY = f"id,note\n1,use {TOKEN}\n2,card 6222021234567890128\n".encode()


async def test_the_preflight_tells_of_a_secret_without_quoting_it(api_alone: Stage) -> None:
    stage = api_alone
    await stage.start_scanning()
    careful, careless = await stage.challenge(rubric=RUBRIC), await stage.challenge()
    team = await stage.team(careful, careless)
    upload = await team.upload(LEAKY)

    async def check(challenge: str) -> dict[str, Any]:
        answer = await team.http.post("/v1/preflight", json={"challenge": challenge, "upload": upload})
        assert answer.status_code == 200, answer.text
        assert TOKEN not in answer.text
        return dict(answer.json())

    refused = await check(careful)
    assert refused["passed"] is False
    assert [(reason["gate"], reason["code"]) for reason in refused["reasons"]] == [
        ("G4", "secret_found"),
        ("G5", "sensitive_data_found"),
    ]
    assert "record 1" in refused["reasons"][0]["sentence"]
    assert (await check(careless))["passed"] is True


async def test_a_submission_with_a_secret_is_rejected_with_the_reason(api_alone: Stage) -> None:
    stage = api_alone
    await stage.start_scanning()
    challenge = await stage.challenge(rubric=RUBRIC)
    team = await stage.team(challenge)
    submission = await team.submitted(challenge, LEAKY)
    rejected = await team.until(submission["id"], "rejected")
    assert [reason["code"] for reason in rejected["reasons"]] == ["secret_found", "sensitive_data_found"]
