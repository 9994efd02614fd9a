"""Scoring as processes: an accepted submission becomes one score, whatever dies meanwhile."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx

import jiebang
from jiebang.declaration import Declaration
from shared.contracts.board import Role
from shared.contracts.scoring import ScoreCompleted
from tests.component.scoring.world import DEMAND, World, accepted, got
from tests.component.service_process import running

CSV = b"species,mass\nAdelie,3700\nGentoo,5000\nChinstrap,3800\nGentoo,\n"


def digest_of(content: bytes, folder: Path, filename: str = "penguins.csv") -> str:
    """The digest of a dataset as the scan sees it."""
    path = folder / filename
    path.write_bytes(content)
    return str(jiebang.scan(path).digest)


async def test_an_accepted_submission_gets_its_score_and_its_report(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    await world.hand_in("upl_1", CSV)
    async with (
        running("services.scoring.app", "SCORING", tmp_path, world.variables) as app,
        running("services.scoring.worker", "SCORING_WORKER", tmp_path, world.variables),
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
