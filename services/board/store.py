"""Where the board keeps challenges, teams and API keys: intents, once on MongoDB and once in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from services.board.challenge import Challenge
from services.board.credential import Credential
from services.board.team import Team
from shared.clock import Clock
from shared.contracts.envelope import Fact
from shared.ids import Ids
from shared.mongo import AggregateExists, AggregateMissing, Aggregates, Database, database_now, translated
from shared.outbox import Relay

SOURCE = "/jiebang/board"

State = TypeVar("State")
Change = Callable[[State], tuple[State, Sequence[Fact]]]


class Store(Protocol):
    """What the board remembers. A change is a pure function, applied again when another writer was faster."""

    async def now(self) -> datetime:
        """The present moment by the clock that judges phases."""
        ...

    async def add_challenge(self, state: Challenge, facts: Sequence[Fact]) -> None:
        """Stores a new challenge; raises `AggregateExists` if the id is taken."""
        ...

    async def challenge(self, id: str) -> Challenge | None:
        """The challenge with this id."""
        ...

    async def update_challenge(self, id: str, change: Change[Challenge]) -> Challenge:
        """Changes a challenge; raises `AggregateMissing`."""
        ...

    async def challenges(self, *, after: str | None, limit: int) -> Sequence[Challenge]:
        """Challenges from the newest on, those older than the one with id `after`."""
        ...

    async def challenges_due(self, now: datetime, limit: int) -> Sequence[str]:
        """The ids of challenges with a phase to open or close by `now`, the longest overdue first."""
        ...

    async def add_team(self, state: Team, facts: Sequence[Fact]) -> None:
        """Stores a new team; raises `AggregateExists` if the id is taken."""
        ...

    async def team(self, id: str) -> Team | None:
        """The team with this id."""
        ...

    async def teams(self, ids: Sequence[str]) -> Sequence[Team]:
        """Those of the teams that exist, by id."""
        ...

    async def update_team(self, id: str, change: Change[Team]) -> Team:
        """Changes a team; raises `AggregateMissing`."""
        ...

    async def add_credential(self, state: Credential, facts: Sequence[Fact]) -> None:
        """Stores a new API key; raises `AggregateExists` if the id is taken."""
        ...

    async def credential(self, id: str) -> Credential | None:
        """The API key with this id."""
        ...

    async def credentials(self, owner: str) -> Sequence[Credential]:
        """The API keys of an owner, oldest first."""
        ...

    async def update_credential(self, id: str, change: Change[Credential]) -> Credential:
        """Changes an API key; raises `AggregateMissing`."""
        ...


class MongoStore:
    """The board's collections in its own database."""

    def __init__(self, database: Database, *, relay: Relay, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._challenges = Aggregates(
            database, "challenges", Challenge, source=SOURCE, relay=relay, clock=clock, ids=ids
        )
        self._teams = Aggregates(database, "teams", Team, source=SOURCE, relay=relay, clock=clock, ids=ids)
        self._credentials = Aggregates(
            database, "credentials", Credential, source=SOURCE, relay=relay, clock=clock, ids=ids
        )

    async def prepare(self) -> None:
        """Creates the indexes."""
        for aggregates in (self._challenges, self._teams, self._credentials):
            await aggregates.prepare()
        with translated():
            await self._challenges.collection.create_index("state.next_turn_at")
            await self._credentials.collection.create_index("state.owner")

    async def now(self) -> datetime:
        """The present moment by the database's clock."""
        return await database_now(self._database.client)

    async def add_challenge(self, state: Challenge, facts: Sequence[Fact]) -> None:
        """See `Store`."""
        await self._challenges.add(state.id, state, facts)

    async def challenge(self, id: str) -> Challenge | None:
        """See `Store`."""
        return await self._challenges.find(id)

    async def update_challenge(self, id: str, change: Change[Challenge]) -> Challenge:
        """See `Store`."""
        return await self._challenges.update(id, change)

    async def challenges(self, *, after: str | None, limit: int) -> Sequence[Challenge]:
        """See `Store`."""
        return await self._challenges.query(
            {} if after is None else {"_id": {"$lt": after}}, sort=[("_id", -1)], limit=limit
        )

    async def challenges_due(self, now: datetime, limit: int) -> Sequence[str]:
        """See `Store`."""
        due = await self._challenges.query(
            {"state.next_turn_at": {"$lte": now}}, sort=[("state.next_turn_at", 1)], limit=limit
        )
        return [challenge.id for challenge in due]

    async def add_team(self, state: Team, facts: Sequence[Fact]) -> None:
        """See `Store`."""
        await self._teams.add(state.id, state, facts)

    async def team(self, id: str) -> Team | None:
        """See `Store`."""
        return await self._teams.find(id)

    async def teams(self, ids: Sequence[str]) -> Sequence[Team]:
        """See `Store`."""
        return await self._teams.query({"_id": {"$in": list(ids)}}, limit=len(ids)) if ids else []

    async def update_team(self, id: str, change: Change[Team]) -> Team:
        """See `Store`."""
        return await self._teams.update(id, change)

    async def add_credential(self, state: Credential, facts: Sequence[Fact]) -> None:
        """See `Store`."""
        await self._credentials.add(state.id, state, facts)

    async def credential(self, id: str) -> Credential | None:
        """See `Store`."""
        return await self._credentials.find(id)

    async def credentials(self, owner: str) -> Sequence[Credential]:
        """See `Store`."""
        return await self._credentials.query({"state.owner": owner}, limit=1000)

    async def update_credential(self, id: str, change: Change[Credential]) -> Credential:
        """See `Store`."""
        return await self._credentials.update(id, change)


class MemoryStore:
    """The same, in this process's memory; `facts` is everything that would have been published."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._challenges: dict[str, Challenge] = {}
        self._teams: dict[str, Team] = {}
        self._credentials: dict[str, Credential] = {}
        self.facts: list[Fact] = []

    async def now(self) -> datetime:
        """The present moment by the clock it was given."""
        return self._clock.now()

    async def add_challenge(self, state: Challenge, facts: Sequence[Fact]) -> None:
        """See `Store`."""
        self._add(self._challenges, state.id, state, facts)

    async def challenge(self, id: str) -> Challenge | None:
        """See `Store`."""
        return self._challenges.get(id)

    async def update_challenge(self, id: str, change: Change[Challenge]) -> Challenge:
        """See `Store`."""
        return self._update(self._challenges, id, change)

    async def challenges(self, *, after: str | None, limit: int) -> Sequence[Challenge]:
        """See `Store`."""
        ids = sorted((id for id in self._challenges if after is None or id < after), reverse=True)
        return [self._challenges[id] for id in ids[:limit]]

    async def challenges_due(self, now: datetime, limit: int) -> Sequence[str]:
        """See `Store`."""
        turns = [(entry.next_turn_at, entry.id) for entry in self._challenges.values()]
        return [id for turn, id in sorted((turn, id) for turn, id in turns if turn is not None and turn <= now)][:limit]

    async def add_team(self, state: Team, facts: Sequence[Fact]) -> None:
        """See `Store`."""
        self._add(self._teams, state.id, state, facts)

    async def team(self, id: str) -> Team | None:
        """See `Store`."""
        return self._teams.get(id)

    async def teams(self, ids: Sequence[str]) -> Sequence[Team]:
        """See `Store`."""
        return [self._teams[id] for id in sorted(set(ids)) if id in self._teams]

    async def update_team(self, id: str, change: Change[Team]) -> Team:
        """See `Store`."""
        return self._update(self._teams, id, change)

    async def add_credential(self, state: Credential, facts: Sequence[Fact]) -> None:
        """See `Store`."""
        self._add(self._credentials, state.id, state, facts)

    async def credential(self, id: str) -> Credential | None:
        """See `Store`."""
        return self._credentials.get(id)

    async def credentials(self, owner: str) -> Sequence[Credential]:
        """See `Store`."""
        return [self._credentials[id] for id in sorted(self._credentials) if self._credentials[id].owner == owner]

    async def update_credential(self, id: str, change: Change[Credential]) -> Credential:
        """See `Store`."""
        return self._update(self._credentials, id, change)

    def _add(self, kept: dict[str, State], id: str, state: State, facts: Sequence[Fact]) -> None:
        if id in kept:
            raise AggregateExists("memory", id)
        kept[id] = state
        self.facts += facts

    def _update(self, kept: dict[str, State], id: str, change: Change[State]) -> State:
        if id not in kept:
            raise AggregateMissing("memory", id)
        kept[id], facts = change(kept[id])
        self.facts += facts
        return kept[id]
