"""Ingest on a stage: its real processes on real Kafka and MongoDB, with a test that speaks for the other services."""

from __future__ import annotations

import base64
import hashlib
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from motor.motor_asyncio import AsyncIOMotorDatabase

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.auth import make_key
from shared.contracts.board import (
    ChallengeAmended,
    ChallengePublished,
    CredentialIssued,
    Limits,
    Phase,
    Quota,
    RegistrationAccepted,
    Role,
)
from shared.contracts.envelope import Event, Fact
from shared.contracts.ranking import EntryRecorded
from shared.contracts.registry import event_class
from shared.contracts.scoring import ScoreCompleted, ScoreFailed
from shared.ids import SystemIds
from shared.kafka import Producer, ensure_topics, replay
from shared.mongo import client, database
from shared.settings import Settings
from tests.component.service_process import Running, environment, running
from tests.eventually import eventually

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}
CSV = b"a,b\n" + b"".join(b"%d,x\n" % number for number in range(50))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def announce(data: bytes, *, filename: str = "data.csv", sha256: str | None = None) -> dict[str, str]:
    """The headers of a creation."""
    digest = sha256 or hashlib.sha256(data).hexdigest()
    return TUS | {
        "Upload-Length": str(len(data)),
        "Upload-Metadata": f"filename {b64(filename)},sha256 {b64(digest)}",
    }


class Others:
    """The other services: publishes their events as they would."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(settings)
        self._prefix = settings.kafka_topic_prefix
        self._ids = SystemIds()
        self._sequences: Counter[str] = Counter()

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def publish(self, fact: Fact, *, again: Event[Any] | None = None) -> Event[Any]:
        """Publish a fact in its envelope, or an event that was published before once more."""
        self._sequences[fact.subject] += again is None
        event = again or event_class(type(fact))(
            id=self._ids.new("evt"),
            source="/test",
            type=fact.type,
            subject=fact.subject,
            time=datetime.now(UTC),
            sequence=self._sequences[fact.subject],
            partitionkey=fact.key,
            correlationid=fact.correlation,
            data=fact,
        )
        await self._producer.publish(
            f"{self._prefix}{fact.topic}",
            key=fact.key.encode(),
            value=event.encode(),
            headers=[("content-type", b"application/cloudevents+json")],
        )
        return event


@dataclass
class Team:
    """A team with its key, and what it does over HTTP."""

    id: str
    http: httpx.AsyncClient

    async def create(self, data: bytes, **announced: Any) -> httpx.Response:
        return await self.http.post("/v1/uploads", headers=announce(data, **announced))

    async def patch(self, location: str, offset: int, data: Any, **headers: str) -> httpx.Response:
        return await self.http.patch(
            location, content=data, headers=TUS | BODY | {"Upload-Offset": str(offset)} | headers
        )

    async def upload(self, data: bytes = CSV, **announced: Any) -> str:
        """The id of an upload of these bytes."""
        created = await self.create(data, **announced)
        assert created.status_code == 201, created.text
        location = created.headers["location"]
        if data:
            sent = await self.patch(location, 0, data)
            assert sent.status_code == 204, sent.text
        return str(location.rpartition("/")[2])

    async def submit(self, challenge: str, upload: str, *, key: str | None = None, **body: Any) -> httpx.Response:
        return await self.http.post(
            "/v1/submissions",
            json={"challenge": challenge, "upload": upload, **body},
            headers={"Idempotency-Key": key or secrets.token_hex(8)},
        )

    async def submitted(self, challenge: str, data: bytes = CSV, **announced: Any) -> dict[str, Any]:
        """A submission of these bytes."""
        answer = await self.submit(challenge, await self.upload(data, **announced))
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def show(self, submission: str) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/submissions/{submission}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until(self, submission: str, *states: str, within: float = 30) -> dict[str, Any]:
        """The submission once it is in one of these states."""

        async def look() -> dict[str, Any] | None:
            found = await self.show(submission)
            return found if found["state"] in states else None

        found: dict[str, Any] = await eventually(look, within=within, what=f"{submission} becoming {states}")
        return found

    async def quota(self, challenge: str) -> dict[str, Any]:
        answer = await self.http.get("/v1/quota", params={"challenge": challenge})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@dataclass
class Stage:
    """Ingest's processes, and everything a test needs to play with them."""

    folder: Path
    settings: Settings
    environment: dict[str, str]
    others: Others
    database: AsyncIOMotorDatabase[dict[str, Any]]
    objects: Path
    api: Running
    stack: AsyncExitStack
    _ids: SystemIds = field(default_factory=SystemIds)

    def blocked(self, command: str, collection: str) -> AbstractAsyncContextManager[None]:
        """Hold one kind of command of the API to one collection back, and never do it."""
        return self._held_back(command, collection, blockTimeMS=8_000, errorCode=6)

    def delayed(self, command: str, collection: str, milliseconds: int) -> AbstractAsyncContextManager[None]:
        """Hold one kind of command of the API to one collection back for a while, then do it."""
        return self._held_back(command, collection, blockTimeMS=milliseconds)

    @asynccontextmanager
    async def _held_back(self, command: str, collection: str, **how: int) -> AsyncIterator[None]:
        admin = self.database.client.admin
        await admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": "alwaysOn",
                "data": {
                    "failCommands": [command],
                    "namespace": f"{self.database.name}.{collection}",
                    "appName": "jiebang-ingest",
                    "blockConnection": True,
                    **how,
                },
            }
        )
        try:
            yield
        finally:
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    async def metric(self, sample: str) -> float:
        """A number that the API exports; 0 if it has not counted anything yet."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            exported = (await http.get(f"{self.api.internal}/metrics")).text
        values = (line.rpartition(" ")[2] for line in exported.splitlines() if line.startswith(f"{sample} "))
        return float(next(values, "0"))

    async def kill_api(self) -> None:
        """Kill the API as `kill -9` does."""
        self.api.process.kill()
        assert self.api.process.exit_code == -signal.SIGKILL

    async def start_scanning(self) -> Running:
        """Start a scan worker."""
        worker = running("services.ingest.scan_worker", "INGEST_SCAN", self.folder, self.environment)
        return await self.stack.enter_async_context(worker)

    async def restart_api(self) -> None:
        """Start the API again, on the port it had."""
        self.api.process.start()
        await self.api.until_ready()

    async def challenge(
        self,
        *,
        per_day: int = 5,
        total: int = 50,
        starts: timedelta = -timedelta(hours=1),
        ends: timedelta = timedelta(hours=1),
        max_bytes: int = 1 << 30,
        formats: tuple[str, ...] = ("csv", "jsonl", "parquet"),
        rubric: dict[str, Any] | None = None,
    ) -> str:
        """The id of a challenge that was published just now."""
        now = datetime.now(UTC)
        fact = ChallengePublished(
            challenge=self._ids.new("chl"),
            version=1,
            title={"en": "A test"},
            sector="energy",
            sponsor="spn_test",
            demand={},
            rubric=rubric or {},
            rubric_digest="0" * 64,
            phases=(Phase(name="preliminary", starts_at=now + starts, ends_at=now + ends),),
            quota=Quota(per_day=per_day, total=total),
            limits=Limits(bytes=max_bytes, formats=formats),
        )
        await self.others.publish(fact)
        await eventually(lambda: self.database.challenges.find_one({"_id": fact.challenge}), what="the challenge")
        return fact.challenge

    async def key(self, role: Role, owner: str) -> str:
        """A new API key of an owner, once ingest knows it."""
        credential = self._ids.new("key")
        made = make_key(role, credential)  # type: ignore[arg-type]
        await self.others.publish(
            CredentialIssued(credential=credential, owner=owner, role=role, secret_sha256=made.secret_sha256)
        )
        await eventually(lambda: self.database.credentials.find_one({"_id": credential}), what="the credential")
        return made.key

    async def client(self, role: Role, owner: str) -> httpx.AsyncClient:
        """A client with a new key."""
        made = httpx.AsyncClient(
            base_url=self.api.url,
            headers={"Authorization": f"Bearer {await self.key(role, owner)}"},
            timeout=60,
            trust_env=False,
        )
        return await self.stack.enter_async_context(made)

    async def team(self, *challenges: str) -> Team:
        """A new team, registered for challenges."""
        id = self._ids.new("team")
        for challenge in challenges:
            await self.others.publish(RegistrationAccepted(team=id, challenge=challenge))
        for challenge in challenges:
            await eventually(
                lambda place=f"{id}:{challenge}": self.database.registrations.find_one({"_id": place}),  # type: ignore[misc]
                what="the registration",
            )
        return Team(id, await self.client(Role.TEAM, id))

    async def events(self, submission: str) -> list[str]:
        """The types of the published events of a submission, in order; one that was published twice counts once."""
        types: dict[str, str] = {}
        async for events in replay(self.settings, "intake.submissions"):
            for event in events:
                if event.subject == submission:
                    types.setdefault(event.id, event.type)
        return list(types.values())

    async def until_events(self, submission: str, *types: str) -> None:
        """Wait until exactly these events of a submission are published."""

        async def look() -> bool:
            return await self.events(submission) == [f"submission.{name}.v1" for name in types]

        await eventually(look, what=f"the events {types} of {submission}")

    def score(self, submission: dict[str, Any]) -> ScoreCompleted:
        """A score of a submission."""
        return ScoreCompleted(
            **_common(submission),
            rubric_digest="0" * 64,
            total="87.125000",
            dimensions={},
            coverage="1.000000",
            grade="B",
            provisional=False,
            dataset_digest="1" * 64,
            engine="test",
            report_key="reports/x",
            report_sha256="2" * 64,
        )

    def score_failed(self, submission: dict[str, Any]) -> ScoreFailed:
        """A failure to score a submission."""
        return ScoreFailed(**_common(submission), rubric_digest="0" * 64, code="crashed")

    def entry(self, submission: dict[str, Any], *, rank: int = 4) -> EntryRecorded:
        """What the board says about a submission."""
        return EntryRecorded(
            challenge=submission["challenge"],
            phase=submission["phase"],
            team=submission["team"],
            submission=submission["id"],
            total="87.125000",
            grade="B",
            rank=rank,
            is_best=True,
            board_seq=1,
            received_at=submission["received_at"],
        )

    def stored(self, prefix: str) -> list[str]:
        """The names of stored objects that begin like that."""
        found = (path.relative_to(self.objects).as_posix() for path in self.objects.rglob("*") if path.is_file())
        return sorted(name for name in found if name.startswith(prefix))


def _common(submission: dict[str, Any]) -> dict[str, Any]:
    named = {name: submission[name] for name in ("challenge", "challenge_version", "phase", "team", "received_at")}
    return named | {"submission": submission["id"]}


def amended(published: ChallengePublished, **changes: Any) -> ChallengeAmended:
    """The next version of a challenge."""
    return ChallengeAmended(**(published.model_dump() | {"version": published.version + 1} | changes))


@asynccontextmanager
async def on_stage(
    kafka: KafkaServer, mongo: MongoServer, folder: Path, prefix: str, **settings: str
) -> AsyncIterator[Stage]:
    """Ingest's API process, ready, and nothing else yet."""
    objects = folder / "objects"
    variables = environment(
        kafka,
        mongo,
        prefix,
        JIEBANG_OBJECTS_URL=f"file://{objects}",
        JIEBANG_SIGNING_KEY_FILE=str(folder / "signing.pem"),
        JIEBANG_SCRATCH_DIR=str(folder / "scratch"),
        **settings,
    )
    ours = Settings(
        kafka_bootstrap=(kafka.bootstrap,),
        kafka_topic_prefix=prefix,
        mongo_uri=mongo.uri,
        mongo_database_prefix=prefix.rstrip("."),
    )
    connection = client(ours)
    others = Others(ours)
    async with AsyncExitStack() as stack:
        stack.callback(connection.close)
        stored = database(connection, ours, "ingest")
        stack.push_async_callback(connection.drop_database, stored.name)
        await ensure_topics(ours)
        await others.start()
        stack.push_async_callback(others.stop)
        api = await stack.enter_async_context(running("services.ingest.app", "INGEST", folder, variables))
        yield Stage(folder, ours, variables, others, stored, objects, api, stack)
