"""One API key per role for a platform on this machine, made once and kept in its state folder."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx

from deploy.local.platform import Platform
from deploy.local.process import StartFailed


async def issue_keys(platform: Platform) -> dict[str, str]:
    """The keys of organiser, operator, sponsor and team, by role; those of an earlier run where it left some.

    Raises:
        StartFailed: the board did not issue one.
    """
    file = platform.state / "keys.json"
    if file.exists():
        kept: dict[str, str] = json.loads(file.read_text())
        return kept
    keys = {role: await issue(platform, role) for role in ("organiser", "operator")}
    authorised = {"Authorization": f"Bearer {keys['organiser']}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=authorised, timeout=30, trust_env=False) as client:
        keys["sponsor"] = (await _created(client, "/v1/credentials", {"role": "sponsor"}))["key"]
        team = {"name": {"zh": "本机队", "en": "Local team"}, "organisation": "Local"}
        keys["team"] = (await _created(client, "/v1/teams", team))["key"]
    _write_privately(file, json.dumps(keys, indent=2) + "\n")
    return keys


async def issue(platform: Platform, role: str) -> str:
    """A new key of a role that no API call can give: the first organiser's, an operator's."""
    command = [sys.executable, "-m", "services.board.issue", "--role", role]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=platform.settings_of_services(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise StartFailed(f"No {role} key could be issued:\n{errors.decode(errors='replace')}")
    key: str = json.loads(output)["key"]
    return key


async def _created(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body, headers={"Idempotency-Key": f"local-{path}"})
    if answer.status_code != 201:
        raise StartFailed(f"POST {path} was answered with {answer.status_code}: {answer.text}")
    created: dict[str, Any] = answer.json()
    return created


def _write_privately(file: Path, text: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        written.write(text)
