"""The client over real HTTP: uploads that break and resume, problems, and a server that is away for a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jiebang.client import Client, Problem, Unreachable, WrongAccess
from jiebang.packing import Package
from tests.unit.cli.platform import Platform, problem


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as platform:
        yield platform


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, "jb_team_k_secret", patience=5) as client:
        yield client


@pytest.fixture
def package(tmp_path: Path) -> Package:
    path = tmp_path / "data.csv"
    path.write_bytes(os.urandom(5_000_000))
    return Package(path)


def test_an_upload_arrives_whole_with_its_name_and_digest(client: Client, platform: Platform, package: Package) -> None:
    sent: list[int] = []
    name = client.upload(package, package.sha256(), progress=sent.append)
    upload = platform.uploads[name]
    assert bytes(upload.content) == b"".join(package.read())
    assert upload.filename == "data.csv"
    assert upload.sha256 == package.sha256()
    assert sent[-1] == package.length


def test_a_broken_upload_goes_on_where_the_server_stopped(client: Client, platform: Platform, package: Package) -> None:
    platform.break_after = [1_000_000, 0, 700_000]
    name = client.upload(package, package.sha256())
    assert platform.break_after == [], "every break has happened"
    assert bytes(platform.uploads[name].content) == b"".join(package.read())
    assert len(platform.uploads) == 1
    offsets = [int(headers["upload-offset"]) for headers, _ in platform.asked("PATCH", f"/v1/uploads/{name}")]
    assert offsets == [0, 1_000_000, 1_000_000, 1_700_000]


def test_an_upload_begun_by_an_earlier_command_is_resumed(client: Client, platform: Platform, package: Package) -> None:
    platform.break_after = [2_000_000] + [0] * 100
    begun: list[str] = []
    with (
        Client(platform.url, patience=0) as impatient,
        pytest.raises(Unreachable),
    ):
        impatient.upload(package, package.sha256(), begun=begun.append)
    platform.break_after = []
    name = client.upload(package, package.sha256(), resume=begun[-1])
    assert list(platform.uploads) == [name]
    assert bytes(platform.uploads[name].content) == b"".join(package.read())


def test_an_upload_that_the_server_no_longer_knows_begins_anew(
    client: Client, platform: Platform, package: Package
) -> None:
    name = client.upload(package, package.sha256(), resume=f"{platform.url}/v1/uploads/upl_gone")
    assert bytes(platform.uploads[name].content) == b"".join(package.read())


def test_the_key_goes_to_the_known_server_alone(client: Client, platform: Platform, package: Package) -> None:
    begun: list[str] = []
    client.upload(package, package.sha256(), begun=begun.append)
    assert begun[0].startswith(platform.url), "although the server named another host"


def test_a_problem_document_becomes_an_error_with_its_fields(client: Client, platform: Platform) -> None:
    platform.answers["POST", "/v1/submissions"] = problem(
        429, "quota_exhausted", "No attempt is left today.", quota_returns_at="2026-02-01T00:00:00+08:00", limit=5
    )
    with pytest.raises(Problem) as refusal:
        client.submit("chl_1", "upl_1")
    assert refusal.value.status == 429
    assert refusal.value.code == "quota_exhausted"
    assert refusal.value.fields == {"quota_returns_at": "2026-02-01T00:00:00+08:00", "limit": 5}


def test_an_error_that_is_no_problem_document_still_says_something(client: Client, platform: Platform) -> None:
    platform.answers["GET", "/v1/keys"] = (418, b"<html>teapot</html>", {})
    with pytest.raises(Problem) as refusal:
        client.get("/v1/keys")
    assert refusal.value.code == "http_418"


def test_a_server_that_is_away_for_a_moment_is_asked_again(client: Client, platform: Platform) -> None:
    answers = [problem(503, "service_unavailable", "Away."), (200, {"id": "sub_1"}, {})]
    platform.answers["POST", "/v1/submissions"] = lambda body: answers.pop(0)
    assert client.submit("chl_1", "upl_1") == {"id": "sub_1"}
    keys = {headers["idempotency-key"] for headers, _ in platform.asked("POST", "/v1/submissions")}
    assert len(keys) == 1


def test_a_submission_waits_until_its_upload_is_verified(client: Client, platform: Platform) -> None:
    answers = [problem(409, "upload_not_verified", "Still reading it.", retry_after=0.01), (201, {"id": "sub_1"}, {})]
    platform.answers["POST", "/v1/submissions"] = lambda body: answers.pop(0)
    assert client.submit("chl_1", "upl_1") == {"id": "sub_1"}


def test_nobody_at_the_address_is_said_so() -> None:
    with Client("http://127.0.0.1:9", patience=0) as client, pytest.raises(Unreachable) as refusal:
        client.get("/v1/keys")
    assert "127.0.0.1:9" in refusal.value.title


def test_lists_are_read_to_their_end(client: Client) -> None:
    assert [challenge["id"] for challenge in client.each("/v1/challenges")] == ["chl_1", "chl_2"]


def test_a_key_of_a_moment_ago_is_tried_again_when_the_server_says_so(client: Client, platform: Platform) -> None:
    status, body, headers = problem(401, "unauthenticated", "Not known here.")
    answers = [(status, body, {**headers, "Retry-After": "0"}), (200, {"keys": []}, {})]
    platform.answers["GET", "/v1/keys"] = lambda body: answers.pop(0)
    assert client.get("/v1/keys") == {"keys": []}


def test_a_key_that_is_simply_wrong_is_said_at_once(client: Client, platform: Platform) -> None:
    answers = [problem(401, "unauthenticated", "Not known here."), (200, {"keys": []}, {})]
    platform.answers["GET", "/v1/keys"] = lambda body: answers.pop(0)
    with pytest.raises(Problem):
        client.get("/v1/keys")
    assert len(answers) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:…", "127.0.0.1:8080", "ftp://jiebang.example", "http://", ""])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(WrongAccess) as wrong:
        Client(url)
    assert wrong.value.code == "malformed_url"


@pytest.mark.parametrize("key", ["jb_team_…", "jb_team_a\nb"])
def test_what_is_no_key_is_sent_nowhere(key: str) -> None:
    with pytest.raises(WrongAccess) as wrong:
        Client("http://127.0.0.1:1", key)
    assert wrong.value.code == "malformed_key"
