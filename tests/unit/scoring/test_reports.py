"""What is answered where there is no report."""

from __future__ import annotations

from pathlib import Path

import httpx
from fastapi import FastAPI

from services.scoring.api import create_router
from services.scoring.store import MemoryScores
from shared import problems
from shared.auth import Principal
from shared.contracts.board import Role
from shared.ids import CredentialId, OwnerId
from shared.objects import Objects


class OneTeam:
    """Knows every key as that of one team."""

    async def principal(self, header: str) -> Principal:
        return Principal(CredentialId("key_a"), OwnerId("team_a"), Role.TEAM)


async def test_whoever_asks_for_the_report_of_a_rejected_submission_is_sent_to_its_status(tmp_path: Path) -> None:
    app = FastAPI()
    problems.install(app)
    app.state.authenticator = OneTeam()
    app.include_router(create_router(scores=MemoryScores(), objects=Objects(tmp_path.as_uri())))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
        answer = await http.get("/v1/reports/sub_rejected", headers={"Authorization": "Bearer it"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_report")
    assert "none if it was rejected: `jiebang status`" in answer.json()["detail"]
