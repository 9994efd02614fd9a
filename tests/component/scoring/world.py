"""The platform around one service: what the others would say on the topics, and what it says itself."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from jiebang.rubric import Rubric
from shared.auth import make_key
from shared.contracts.board import ChallengePublished, CredentialIssued, Limits, Phase, Quota, Role, Visibility
from shared.contracts.envelope import Event, Fact
from shared.contracts.intake import SubmissionAccepted
from shared.contracts.registry import event_class
from shared.ids import CredentialId, SystemIds
from shared.kafka import Producer, ensure_topics, replay
from shared.objects import Objects
from shared.settings import Settings
from tests.component.service_process import environment
from tests.eventually import eventually

NOW = datetime.now(UTC).replace(microsecond=0)


def event(fact: Fact, *, at: datetime = NOW, sequence: int = 1, id: str | None = None) -> Event[Any]:
    """A fact in its envelope."""
    return event_class(type(fact))(
        id=id or SystemIds().new("evt"),
        source="/test",
        type=fact.type,
        subject=fact.subject,
        time=at,
        sequence=sequence,
        partitionkey=fact.key,
        correlationid=fact.correlation,
        data=fact,
    )


@dataclass
class World:
    """Topics, a database prefix and an object store of one test's own."""

    settings: Settings
    variables: dict[str, str]
    objects: Objects
    folder: Path
    producer: Producer
    keys: dict[str, str] = field(default_factory=dict)

    async def say(self, *facts: Fact | Event[Any], at: datetime = NOW) -> list[Event[Any]]:
        """Publish facts, or events as they are, as the service that owns them would."""
        events = [fact if isinstance(fact, Event) else event(fact, at=at) for fact in facts]
        for each in events:
            await self.producer.publish(
                f"{self.settings.kafka_topic_prefix}{each.topic}",
                key=each.partitionkey.encode(),
                value=each.encode(),
                headers=[],
            )
        return events

    async def heard(self, topic: str, *types: type[Fact]) -> list[Any]:
        """What was said in a topic, once per event id, in the order it is read: the facts of some types."""
        seen: dict[str, Event[Any]] = {}
        async for events in replay(self.settings, topic):
            seen.update({each.id: each for each in events})
        return [each.data for each in seen.values() if isinstance(each.data, types)]

    async def hears(self, topic: str, kind: type[Fact], *, count: int = 1, within: float = 60.0) -> list[Any]:
        """The facts of a type in a topic, as soon as there are so many."""

        found: list[Any] = []

        async def enough() -> bool:
            found[:] = await self.heard(topic, kind)
            return len(found) >= count

        try:
            await eventually(enough, within=within, every=0.2, what=f"{count} {kind.type} in {topic}")
        except AssertionError as late:
            raise AssertionError(f"{late}; {len(found)} were there: {found}") from late
        return found

    async def publish_challenge(
        self,
        challenge: str = "chl_1",
        *,
        demand: dict[str, Any] | None = None,
        leaderboard: Visibility = Visibility.PUBLIC,
        ends_at: datetime = NOW + timedelta(days=1),
    ) -> ChallengePublished:
        """A challenge of the sponsor `spn_1` with one phase."""
        rubric = Rubric.load("core-0")
        fact = ChallengePublished(
            challenge=challenge,
            version=1,
            title={"en": "Penguins"},
            sector="science",
            sponsor="spn_1",
            demand=demand or DEMAND,
            rubric=rubric.as_dict(),
            rubric_digest=rubric.digest,
            phases=(
                Phase(name="preliminary", starts_at=NOW - timedelta(days=9), ends_at=ends_at, leaderboard=leaderboard),
            ),
            quota=Quota(per_day=100, total=1000),
            limits=Limits(bytes=10**9, formats=("csv",)),
        )
        await self.say(fact)
        return fact

    async def key_of(self, owner: str, role: Role) -> dict[str, str]:
        """The header of a caller whose key was issued."""
        if owner not in self.keys:
            credential = CredentialId(SystemIds().new("key"))
            made = make_key(role, credential)
            self.keys[owner] = made.key
            await self.say(
                CredentialIssued(credential=credential, owner=owner, role=role, secret_sha256=made.secret_sha256)
            )
        return {"Authorization": f"Bearer {self.keys[owner]}"}

    async def hand_in(self, upload: str, content: bytes, filename: str = "penguins.csv") -> None:
        """Store a verified upload, as ingest leaves it."""
        await self.objects.put(f"datasets/{upload}/dataset", content)
        manifest = {"filename": filename, "bytes": len(content), "sha256": "0" * 64}
        await self.objects.put(f"datasets/{upload}/manifest.json", json.dumps(manifest).encode())


async def got(client: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """The answer to a GET, as soon as the service knows the caller's key."""

    async def answered() -> httpx.Response | None:
        answer = await client.get(path, headers=headers)
        return None if answer.status_code == 401 else answer

    found: httpx.Response | None = await eventually(answered, what=f"an answer to {path}")
    assert found is not None
    return found


DEMAND: dict[str, Any] = {
    "label": "species",
    "required": ["species", "mass"],
    "types": {"species": "text", "mass": "integer"},
    "records": 3,
}


def accepted(submission: str, dataset_digest: str, *, team: str = "team_1", challenge: str = "chl_1") -> Fact:
    """The acceptance of a submission whose upload has the same number."""
    return SubmissionAccepted(
        submission=submission,
        challenge=challenge,
        challenge_version=1,
        phase="preliminary",
        team=team,
        upload=submission.replace("sub_", "upl_"),
        digest="0" * 64,
        bytes=1,
        received_at=NOW,
        dataset_digest=dataset_digest,
        files=1,
    )


@asynccontextmanager
async def new_world(kafka: KafkaServer, mongo: MongoServer, folder: Path) -> AsyncIterator[World]:
    """A world of its own on shared servers."""
    prefix = f"t{secrets.token_hex(5)}."
    settings = Settings(
        kafka_bootstrap=(kafka.bootstrap,),
        kafka_topic_prefix=prefix,
        mongo_uri=mongo.uri,
        mongo_database_prefix=prefix.rstrip("."),
        objects_url=f"file://{folder}/objects",
        scratch_dir=folder / "scratch",
    )
    variables = environment(
        kafka,
        mongo,
        prefix,
        JIEBANG_OBJECTS_URL=settings.objects_url,
        JIEBANG_SCRATCH_DIR=str(settings.scratch_dir),
    )
    await ensure_topics(settings)
    producer = Producer(settings)
    await producer.start()
    try:
        yield World(settings, variables, Objects(settings.objects_url), folder, producer)
    finally:
        await producer.stop()


def shuffled_twice(events: Sequence[Event[Any]], dice: Any) -> list[Event[Any]]:
    """Every event twice, in any order."""
    mixed = [*events, *events]
    dice.shuffle(mixed)
    return mixed
