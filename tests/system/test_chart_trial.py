"""What `helm test` runs in a cluster, run against the platform on this machine."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx

from deploy.local.platform import Platform

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/helm/jiebang/files/rank.py"


async def run_trial(platform: Platform) -> tuple[int, str]:
    addresses = [f"--{service}={platform.url}" for service in ("board", "ingest", "ranking")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), "--seconds=60", *addresses),
        env={**os.environ, **platform.settings_of_services(), "PYTHONPATH": "."},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, output.decode()


async def test_the_trial_of_the_chart_brings_a_dataset_to_its_rank_and_revokes_its_keys(
    platform: Platform, keys: dict[str, str]
) -> None:
    code, said = await run_trial(platform)
    assert code == 0, said
    assert "rank 1 with" in said, said
    team = said.partition("registered team ")[2].split()[0]
    authorised = {"Authorization": f"Bearer {keys['organiser']}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=authorised, trust_env=False) as client:
        listed = (await client.get("/v1/credentials", params={"owner": team})).json()["credentials"]
    assert len(listed) == 1
    assert listed[0]["revoked_at"] is not None
