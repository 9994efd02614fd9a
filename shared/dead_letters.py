"""Dead letters: records that could not be handled, kept unchanged, to be looked at, redriven in order or discarded.

They lie in one topic per consumer group, with one partition. Redriving hands a record to the handler of the group it
failed in, so no other service sees it again; what has become of each is noted in the service's database.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from shared import metrics, tracing
from shared.auth import Principal, require
from shared.clock import Clock
from shared.codec import Record, decode
from shared.consumption import Consumption
from shared.contracts.board import Role
from shared.contracts.envelope import UnknownEvent, rfc3339
from shared.failures import DependencyDown, PermanentError, ProjectionBehind, Reason
from shared.kafka import Producer, dead_letter_topic, read_records
from shared.logs import get_logger
from shared.mongo import Database, translated
from shared.problems import Problem, not_found
from shared.settings import Settings

log = get_logger(__name__)

PUBLISH_SECONDS = 15.0
REDRIVEN_AT_ONCE = 500
SHOWN_BYTES = 64 * 1024
_HEADER = "dlq-"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be handled, and where and why."""

    id: str
    stream: str
    group: str
    partition: int
    offset: int
    key: str
    reason: str
    attempts: int
    error: str
    buried_at: str
    type: str | None
    bytes: int


class Cemetery:
    """Publishes dead letters: unchanged key, bytes and headers, and `dlq-…` headers beside them."""

    def __init__(self, producer: Producer, clock: Clock) -> None:
        self._producer = producer
        self._clock = clock

    async def bury(self, record: Record, group: str, *, reason: Reason, attempts: int, error: BaseException) -> None:
        """Publish a dead letter and wait until it is stored.

        Raises:
            DependencyDown: it is not known to be stored.
        """
        about = {
            "origin-topic": record.topic,
            "origin-partition": str(record.partition),
            "origin-offset": str(record.offset),
            "origin-timestamp": str(record.timestamp),
            "group": group,
            "reason": reason.value,
            "attempts": str(attempts),
            "error": repr(error)[:1000],
            "at": rfc3339(self._clock.now()),
        }
        headers = [
            *record.headers,
            *((f"{_HEADER}{name}", value.encode("utf-8", "replace")) for name, value in about.items()),
        ]
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._producer.publish(
                    dead_letter_topic(group), key=record.key, value=record.value, headers=headers
                )
        except (TimeoutError, PermanentError) as failure:
            raise DependencyDown("dead-letter topic", repr(failure)) from failure


class DeadLetterOffice:
    """Reads a service's dead letters and deals with them."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._dealt_with = database["dead_letters_dealt_with"]
        self._consumptions: dict[str, Consumption] = {}

    def watch(self, consumption: Consumption) -> None:
        """Take charge of the dead letters of a stream."""
        self._consumptions[consumption.name] = consumption

    async def waiting(self, stream: str | None = None) -> AsyncIterator[tuple[DeadLetter, Record]]:
        """The dead letters that nobody has dealt with, in the order they came; of one stream or of all.

        A record that was buried twice (because the answer was lost) is one dead letter.
        """
        for name, consumption in self._consumptions.items():
            if stream is not None and name != stream:
                continue
            seen = await self._ids_dealt_with(name)
            async for records in read_records(self._settings, dead_letter_topic(consumption.group)):
                for record in records:
                    letter = _letter(record, consumption)
                    if letter is not None and letter.id not in seen:
                        seen.add(letter.id)
                        yield letter, record

    async def find(self, id: str) -> tuple[DeadLetter, Record]:
        """A waiting dead letter.

        Raises:
            Problem: 404.
        """
        async for letter, record in self.waiting():
            if letter.id == id:
                return letter, record
        raise not_found("dead_letter")

    async def redrive(self, ids: Sequence[str] | None, by: str) -> dict[str, Any]:
        """Hand waiting dead letters (all of them if `ids` is None) to their handlers again, in order.

        The first that fails holds back the later ones of its key, so that order is kept; other keys go on.
        """
        redriven: list[str] = []
        failed: list[dict[str, str]] = []
        held_back: list[str] = []
        blocked: set[tuple[str, bytes | None]] = set()
        wanted = None if ids is None else set(ids)
        async for letter, record in self.waiting():
            if wanted is not None and letter.id not in wanted:
                continue
            if len(redriven) + len(failed) >= REDRIVEN_AT_ONCE:
                break
            line = (letter.stream, record.key)
            if line in blocked:
                held_back.append(letter.id)
                continue
            error = await self._handle(self._consumptions[letter.stream], record)
            if error is None:
                await self._deal_with(letter, "redriven", by)
                redriven.append(letter.id)
            else:
                blocked.add(line)
                failed.append({"id": letter.id, "error": error})
        return {"redriven": redriven, "failed": failed, "held_back": held_back}

    async def discard(self, ids: Sequence[str], by: str) -> list[str]:
        """Note that waiting dead letters are not to be handled any more; which ones there were."""
        discarded = []
        wanted = set(ids)
        async for letter, _record in self.waiting():
            if letter.id in wanted:
                await self._deal_with(letter, "discarded", by)
                discarded.append(letter.id)
        return discarded

    async def measure(self) -> int:
        """Export how many wait and for how long; how many in all."""
        numbers = dict.fromkeys(self._consumptions, 0)
        oldest: dict[str, datetime] = {}
        async for letter, _record in self.waiting():
            numbers[letter.stream] += 1
            oldest.setdefault(letter.stream, datetime.fromisoformat(letter.buried_at))
        now = self._clock.now()
        for name, number in numbers.items():
            metrics.DEAD_LETTERS_WAITING.labels(name).set(number)
            age = (now - oldest[name]).total_seconds() if name in oldest else 0
            metrics.DEAD_LETTERS_AGE.labels(name).set(max(0.0, age))
        return sum(numbers.values())

    async def _handle(self, consumption: Consumption, record: Record) -> str | None:
        try:
            event = decode(record)
            if not isinstance(event, UnknownEvent):
                with tracing.span(f"redrive {consumption.name} {event.type}", repeats=event.traceparent):
                    await consumption.handler(event)
        except (DependencyDown, ProjectionBehind):
            raise
        except Exception as error:  # noqa: BLE001 (failure policy: whatever it is, it stays a dead letter)
            log.warning("redrive_failed", stream=consumption.name, error=repr(error))
            return repr(error)[:1000]
        return None

    async def _ids_dealt_with(self, stream: str) -> set[str]:
        with translated():
            return {row["_id"] async for row in self._dealt_with.find({"stream": stream}, {"_id": 1})}

    async def _deal_with(self, letter: DeadLetter, how: str, by: str) -> None:
        with translated():
            await self._dealt_with.update_one(
                {"_id": letter.id, "how": {"$exists": False}},
                {"$set": {"stream": letter.stream, "how": how, "by": by, "at": self._clock.now()}},
                upsert=True,
            )
        log.info("dead_letter_dealt_with", id=letter.id, how=how, by=by)


def _letter(record: Record, consumption: Consumption) -> DeadLetter | None:
    about = {
        name.removeprefix(_HEADER): value.decode("utf-8", "replace")
        for name, value in record.headers
        if name.startswith(_HEADER)
    }
    if not {"origin-topic", "origin-partition", "origin-offset"} <= about.keys():
        log.warning("not_a_dead_letter", topic=record.topic, offset=record.offset)
        return None
    value = record.value or b""
    partition, offset = int(about["origin-partition"]), int(about["origin-offset"])
    return DeadLetter(
        # With the moment: in a topic that was made anew, other records have the same places.
        id=f"{consumption.name}-{partition}-{offset}-{about.get('origin-timestamp', '0')}",
        stream=consumption.name,
        group=consumption.group,
        partition=partition,
        offset=offset,
        key=(record.key or b"").decode("utf-8", "replace"),
        reason=about.get("reason", ""),
        attempts=int(about.get("attempts", "0")),
        error=about.get("error", ""),
        buried_at=about.get("at") or rfc3339(datetime.fromtimestamp(record.timestamp / 1000, UTC)),
        type=_type_of(value),
        bytes=len(value),
    )


def _type_of(value: bytes) -> str | None:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    kind = document.get("type") if isinstance(document, dict) else None
    return str(kind)[:200] if kind is not None else None


class Redrive(BaseModel):
    """Which dead letters to hand to their handlers again: some ids, or all."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = None
    all: bool = False


class Discard(BaseModel):
    """Which dead letters to let go."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[str], Field(min_length=1, max_length=1000)]


Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]


def router(service: str, office: DeadLetterOffice) -> APIRouter:
    """The routes `/v1/ops/<service>/dead-letters…`, for operators."""
    routes = APIRouter(prefix=f"/v1/ops/{service}", tags=["operations"])

    @routes.get("/dead-letters")
    async def list_dead_letters(
        principal: Operator, stream: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        """The dead letters that wait, in the order they came."""
        letters: list[dict[str, Any]] = []
        more = False
        async for letter, _record in office.waiting(stream):
            if len(letters) == limit:
                more = True
                break
            letters.append(asdict(letter))
        return {"dead_letters": letters, "more": more}

    @routes.get("/dead-letters/{id}")
    async def show_dead_letter(principal: Operator, id: str) -> dict[str, Any]:
        """One dead letter with its bytes, as text if they are text."""
        letter, record = await office.find(id)
        value = (record.value or b"")[:SHOWN_BYTES]
        try:
            body = {"text": value.decode()}
        except UnicodeDecodeError:
            body = {"base64": base64.b64encode(value).decode()}
        headers = [{"name": name, "value": header.decode("utf-8", "replace")} for name, header in record.headers]
        return {**asdict(letter), "headers": headers, "body": body}

    @routes.post("/dead-letters/redrive")
    async def redrive_dead_letters(principal: Operator, which: Redrive) -> dict[str, Any]:
        """Hand dead letters to their handlers again, in order; the first failure of a key holds back the rest of it."""
        if which.all == bool(which.ids):
            raise Problem(422, "invalid_request", "Say which dead letters: `ids`, or `all`.", "Send one of the two.")
        return await office.redrive(None if which.all else which.ids, principal.owner)

    @routes.post("/dead-letters/discard")
    async def discard_dead_letters(principal: Operator, which: Discard) -> dict[str, Any]:
        """Let dead letters go."""
        return {"discarded": await office.discard(which.ids, principal.owner)}

    return routes
