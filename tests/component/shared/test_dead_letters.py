"""Dead letters are listed, shown, redriven in order and discarded; by operators only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import problems, tracing
from shared.auth import Authenticator, Credential, make_key
from shared.clock import SystemClock
from shared.contracts.board import Role
from shared.contracts.envelope import Event
from shared.dead_letters import DeadLetterOffice, router
from shared.failures import PermanentError, Reason
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.mongo import Database
from shared.settings import Settings
from tests.component.shared.harness import Reading, Topic, team_event
from tests.eventually import eventually


class Projection:
    """Keeps the last sequence of each team; refuses the teams it is told to."""

    def __init__(self) -> None:
        self.refused = {"bad", "worse"}
        self.applied: list[tuple[str, int]] = []
        self.trace: str | None = None

    async def __call__(self, event: Event[Any]) -> None:
        if event.subject in self.refused:
            raise PermanentError(f"{event.subject} is refused")
        self.applied.append((event.subject, event.sequence))
        self.trace = tracing.current_trace().get("trace_id")


class Keys:
    def __init__(self) -> None:
        self.issued: dict[str, Credential] = {}

    async def find(self, credential: CredentialId) -> Credential | None:
        return self.issued.get(credential)

    def key(self, role: Role) -> str:
        id = CredentialId(SystemIds().new("key"))
        made = make_key(role, id)
        self.issued[id] = Credential(id, OwnerId("org_1"), role, made.secret_sha256)
        return made.key


@dataclass
class Office:
    api: httpx.AsyncClient
    projection: Projection
    keys: Keys
    topic: Topic
    reading: Reading

    async def list(self) -> list[dict[str, Any]]:
        answer = await self.api.get("/v1/ops/ranking/dead-letters")
        assert answer.status_code == 200, answer.text
        letters: list[dict[str, Any]] = answer.json()["dead_letters"]
        return letters

    async def redrive(self, **which: Any) -> dict[str, Any]:
        answer = await self.api.post("/v1/ops/ranking/dead-letters/redrive", json=which)
        assert answer.status_code == 200, answer.text
        report: dict[str, Any] = answer.json()
        return report


@pytest.fixture
async def office(settings: Settings, topic: Topic, mongo_database: Database) -> AsyncIterator[Office]:
    projection, keys = Projection(), Keys()
    async with Reading(settings, projection) as reading:
        made = DeadLetterOffice(settings, mongo_database, SystemClock())
        made.watch(reading.consumption)
        app = FastAPI()
        problems.install(app)
        app.include_router(router("ranking", made))
        app.state.authenticator = Authenticator(keys, SystemClock())
        headers = {"Authorization": f"Bearer {keys.key(Role.OPERATOR)}"}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://test", headers=headers
        ) as api:
            yield Office(api, projection, keys, topic, reading)


async def bury(office: Office) -> None:
    """Five dead letters of three keys, and a record that is well."""
    for team, sequence in (("bad", 1), ("worse", 1), ("bad", 2), ("bad", 3)):
        await office.topic.send(team_event(team, sequence), key=team.encode())
    await office.topic.send(b"{", key=b"junk")
    await office.topic.send(team_event("good"), key=b"good")
    await eventually(lambda: office.projection.applied == [("good", 1)])


async def test_dead_letters_are_listed_in_order_and_shown_whole(office: Office) -> None:
    await bury(office)
    letters = await office.list()
    assert [(letter["key"], letter["offset"]) for letter in letters] == [
        ("bad", 0),
        ("worse", 1),
        ("bad", 2),
        ("bad", 3),
        ("junk", 4),
    ]
    assert letters[0]["type"] == "team.registered.v1"
    assert letters[4]["type"] is None
    assert letters[4]["reason"] == "malformed"
    shown = (await office.api.get(f"/v1/ops/ranking/dead-letters/{letters[0]['id']}")).json()
    assert '"team":"bad"' in shown["body"]["text"]
    assert {"name": "dlq-reason", "value": "permanent"} in shown["headers"]
    assert (await office.api.get("/v1/ops/ranking/dead-letters/none")).json()["code"] == "unknown_dead_letter"


async def test_a_redrive_after_the_mend_gives_every_key_its_events_in_order(office: Office) -> None:
    await bury(office)
    office.projection.refused = {"worse"}
    report = await office.redrive(all=True)
    assert len(report["redriven"]) == 3
    assert [failure["error"] for failure in report["failed"]] == [
        "PermanentError('worse is refused')",
        "MalformedEvent('not JSON: JSONDecodeError')",
    ]
    assert office.projection.applied == [("good", 1), ("bad", 1), ("bad", 2), ("bad", 3)]
    assert [letter["key"] for letter in await office.list()] == ["worse", "junk"]
    again = await office.redrive(all=True)
    assert again["redriven"] == []


async def test_a_redrive_is_a_trace_of_its_own_that_is_linked_to_that_of_its_event(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    old = "ab" * 16
    event = team_event("bad").model_copy(update={"traceparent": f"00-{old}-{'1' * 16}-01"})
    await office.topic.send(event, key=b"bad")
    await eventually(office.list)
    office.projection.refused = set()
    exporter.clear()
    assert len((await office.redrive(all=True))["redriven"]) == 1
    (span,) = [each for each in exporter.get_finished_spans() if each.name.startswith("redrive ")]
    assert span.name == "redrive board.teams team.registered.v1"
    assert f"{span.context.trace_id:032x}" != old
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [old]
    assert office.projection.trace == f"{span.context.trace_id:032x}", "what it does is in the new trace"


async def test_the_first_failure_of_a_key_holds_back_the_rest_of_it(office: Office) -> None:
    await bury(office)
    report = await office.redrive(all=True)
    assert report["redriven"] == []
    assert len(report["failed"]) == 3
    assert len(report["held_back"]) == 2
    assert len(await office.list()) == 5


async def test_chosen_dead_letters_are_redriven_or_discarded(office: Office) -> None:
    await bury(office)
    ids = [letter["id"] for letter in await office.list()]
    office.projection.refused = set()
    assert (await office.redrive(ids=[ids[1]]))["redriven"] == [ids[1]]
    answer = await office.api.post("/v1/ops/ranking/dead-letters/discard", json={"ids": [ids[4], "nonsense"]})
    assert answer.json() == {"discarded": [ids[4]]}
    assert [letter["id"] for letter in await office.list()] == [ids[0], ids[2], ids[3]]


async def bury_again(office: Office, *, later_ms: int) -> None:
    """Bury the record of the first dead letter once more, as one that came so much later."""
    (first, *_rest) = await office.topic.dead_letters()
    came = int(dict(first.headers)["dlq-origin-timestamp"]) + later_ms
    original = type(
        "Buried", (), {"topic": office.topic.name, "partition": 0, "offset": 0, "timestamp": came,
                       "key": first.key, "value": first.value, "headers": first.headers[:0]},
    )()  # fmt: skip
    await office.reading.policy.dead_letters.bury(
        original, office.topic.group, reason=Reason.PERMANENT, attempts=1, error=PermanentError("again")
    )


async def test_a_record_buried_twice_is_one_dead_letter(office: Office) -> None:
    await bury(office)
    await bury_again(office, later_ms=0)
    assert len(await office.topic.dead_letters()) == 6
    assert len(await office.list()) == 5


async def test_a_record_at_the_same_place_of_a_topic_made_anew_is_another_dead_letter(office: Office) -> None:
    await bury(office)
    ids = [letter["id"] for letter in await office.list()]
    await office.api.post("/v1/ops/ranking/dead-letters/discard", json={"ids": ids})
    assert await office.list() == []
    await bury_again(office, later_ms=60_000)
    (other,) = await office.list()
    assert (other["partition"], other["offset"]) == (0, 0)


@pytest.mark.parametrize("role", [Role.TEAM, Role.SPONSOR, Role.ORGANISER])
async def test_nobody_but_operators_sees_dead_letters(office: Office, role: Role) -> None:
    headers = {"Authorization": f"Bearer {office.keys.key(role)}"}
    for method, path in (
        ("GET", "dead-letters"),
        ("GET", "dead-letters/x"),
        ("POST", "dead-letters/redrive"),
        ("POST", "dead-letters/discard"),
    ):
        body = {"ids": ["x"]} if method == "POST" else None
        answer = await office.api.request(method, f"/v1/ops/ranking/{path}", json=body, headers=headers)
        assert answer.status_code == 403, path
        answer = await office.api.request(
            method, f"/v1/ops/ranking/{path}", json=body, headers={"Authorization": "Bearer x"}
        )
        assert answer.status_code == 401, path


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": ["x"], "all": True}, {"what": 1}])
async def test_a_redrive_says_what_it_wants(office: Office, body: dict[str, Any]) -> None:
    answer = await office.api.post("/v1/ops/ranking/dead-letters/redrive", json=body)
    assert answer.status_code == 422
