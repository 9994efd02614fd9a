"""Uploads speak tus 1.0: by hand, and by clients that nobody here wrote."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient

from shared.contracts.board import Role
from tests.component.ingest.stage import BODY, CSV, TUS, Stage, announce
from tests.eventually import eventually

TUS_JS = Path(__file__).parent / "tus_js"
MIB = 1 << 20


def checksum(data: bytes) -> str:
    return f"sha256 {base64.b64encode(hashlib.sha256(data).digest()).decode()}"


async def test_the_server_says_what_it_speaks_to_anyone(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.api.url, trust_env=False) as anyone:
        answer = await anyone.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "checksum",
        "expiration",
        "termination",
    }
    assert answer.headers["tus-checksum-algorithm"] == "sha256"


async def test_an_upload_goes_on_from_where_it_is(stage: Stage) -> None:
    team = await stage.team()
    location = (await team.create(CSV)).headers["location"]
    assert (await team.patch(location, 0, CSV[:7])).headers["upload-offset"] == "7"
    head = await team.http.head(location, headers=TUS)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("7", str(len(CSV)))
    assert head.headers["cache-control"] == "no-store"
    assert "upload-expires" in head.headers
    wrong = await team.patch(location, 9, CSV[9:])
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["expected"]) == (409, "offset_conflict", 7)
    assert (await team.patch(location, 7, CSV[7:])).status_code == 204
    shown = (await team.http.get(location)).json()
    assert (shown["state"], shown["offset"], shown["completed_at"] is not None) == ("verified", len(CSV), True)
    upload = shown["id"]
    assert stage.stored(f"uploads/{upload}") == []
    assert (stage.objects / "datasets" / upload / "dataset").read_bytes() == CSV
    manifest = json.loads((stage.objects / "datasets" / upload / "manifest.json").read_text())
    assert manifest == {"filename": "data.csv", "bytes": len(CSV), "sha256": hashlib.sha256(CSV).hexdigest()}


async def test_the_first_bytes_may_come_with_the_creation(stage: Stage) -> None:
    team = await stage.team()
    made = await team.http.post("/v1/uploads", headers=announce(CSV) | BODY, content=CSV)
    assert (made.status_code, made.headers["upload-offset"]) == (201, str(len(CSV)))
    assert (await team.http.get(made.headers["location"])).json()["state"] == "verified"


async def test_an_empty_file_is_whole_at_once(stage: Stage) -> None:
    team = await stage.team()
    made = await team.create(b"")
    assert (await team.http.get(made.headers["location"])).json()["state"] == "verified"


async def test_a_body_whose_checksum_fails_does_not_count(stage: Stage) -> None:
    team = await stage.team()
    location = (await team.create(CSV)).headers["location"]
    bad = await team.patch(location, 0, CSV[:50], **{"Upload-Checksum": checksum(b"something else")})
    assert (bad.status_code, bad.json()["code"]) == (460, "checksum_mismatch")
    assert (await team.http.head(location, headers=TUS)).headers["upload-offset"] == "0"
    assert stage.stored(f"uploads{location.removeprefix('/v1/uploads')}") == []
    good = await team.patch(location, 0, CSV[:50], **{"Upload-Checksum": checksum(CSV[:50])})
    assert good.headers["upload-offset"] == "50"


async def test_more_bytes_than_announced_are_refused_with_and_without_their_number(stage: Stage) -> None:
    team = await stage.team()
    location = (await team.create(CSV)).headers["location"]

    async def unnumbered() -> AsyncIterator[bytes]:
        yield CSV
        yield b"more"

    for body in (CSV + b"more", unnumbered()):
        answer = await team.patch(location, 0, body)
        assert (answer.status_code, answer.json()["code"]) == (413, "beyond_length")
        assert (await team.http.head(location, headers=TUS)).headers["upload-offset"] == "0"


async def test_what_came_before_a_break_counts_unless_it_had_a_checksum(stage: Stage) -> None:
    team = await stage.team()
    data = random.Random(1).randbytes(3 * MIB)

    async def breaks_off() -> AsyncIterator[bytes]:
        yield data[:MIB]
        raise ConnectionAbortedError

    async def offset(location: str) -> int:
        return int((await team.http.head(location, headers=TUS)).headers["upload-offset"])

    for headers, kept in (({}, True), ({"Upload-Checksum": checksum(data)}, False)):
        location = (await team.create(data)).headers["location"]
        with pytest.raises(ConnectionAbortedError):
            await team.patch(location, 0, breaks_off(), **headers)
        if kept:
            reached = await eventually(lambda place=location: offset(place), what="the bytes before the break")  # type: ignore[misc]
            assert 0 < reached <= MIB
        reached = await offset(location)
        rest = await team.patch(location, reached, data[reached:])
        assert rest.status_code == 204, rest.text
        assert (await team.http.get(location)).json()["state"] == "verified"


async def test_two_writers_at_one_offset_do_not_mix(stage: Stage) -> None:
    team = await stage.team()
    one, two = b"1" * (9 * MIB), b"2" * (9 * MIB)
    location = (await team.create(one)).headers["location"]
    answers = await asyncio.gather(team.patch(location, 0, one), team.patch(location, 0, two))
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    shown = await eventually(lambda: _settled(team.http, location), what="the verdict about the winner's bytes")
    if answers[0].status_code == 204:
        assert shown["state"] == "verified"
    else:
        assert shown["problem"]["received"] == hashlib.sha256(two).hexdigest()


async def _settled(http: httpx.AsyncClient, location: str) -> dict[str, Any] | None:
    shown: dict[str, Any] = (await http.get(location)).json()
    return shown if shown["state"] in ("verified", "refused") else None


async def test_a_deleted_upload_is_gone(stage: Stage) -> None:
    team = await stage.team()
    location = (await team.create(CSV)).headers["location"]
    await team.patch(location, 0, CSV[:5])
    assert (await team.http.delete(location, headers=TUS)).status_code == 204
    assert (await team.http.head(location, headers=TUS)).status_code == 410
    again = await team.patch(location, 5, CSV[5:])
    assert (again.status_code, again.json()["code"]) == (410, "upload_expired")
    assert stage.stored(f"uploads{location.removeprefix('/v1/uploads')}") == []


async def test_an_upload_that_was_submitted_cannot_be_deleted(stage: Stage) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    answer = await team.http.delete(f"/v1/uploads/{submission['upload']}", headers=TUS)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_in_use")


async def test_a_method_may_hide_in_a_header(stage: Stage) -> None:
    team = await stage.team()
    location = (await team.create(CSV)).headers["location"]
    headers = TUS | BODY | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await team.http.post(location, headers=headers, content=CSV)).status_code == 204
    assert (await team.http.get(location)).json()["state"] == "verified"


async def test_an_upload_of_many_pieces_is_verified_by_a_job(stage: Stage) -> None:
    team = await stage.team()
    data = random.Random(2).randbytes(20 * MIB + 3)
    location = (await team.create(data)).headers["location"]
    assert (await team.patch(location, 0, data)).status_code == 204
    shown = await eventually(lambda: _settled(team.http, location), what="the verdict")
    assert shown["state"] == "verified"
    assert await stage.database.verify_jobs.find_one({"_id": shown["id"]}) is not None
    dataset = (stage.objects / "datasets" / shown["id"] / "dataset").read_bytes()
    assert hashlib.sha256(dataset).hexdigest() == shown["sha256"]


async def test_tuspy_uploads_breaks_off_and_resumes(stage: Stage, tmp_path: Path) -> None:
    team = await stage.team()
    key = await stage.key(Role.TEAM, team.id)
    data = random.Random(3).randbytes(5 * MIB)
    file = tmp_path / "data.csv"
    file.write_bytes(data)

    def upload() -> tuple[str, int, int]:
        client = TusClient(f"{stage.api.url}/v1/uploads", headers={"Authorization": f"Bearer {key}"})
        metadata = {"filename": "data.csv", "sha256": hashlib.sha256(data).hexdigest()}
        first = client.uploader(str(file), chunk_size=MIB, metadata=metadata)
        first.upload(stop_at=2 * MIB)
        second = client.uploader(str(file), chunk_size=MIB, url=first.url)
        resumed_from = second.offset
        second.upload()
        return str(first.url), first.offset, resumed_from

    url, broken_at, resumed_from = await asyncio.to_thread(upload)
    assert broken_at == resumed_from == 2 * MIB
    assert (await team.http.get(url)).json()["state"] == "verified"


@pytest.fixture(scope="module")
async def tus_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tus-js-client as its package is published, installed by its lock file."""
    folder = tmp_path_factory.mktemp("tus_js")
    for name in ("package.json", "package-lock.json", "upload.mjs"):
        shutil.copy(TUS_JS / name, folder / name)
    process = await asyncio.create_subprocess_exec(
        "npm",
        "ci",
        "--no-audit",
        "--no-fund",
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return folder


async def test_tus_js_client_uploads_breaks_off_and_resumes(stage: Stage, tus_js: Path, tmp_path: Path) -> None:
    team = await stage.team()
    data = random.Random(4).randbytes(5 * MIB)
    file = tmp_path / "data.csv"
    file.write_bytes(data)
    process = await asyncio.create_subprocess_exec(
        "node",
        "upload.mjs",
        f"{stage.api.url}/v1/uploads",
        await stage.key(Role.TEAM, team.id),
        str(file),
        str(len(data)),
        hashlib.sha256(data).hexdigest(),
        str(tmp_path / "urls.json"),
        cwd=tus_js,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    answer = json.loads(said)
    assert answer["sameUrl"]
    assert answer["brokenAt"] <= answer["resumedFrom"] < len(data)
    assert answer["brokenAt"] * 2 >= len(data)
    assert (await team.http.get(answer["url"])).json()["state"] == "verified"
