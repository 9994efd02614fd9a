"""Notify as the processes it is, on real Kafka and MongoDB, and a hand that writes the other services' events."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.auth import make_key
from shared.contracts.board import ChallengePublished, CredentialIssued, Limits, Phase, Quota, Role
from shared.contracts.envelope import Event, Fact
from shared.contracts.ranking import LeaderChanged
from shared.contracts.registry import event_class
from shared.contracts.scoring import ScoreCompleted
from shared.ids import CredentialId, SystemIds
from shared.kafka import Producer, replay
from shared.settings import Settings
from tests.component.service_process import Running, environment, running

IDS = SystemIds()


@dataclass
class Notify:
    """A running notify: its API, its topics, and its worker's folder."""

    api: Running
    settings: Settings
    environment: dict[str, str]
    folder: Path
    producer: Producer
    sequences: dict[str, int] = field(default_factory=dict)

    async def publish(self, fact: Fact, *, at: datetime | None = None) -> Event[Any]:
        """Writes an event as the service that owns it would."""
        self.sequences[fact.subject] = self.sequences.get(fact.subject, 0) + 1
        event = event_class(type(fact))(
            id=IDS.new("evt"),
            source="/jiebang/test",
            type=fact.type,
            subject=fact.subject,
            time=at or datetime.now(UTC),
            sequence=self.sequences[fact.subject],
            partitionkey=fact.key,
            correlationid=fact.correlation,
            data=fact,
        )
        await self.publish_again(event)
        return event

    async def publish_again(self, event: Event[Any]) -> None:
        """Writes the very same event once more."""
        topic = f"{self.settings.kafka_topic_prefix}{event.topic}"
        await self.producer.publish(topic, key=event.partitionkey.encode(), value=event.encode(), headers=[])

    async def sponsor(self) -> Sponsor:
        """A sponsor whose key notify knows."""
        owner, id = IDS.new("spn"), CredentialId(IDS.new("key"))
        key = make_key(Role.SPONSOR, id)
        await self.publish(
            CredentialIssued(credential=id, owner=owner, role=Role.SPONSOR, secret_sha256=key.secret_sha256)
        )
        client = httpx.AsyncClient(
            base_url=f"{self.api.url}/v1",
            headers={"Authorization": f"Bearer {key.key}"},
            timeout=30,
            trust_env=False,
        )
        made = Sponsor(self, owner, key.key, client)
        await until(made.known)
        return made

    def worker(self, **more: str) -> contextlib.AbstractAsyncContextManager[Running]:
        """A worker, for as long as the block runs."""
        return running("services.notify.worker", "NOTIFY_WORKER", self.folder, {**self.environment, **more})

    async def said(self, type: str, **data: str) -> list[Event[Any]]:
        """The events of a type that notify has published with this data."""
        return [
            event
            async for events in replay(self.settings, "notify.deliveries")
            for event in events
            if event.type == type and all(getattr(event.data, name) == value for name, value in data.items())
        ]


@dataclass
class Sponsor:
    """A sponsor with a client of the API."""

    notify: Notify
    owner: str
    key: str
    client: httpx.AsyncClient

    async def known(self) -> bool:
        return (await self.client.get("/subscriptions")).status_code == 200

    async def challenge(self, id: str | None = None) -> str:
        """A challenge of this sponsor."""
        id = id or IDS.new("chl")
        now = datetime.now(UTC)
        await self.notify.publish(
            ChallengePublished(
                challenge=id,
                version=1,
                title={"en": "A challenge"},
                sector="science",
                sponsor=self.owner,
                demand={"types": {"a": "text"}},
                rubric={"id": "core-0"},
                rubric_digest="0" * 64,
                phases=(Phase(name="preliminary", starts_at=now, ends_at=now.replace(year=now.year + 1)),),
                quota=Quota(per_day=5, total=40),
                limits=Limits(bytes=1 << 30, formats=("csv",)),
            )
        )
        return id

    async def subscribe(self, url: str, **filters: Any) -> Subscribed:
        """A subscription of this sponsor."""
        answer = await self.client.post("/subscriptions", json={"url": url, "filters": filters})
        assert answer.status_code == 201, answer.text
        return Subscribed(self, answer.json()["id"], answer.json()["secret"])


@dataclass
class Subscribed:
    """A subscription as its sponsor sees it."""

    sponsor: Sponsor
    id: str
    secret: str

    async def read(self) -> dict[str, Any]:
        answer = await self.sponsor.client.get(f"/subscriptions/{self.id}")
        body: dict[str, Any] = answer.json()
        return body

    async def post(self, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.sponsor.client.post(f"/subscriptions/{self.id}/{what}", json=body or {})
        assert answer.status_code < 300, answer.text
        read: dict[str, Any] = answer.json()
        return read

    async def deliveries(self, **query: str) -> list[dict[str, Any]]:
        answer = await self.sponsor.client.get(f"/subscriptions/{self.id}/deliveries", params=query)
        listed: list[dict[str, Any]] = answer.json()["deliveries"]
        return listed

    async def until(self, true: Callable[[list[dict[str, Any]]], bool], seconds: float = 20.0) -> list[dict[str, Any]]:
        """The deliveries, as soon as they are as they should be."""
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            nonlocal found
            found = await self.deliveries()
            return true(found)

        await until(look, seconds)
        return found

    async def until_state(self, state: str) -> dict[str, Any]:
        """The subscription, as soon as it is in a state."""

        async def look() -> bool:
            return bool((await self.read())["state"] == state)

        await until(look)
        return await self.read()


def states(deliveries: list[dict[str, Any]]) -> list[str]:
    """The states of deliveries."""
    return [delivery["state"] for delivery in deliveries]


def score(challenge: str, total: str = "91.000000", submission: str | None = None) -> ScoreCompleted:
    """A score in a challenge."""
    return ScoreCompleted(
        submission=submission or IDS.new("sub"),
        challenge=challenge,
        challenge_version=1,
        phase="preliminary",
        team="team_01jnb3v8k2e7wqx0m5yt4c9rza",
        received_at=datetime.now(UTC),
        rubric_digest="0" * 64,
        total=total,
        dimensions={"conformity": total},
        coverage="1.000000",
        grade="A",
        provisional=False,
        dataset_digest="0" * 64,
        engine="0.1.0",
        report_key="reports/x",
        report_sha256="0" * 64,
    )


def leader(challenge: str, total: str = "91.000000") -> LeaderChanged:
    """A new number one in a challenge."""
    return LeaderChanged(
        challenge=challenge,
        phase="preliminary",
        board_seq=1,
        team="team_01jnb3v8k2e7wqx0m5yt4c9rza",
        submission=IDS.new("sub"),
        total=total,
    )


async def until(true: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> None:
    """Waits until a coroutine function says something true, or fails."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def notify_running(kafka: KafkaServer, mongo: MongoServer, folder: Path) -> AsyncIterator[Notify]:
    """The API of notify, on topics and a database of its own."""
    prefix = f"t{secrets.token_hex(5)}."
    variables = environment(kafka, mongo, prefix, JIEBANG_WEBHOOK_ALLOW_LOOPBACK="1")
    settings = Settings(kafka_bootstrap=(kafka.bootstrap,), kafka_topic_prefix=prefix, mongo_uri=mongo.uri)
    producer = Producer(settings)
    async with running("services.notify.app", "NOTIFY", folder, variables) as api:
        await producer.start()
        try:
            yield Notify(api, settings, variables, folder, producer)
        finally:
            await producer.stop()
