"""A competition that a test plays against the running platform, and the promises it checks afterwards."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.envelope import Event
from shared.contracts.registry import parse, topics

FINAL = {"ranked", "rejected", "failed", "cancelled"}
DEMAND = {
    "types": {"station": "text", "reading": "decimal", "visits": "integer", "grade": "text"},
    "key": ["station"],
    "label": "grade",
    "records": 20,
}


class Reachable(Protocol):
    """A platform that runs somewhere: on this machine, or on a cluster."""

    @property
    def url(self) -> str:
        """The one address of its API."""

    @property
    def kafka_bootstrap(self) -> str:
        """Its brokers."""


@dataclass(frozen=True)
class Team:
    """A registered team and its API key."""

    id: str
    key: str


@dataclass
class Competition:
    """One challenge with its teams; every call is repeated, as a patient client would, until the platform answers."""

    platform: Reachable
    keys: dict[str, str]
    rng: random.Random
    patience: float = 120.0
    challenge: str = ""
    teams: list[Team] = field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Submission → the answer that carried its receipt."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Answers that made the client try again, by code: what the fault looked like from outside."""

    def __post_init__(self) -> None:
        self._http = httpx.AsyncClient(
            base_url=self.platform.url, timeout=httpx.Timeout(15, connect=5), trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        key: str | None = None,
        *,
        expect: Iterable[int] = (200, 201, 202, 204),
        **request: Any,
    ) -> httpx.Response:
        """One call, repeated while the platform is away or asks for time."""
        headers = {**request.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        deadline = time.monotonic() + self.patience
        while True:
            try:
                answer = await self._http.request(method, path, headers=headers, **request)
            except httpx.TransportError as error:
                self.refusals[type(error).__name__] += 1
            else:
                if answer.status_code in tuple(expect):
                    return answer
                code = _code(answer)
                # What another service knows already, this one may be about to hear of.
                on_its_way = code in {"upload_not_verified", "not_registered", "unknown_challenge"}
                on_its_way = on_its_way or (answer.status_code == 401 and "Retry-After" in answer.headers)
                if answer.status_code < 500 and not on_its_way:
                    raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
                assert answer.status_code != 500, answer.text[:500]
                self.refusals[f"{answer.status_code} {code}"] += 1
            assert time.monotonic() < deadline, (
                f"{method} {path} was not answered in {self.patience} s: {self.refusals}"
            )
            await asyncio.sleep(0.2)

    async def publish(self, *, per_day: int = 1000, lasts: timedelta = timedelta(hours=12)) -> None:
        """Post the challenge, with one phase that is open now."""
        now = datetime.now(UTC)
        body = {
            "title": {"zh": "巡检读数", "en": "Inspection readings"},
            "sector": "energy",
            "demand": DEMAND,
            "rubric": "core-0",
            "phases": [
                {
                    "name": "preliminary",
                    "starts_at": (now - timedelta(minutes=5)).isoformat(),
                    "ends_at": (now + lasts).isoformat(),
                    "leaderboard": "public",
                }
            ],
            "quota": {"per_day": per_day, "total": per_day * 10},
        }
        answer = await self.call(
            "POST",
            "/v1/challenges",
            self.keys["sponsor"],
            json=body,
            headers={"Idempotency-Key": secrets.token_hex(12)},
        )
        self.challenge = answer.json()["id"]

    async def register(self, count: int = 1) -> None:
        """Register teams for the challenge."""
        for _ in range(count):
            answer = await self.call(
                "POST",
                "/v1/teams",
                self.keys["organiser"],
                json={"name": {"zh": f"队{secrets.token_hex(3)}"}, "organisation": "系统测试公司"},
                headers={"Idempotency-Key": secrets.token_hex(12)},
            )
            team = Team(answer.json()["team"]["id"], answer.json()["key"])
            await self.call(
                "POST",
                f"/v1/challenges/{self.challenge}/registrations",
                self.keys["organiser"],
                json={"team": team.id},
                headers={"Idempotency-Key": secrets.token_hex(12)},
            )
            self.teams.append(team)

    def dataset(self) -> bytes:
        """A small table of its own: some cells missing, some rows twice, so that totals differ."""
        rows = ["station,reading,visits,grade"]
        for index in range(20):
            reading = "" if self.rng.random() < 0.15 else f"{self.rng.uniform(-20, 40):.2f}"
            rows.append(f"S{index},{reading},{self.rng.randrange(500)},{self.rng.choice('abc')}")
        rows += self.rng.sample(rows[1:], self.rng.randrange(3))
        return ("\n".join(rows) + "\n").encode()

    async def upload(self, team: Team, body: bytes, filename: str = "readings.csv", *, trace: str | None = None) -> str:
        """Upload bytes over tus, going on from the server's offset after every break; the upload's id.

        `trace` is the `traceparent` of the client.
        """
        described = {"filename": filename, "sha256": hashlib.sha256(body).hexdigest()}
        metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in described.items())
        tus = {"Tus-Resumable": "1.0.0", **({"traceparent": trace} if trace is not None else {})}
        made = await self.call(
            "POST",
            "/v1/uploads",
            team.key,
            headers={**tus, "Upload-Length": str(len(body)), "Upload-Metadata": metadata},
        )
        location = made.headers["Location"]
        offset = 0
        while offset < len(body):
            sent = await self.call(
                "PATCH",
                location,
                team.key,
                content=body[offset:],
                headers={**tus, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
                expect=(204, 409, 423, 460),
            )
            if sent.status_code == 204:
                offset = int(sent.headers["Upload-Offset"])
            else:
                offset = int((await self.call("HEAD", location, team.key, headers=tus)).headers["Upload-Offset"])
        return location.rstrip("/").rsplit("/", 1)[1]

    async def submit(self, team: Team, body: bytes | None = None, filename: str = "readings.csv") -> str:
        """Upload and submit one dataset with one Idempotency-Key; the submission's id, its receipt kept."""
        return await self.submit_upload(team, await self.upload(team, body or self.dataset(), filename))

    async def submit_upload(self, team: Team, upload: str) -> str:
        """Make a submission of an upload; its id, its receipt kept."""
        answer = await self.call(
            "POST",
            "/v1/submissions",
            team.key,
            json={"challenge": self.challenge, "upload": upload},
            headers={"Idempotency-Key": secrets.token_hex(12)},
        )
        received: dict[str, Any] = answer.json()
        assert received["receipt"], "a submission without a receipt"
        self.receipts[received["id"]] = received
        return str(received["id"])

    async def status(self, submission: str) -> dict[str, Any]:
        """The status of a submission, read by the team that made it."""
        team = next(team for team in self.teams if team.id == self.receipts[submission]["team"])
        found: dict[str, Any] = (await self.call("GET", f"/v1/submissions/{submission}", team.key)).json()
        return found

    async def settled(self, within: float = 120.0) -> Counter[str]:
        """Wait until every receipt has its end; how many ended how.

        `within` is the longest time in which not one of them may come to its end: a backlog takes as long as the
        machine needs, and what is stuck shows all the same.
        """
        ends: dict[str, str] = {}
        deadline = time.monotonic() + within
        while True:
            for submission in self.receipts.keys() - ends.keys():
                state = (await self.status(submission))["state"]
                if state in FINAL:
                    ends[submission] = state
                    deadline = time.monotonic() + within
            if len(ends) == len(self.receipts):
                return Counter(ends.values())
            left = sorted(self.receipts.keys() - ends.keys())
            assert time.monotonic() < deadline, f"{len(left)} without an end, none for {within} s: {left[:10]}"
            await asyncio.sleep(0.3)

    async def leaderboard(self) -> dict[str, Any]:
        """The public leaderboard."""
        board: dict[str, Any] = (await self.call("GET", f"/v1/leaderboards/{self.challenge}?limit=200")).json()
        return board

    async def events(self) -> list[Event[Any]]:
        """Every event about the challenge in Kafka, partition by partition in the order it lies there."""
        return await _events(self.platform.kafka_bootstrap, self.challenge)

    async def check_promises(self, within: float = 120.0) -> Counter[str]:
        """L, D, O and C of every receipt, from the API and from what is in Kafka; how many ended how."""
        ends = await self.settled(within)
        events = await self.events()
        by_subject: dict[str, list[Event[Any]]] = defaultdict(list)
        for event in events:
            if event.id not in {known.id for known in by_subject[event.subject]}:
                by_subject[event.subject].append(event)
        for subject, its in by_subject.items():
            sequences = [event.sequence for event in its]
            assert sequences == list(range(1, len(its) + 1)), f"{subject}: events out of order or lost: {sequences}"
        for submission in self.receipts:
            told = Counter(event.type for event in by_subject[submission])
            assert told["submission.received.v1"] == 1, f"{submission}: {told}"
            assert sum(told[f"submission.{end}.v1"] for end in FINAL) == 1, f"{submission} has not one end: {told}"
        scored = Counter(event.data.submission for event in events_of(by_subject, "score.completed.v1"))
        assert all(count == 1 for count in scored.values()), f"scored twice: {scored}"
        recorded = Counter(event.data.submission for event in events_of(by_subject, "leaderboard.entry_recorded.v1"))
        assert all(count == 1 for count in recorded.values()), f"recorded twice: {recorded}"
        assert sum(ends.values()) == len(self.receipts)
        assert sum(recorded.values()) == ends["ranked"]
        await self._check_board()
        return ends

    async def _check_board(self) -> None:
        best: dict[str, str] = {}
        for submission, received in self.receipts.items():
            status = await self.status(submission)
            if status["state"] == "ranked":
                total = status["total"]
                best[received["team"]] = max(best.get(received["team"], "-1"), total, key=float)

        async def drained() -> bool:
            return not (await self.leaderboard())["provisional"]

        await until(drained, "the board is drained")
        board = await self.leaderboard()
        assert {entry["team"]: entry["total"] for entry in board["entries"]} == best
        assert [entry["rank"] for entry in board["entries"]] == list(range(1, len(best) + 1))
        totals = [float(entry["total"]) for entry in board["entries"]]
        assert totals == sorted(totals, reverse=True)


def events_of(by_subject: dict[str, list[Event[Any]]], kind: str) -> list[Event[Any]]:
    """All events of one type."""
    return [event for events in by_subject.values() for event in events if event.type == kind]


async def until(condition: Callable[[], Awaitable[bool]], what: str, within: float = 60.0) -> None:
    """Wait for a condition, at most so long.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.1)


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("code"))
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        return "no problem document"


async def _events(bootstrap: str, challenge: str) -> list[Event[Any]]:
    """Every event about a challenge in Kafka, partition by partition in the order it lies there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic.name, number)
            for topic in topics()
            for number in range(topic.partitions)
            if topic.owner in {"ingest", "scoring", "ranking"}
        ]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning()
        found: list[Event[Any]] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if challenge.encode() in record.value:
                        event = parse(record.value)
                        assert isinstance(event, Event)
                        found.append(event)
        return found
    finally:
        await consumer.stop()
