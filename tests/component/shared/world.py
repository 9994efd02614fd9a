"""Processes of the small service, and what they leave in Kafka and MongoDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.contracts.envelope import UnknownEvent
from shared.contracts.registry import parse
from shared.kafka import read_records
from shared.mongo import Database
from shared.settings import Settings
from tests.component.shared.process import SmallService


class World:
    """Starts processes of the small service, and sees what they did."""

    def __init__(self, settings: Settings, folder: Path, stored: Database) -> None:
        self.settings = settings
        self.folder = folder
        self.stored = stored

    def process(self, name: str = "one", **environment: str) -> SmallService:
        return SmallService(self.settings, self.folder, name, **environment)

    async def tally(self, team: str) -> dict[str, Any] | None:
        found = await self.stored["tallies"].find_one({"_id": team})
        return None if found is None else found["state"]

    async def counted(self, team: str, events: int) -> bool:
        tally = await self.tally(team)
        return tally is not None and tally["events"] >= events

    async def published(self, team: str) -> list[tuple[str, int]]:
        """Id and sequence of every record about a team, as they lie in the topic."""
        topic = f"{self.settings.kafka_topic_prefix}board.teams"
        events = [parse(r.value or b"") async for records in read_records(self.settings, topic) for r in records]
        return [
            (event.id, event.sequence)
            for event in events
            if not isinstance(event, UnknownEvent) and event.subject == team
        ]

    async def outbox(self, team: str) -> int:
        found = await self.stored["teams"].find_one({"_id": team})
        return -1 if found is None else len(found["outbox"])

    async def quiet(self, team: str) -> bool:
        return await self.outbox(team) == 0
