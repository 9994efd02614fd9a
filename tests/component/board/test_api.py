"""The board as a process on real Kafka and MongoDB, over HTTP."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.contracts.envelope import Event, rfc3339
from shared.kafka import replay
from shared.settings import Settings
from tests.component.service_process import Running, environment, running
from tests.unit.board.test_challenge_file import CHALLENGE
from tests.unit.board.test_team_and_credential import PROFILE


@dataclass
class Board:
    """A running board, its topics, and a client per caller."""

    process: Running
    settings: Settings
    environment: dict[str, str]
    organiser: httpx.AsyncClient
    anyone: httpx.AsyncClient

    def client(self, key: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.process.url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )

    async def sponsor(self) -> tuple[str, httpx.AsyncClient]:
        answer = await self.organiser.post("/v1/credentials", json={"role": "sponsor"})
        assert answer.status_code == 201, answer.text
        return answer.json()["credential"]["owner"], self.client(answer.json()["key"])

    async def team(self) -> tuple[str, httpx.AsyncClient]:
        answer = await self.organiser.post("/v1/teams", json=PROFILE)
        assert answer.status_code == 201, answer.text
        return answer.json()["team"]["id"], self.client(answer.json()["key"])

    async def issue(self, role: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "services.board.issue", "--role", role]
        issuing = await asyncio.create_subprocess_exec(*command, env=self.environment, stdout=asyncio.subprocess.PIPE)
        output, _ = await issuing.communicate()
        assert issuing.returncode == 0
        answer: dict[str, Any] = json.loads(output)
        return answer

    async def events(self, topic: str, subject: str, count: int) -> list[Event[Any]]:
        """The events of a subject, as soon as there are `count` of them."""
        deadline = asyncio.get_running_loop().time() + 20
        while True:
            found = [
                event async for events in replay(self.settings, topic) for event in events if event.subject == subject
            ]
            if len(found) >= count or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def board(
    kafka: KafkaServer, mongo: MongoServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Board]:
    folder = tmp_path_factory.mktemp("board")
    prefix = f"tb{folder.name[-1]}{id(folder) % 100000}."
    variables = environment(kafka, mongo, prefix)
    settings = Settings(kafka_bootstrap=(kafka.bootstrap,), kafka_topic_prefix=prefix, mongo_uri=mongo.uri)
    async with (
        running("services.board.app", "BOARD", folder, variables) as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False) as anyone,
    ):
        made = Board(process, settings, variables, anyone, anyone)
        key = (await made.issue("organiser"))["key"]
        async with made.client(key) as organiser:
            made.organiser = organiser
            yield made


def challenge(*, starts: timedelta = -timedelta(hours=1), ends: timedelta = timedelta(hours=1)) -> dict[str, Any]:
    body = copy.deepcopy(CHALLENGE)
    now = datetime.now(UTC)
    body["phases"] = [{"name": "preliminary", "starts_at": rfc3339(now + starts), "ends_at": rfc3339(now + ends)}]
    return body


async def test_a_sponsor_posts_a_challenge_and_everyone_can_read_it(board: Board) -> None:
    owner, sponsor = await board.sponsor()
    answer = await sponsor.post("/v1/challenges", json=challenge())
    assert answer.status_code == 201, answer.text
    posted = answer.json()
    assert (posted["sponsor"], posted["version"], posted["state"]) == (owner, 1, "open")
    assert posted["phases"][0]["state"] == "open"
    read = await board.anyone.get(answer.headers["location"])
    assert read.json() == posted
    again = await board.anyone.get(answer.headers["location"], headers={"If-None-Match": read.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    published, opened = await board.events("board.challenges", posted["id"], 2)
    assert (published.type, published.sequence) == ("challenge.published.v1", 1)
    assert published.data.rubric_digest == posted["rubric_digest"]
    assert (opened.type, opened.sequence, opened.data.phase) == ("phase.opened.v1", 2, "preliminary")


async def test_phases_open_and_close_by_the_clock_each_once(board: Board) -> None:
    _, sponsor = await board.sponsor()
    body = challenge(starts=timedelta(seconds=1), ends=timedelta(seconds=2))
    posted = (await sponsor.post("/v1/challenges", json=body)).json()
    assert posted["state"] == "upcoming"
    events = await board.events("board.challenges", posted["id"], 3)
    assert [event.type for event in events] == ["challenge.published.v1", "phase.opened.v1", "phase.closed.v1"]
    for event, bound in ((events[1], "starts_at"), (events[2], "ends_at")):
        assert event.data.at >= datetime.fromisoformat(posted["phases"][0][bound])
    assert (await board.anyone.get(f"/v1/challenges/{posted['id']}")).json()["state"] == "closed"
    _, team = await board.team()
    late = await team.post(f"/v1/challenges/{posted['id']}/registrations")
    assert (late.status_code, late.json()["code"]) == (409, "registration_closed")


async def test_an_amendment_is_a_new_version_with_an_event_that_holds_it_whole(board: Board) -> None:
    _, sponsor = await board.sponsor()
    body = challenge()
    posted = (await sponsor.post("/v1/challenges", json=body)).json()
    body["quota"]["per_day"] = 7
    amended = await sponsor.post(f"/v1/challenges/{posted['id']}/amend", json=body)
    assert amended.status_code == 200, amended.text
    assert (amended.json()["version"], amended.json()["quota"]["per_day"]) == (2, 7)
    *_, event = await board.events("board.challenges", posted["id"], 3)
    assert (event.type, event.data.version, event.data.quota.per_day) == ("challenge.amended.v1", 2, 7)
    body["phases"][0]["starts_at"] = rfc3339(datetime.now(UTC) - timedelta(hours=3))
    refused = await sponsor.post(f"/v1/challenges/{posted['id']}/amend", json=body)
    assert (refused.status_code, refused.json()["code"], refused.json()["fault"]) == (422, "phase_fixed", "sponsor")
    other = challenge() | {"phases": amended.json()["phases"], "demand": {"types": {"another": "text"}}}
    for entry in other["phases"]:
        del entry["state"]
    frozen = await sponsor.post(f"/v1/challenges/{posted['id']}/amend", json=other)
    assert (frozen.status_code, frozen.json()["code"], frozen.json()["fault"]) == (409, "rubric_frozen", "sponsor")


async def test_a_team_is_registered_for_a_challenge_once_however_often_it_asks(board: Board) -> None:
    _, sponsor = await board.sponsor()
    posted = (await sponsor.post("/v1/challenges", json=challenge())).json()
    id, team = await board.team()
    first, second = [await team.post(f"/v1/challenges/{posted['id']}/registrations", json={}) for _ in range(2)]
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert first.json()["team"] == id
    events = await board.events("board.teams", id, 2)
    assert [event.type for event in events] == ["team.registered.v1", "registration.accepted.v1"]
    by_organiser = await board.organiser.post(f"/v1/challenges/{posted['id']}/registrations", json={"team": id})
    assert by_organiser.json() == first.json()


async def test_personal_data_is_for_the_team_and_the_organiser_and_in_no_event_or_log(board: Board) -> None:
    id, team = await board.team()
    _, sponsor = await board.sponsor()
    for client in (team, board.organiser):
        assert (await client.get(f"/v1/teams/{id}")).json()["members"][1]["contact"] == "13800000000"
    for client in (board.anyone, sponsor):
        assert (await client.get(f"/v1/teams/{id}")).json() == {"id": id, "name": PROFILE["name"]}
    named = await board.anyone.get("/v1/teams", params={"ids": f"{id},team_unknown,{id}"})
    assert named.json()["teams"] == [{"id": id, "name": PROFILE["name"]}]
    (event,) = await board.events("board.teams", id, 1)
    said = event.encode().decode() + board.process.log()
    for personal in ("林一", "王二", "13800000000", "lin@example.org"):
        assert personal not in said


async def test_a_revoked_key_stops_at_once_and_no_key_is_ever_in_an_event_or_a_log(board: Board) -> None:
    answer = (await board.organiser.post("/v1/credentials", json={"role": "sponsor", "expires_in_days": 1})).json()
    key, credential = answer["key"], answer["credential"]
    client = board.client(key)
    assert (await client.post("/v1/challenges", json=challenge())).status_code == 201
    listed = await board.organiser.get("/v1/credentials", params={"owner": credential["owner"]})
    assert listed.json()["credentials"] == [credential]
    for _ in range(2):
        assert (await board.organiser.delete(f"/v1/credentials/{credential['id']}")).status_code == 204
    refused = await client.post("/v1/challenges", json=challenge())
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    events = await board.events("board.teams", credential["id"], 2)
    assert [event.type for event in events] == ["credential.issued.v1", "credential.revoked.v1"]
    secret = key.rpartition("_")[2]
    assert secret not in board.process.log() + "".join(event.encode().decode() for event in events)


@pytest.mark.parametrize("path", ["/v1/teams", "/v1/credentials", "/v1/challenges"])
async def test_the_same_request_twice_makes_one_thing_and_gives_one_answer(board: Board, path: str) -> None:
    body = {"/v1/teams": PROFILE, "/v1/credentials": {"role": "sponsor"}}.get(path)
    body = body or challenge() | {"sponsor": (await board.sponsor())[0]}
    headers = {"Idempotency-Key": f"again {path}"}
    answers = await asyncio.gather(*(board.organiser.post(path, json=body, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    other = await board.organiser.post(path, json={**body, "sector": "x"}, headers=headers)
    if path != "/v1/credentials":
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    if path != "/v1/challenges":
        owner = answers[0].json().get("team", answers[0].json().get("credential"))
        keys = await board.organiser.get("/v1/credentials", params={"owner": owner.get("owner", owner["id"])})
        assert len(keys.json()["credentials"]) == 1
        working = board.client(answers[0].json()["key"])
        assert (await working.get(f"/v1/teams/{owner['id']}")).status_code in (200, 404)


async def test_another_callers_same_idempotency_key_is_another_request(board: Board) -> None:
    headers = {"Idempotency-Key": "shared"}
    posted = [
        (await (await board.sponsor())[1].post("/v1/challenges", json=challenge(), headers=headers)).json()
        for _ in range(2)
    ]
    assert posted[0]["id"] != posted[1]["id"]


async def test_challenges_are_listed_page_by_page_newest_first(board: Board) -> None:
    _, sponsor = await board.sponsor()
    made = [(await sponsor.post("/v1/challenges", json=challenge())).json()["id"] for _ in range(3)]
    first = await board.anyone.get("/v1/challenges", params={"limit": 2})
    assert [each["id"] for each in first.json()["challenges"]] == made[:0:-1]
    assert 'rel="next"' in first.headers["link"]
    second = await board.anyone.get("/v1/challenges", params={"limit": 2, "after": first.json()["next"]})
    assert second.json()["challenges"][0]["id"] == made[0]
    assert "demand" not in second.json()["challenges"][0]


async def test_who_may_do_what(board: Board) -> None:
    (_, sponsor), (_, other), (team_id, team) = await board.sponsor(), await board.sponsor(), await board.team()
    posted = (await sponsor.post("/v1/challenges", json=challenge())).json()["id"]
    someone = challenge() | {"sponsor": (await board.sponsor())[0]}
    operator = board.client((await board.issue("operator"))["key"])
    refusals = [
        (board.anyone.post("/v1/challenges", json=challenge()), 401),
        (team.post("/v1/challenges", json=challenge()), 403),
        (operator.post("/v1/challenges", json=challenge()), 403),
        (sponsor.post("/v1/challenges", json=someone), 403),
        (other.post(f"/v1/challenges/{posted}/amend", json=challenge()), 403),
        (team.post(f"/v1/challenges/{posted}/amend", json=challenge()), 403),
        (sponsor.post("/v1/teams", json=PROFILE), 403),
        (team.post("/v1/teams", json=PROFILE), 403),
        (team.post("/v1/credentials", json={"role": "organiser"}), 403),
        (sponsor.post("/v1/credentials", json={"role": "organiser"}), 403),
        (sponsor.get("/v1/credentials", params={"owner": team_id}), 403),
        (sponsor.delete("/v1/credentials/key_x"), 403),
        (sponsor.post(f"/v1/challenges/{posted}/registrations", json={"team": team_id}), 403),
        (team.post(f"/v1/challenges/{posted}/registrations", json={"team": "team_other"}), 403),
    ]
    for asked, status in refusals:
        answer = await asked
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/v1/challenges", b"", 422, "invalid_request"),
        ("POST", "/v1/challenges", b"{", 422, "invalid_request"),
        ("POST", "/v1/challenges", b"\xff\xfe", 422, "invalid_text"),
        ("POST", "/v1/challenges", b"[]", 422, "wrong_value"),
        ("POST", "/v1/challenges", b'{"title": NaN}', 422, "invalid_request"),
        ("POST", "/v1/challenges", b'{"titel": 1}', 422, "unknown_key"),
        ("POST", "/v1/challenges", b"[" * 100_000, 422, "invalid_request"),
        ("POST", "/v1/challenges", b'{"demand":' * 30 + b"1" + b"}" * 30, 422, "invalid_request"),
        ("POST", "/v1/challenges", b'{"title": "\\ud800"}', 422, "invalid_text"),
        ("POST", "/v1/challenges", b'{"demand": {"types": {"a\\u0000": "text"}}}', 422, "invalid_request"),
        ("POST", "/v1/challenges", b'{"title": "' + b"x" * 2_000_000 + b'"}', 413, "body_too_large"),
        ("POST", "/v1/challenges/chl_none/amend", json.dumps(CHALLENGE).encode(), 404, "unknown_challenge"),
        ("POST", "/v1/challenges/chl_none/registrations", b"{}", 422, "team_required"),
        ("POST", "/v1/challenges/chl_none/registrations", b'{"team": "team_x"}', 404, "unknown_challenge"),
        ("POST", "/v1/challenges/chl_none/registrations", b'{"teem": "x"}', 422, "invalid_request"),
        ("POST", "/v1/teams", b'{"name": "x"}', 422, "wrong_value"),
        ("POST", "/v1/credentials", b'{"role": "king"}', 422, "invalid_request"),
        ("POST", "/v1/credentials", b'{"role": "team"}', 404, "unknown_team"),
        (
            "POST",
            "/v1/credentials",
            b'{"role": "sponsor", "owner": "team_01jnb3p6y9c4t2w8h5k7m0q1rx"}',
            422,
            "owner_of_another_kind",
        ),
        ("DELETE", "/v1/credentials/key_none", b"", 404, "unknown_credential"),
        ("GET", "/v1/challenges/none", b"", 404, "unknown_challenge"),
        ("GET", "/v1/challenges/" + "%00" * 9, b"", 404, "unknown_challenge"),
        ("GET", "/v1/challenges?after=!!!", b"", 422, "invalid_cursor"),
        ("GET", "/v1/challenges?after=W10", b"", 422, "invalid_cursor"),
        ("GET", "/v1/challenges?after=WzFd", b"", 422, "invalid_cursor"),
        ("GET", "/v1/challenges?limit=0", b"", 422, "invalid_request"),
        ("GET", "/v1/teams/none", b"", 404, "unknown_team"),
        ("GET", "/v1/teams", b"", 422, "invalid_request"),
        ("GET", "/v1/nothing", b"", 404, "not_found"),
        ("PUT", "/v1/teams", b"", 405, "method_not_allowed"),
    ],
)
async def test_bad_input_is_a_problem_with_a_code(
    board: Board, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await board.organiser.request(method, path, content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("key", ["x", "jb_organiser_x", "jb_organiser_" + "0" * 60, "ключ", "\xff", "a" * 9000])
async def test_what_is_not_a_key_is_nobody(board: Board, key: str) -> None:
    headers = {"Authorization": b"Bearer " + key.encode("utf-8", "surrogateescape")}
    answer = await board.anyone.post("/v1/teams", json=PROFILE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_columns_may_be_called_anything_that_a_table_can_hold(board: Board) -> None:
    _, sponsor = await board.sponsor()
    body = challenge()
    names = ["$set", "a.b", "", ".", "$", "__proto__", "列 名", "💧", "_id"]
    body["demand"] = {"types": dict.fromkeys(names, "text")}
    answer = await sponsor.post("/v1/challenges", json=body)
    assert answer.status_code == 201, answer.text
    assert list((await board.anyone.get(answer.headers["location"])).json()["demand"]["types"]) == names
    amended = await sponsor.post(f"/v1/challenges/{answer.json()['id']}/amend", json=body | {"sector": "energy"})
    assert amended.status_code == 200, amended.text
    *_, event = await board.events("board.challenges", answer.json()["id"], 3)
    assert list(event.data.demand["types"]) == names


async def test_the_document_of_the_api_names_every_route(board: Board) -> None:
    paths = (await board.anyone.get("/openapi.json")).json()["paths"]
    assert set(paths) == {
        "/v1/challenges",
        "/v1/challenges/{id}",
        "/v1/challenges/{id}/amend",
        "/v1/challenges/{id}/registrations",
        "/v1/teams",
        "/v1/teams/{id}",
        "/v1/credentials",
        "/v1/credentials/{id}",
    }
