"""Leaderboards in memory, as far as this process has seen them, over the store that decides.

Folding and reading both need a whole board. Making it of its entries each time would cost more with every submission,
so each process keeps the boards it uses and only reads what was folded elsewhere since it last looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, BoardFact, Record
from services.ranking.store import Leaderboards
from shared.contracts.envelope import Event
from shared.failures import TransientError

_MOST_RACES = 100


@dataclass
class LiveBoard:
    """A board in memory at one head; `settled` says that all entries of that head are known to be written."""

    head: Leaderboard
    board: Board = field(default_factory=Board)
    loaded: bool = False
    settled: bool = False
    looked_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Boards:
    """Folds facts into boards, and reads boards that are at most `fresh` old."""

    def __init__(self, store: Leaderboards, *, fresh: timedelta = timedelta(milliseconds=250)) -> None:
        self._store = store
        self._fresh = fresh.total_seconds()
        self._live: dict[tuple[str, str], LiveBoard] = {}

    async def fold(self, challenge: str, phase: str, fact: BoardFact, *, cause: Event[Any] | None = None) -> bool:
        """Fold one fact, once and for all replicas; False if the board knew it.

        Raises:
            DependencyDown, TransientError: nothing, or everything, was stored; folding the fact again finds out.
        """
        async with self.held(challenge, phase) as live:
            for _ in range(_MOST_RACES):
                if not live.settled:
                    await self._store.write(live.head, live.head.unwritten)
                    live.settled = True
                step = live.head.fold(live.board, fact)
                if step is None:
                    return False
                if await self._store.advance(live.head, step.head, step.events, cause=cause):
                    step.apply(live.board)
                    live.head, live.settled = step.head, False
                    await self._store.write(step.head, step.head.unwritten)
                    live.settled = True
                    return True
                await self.catch_up(live)
        raise TransientError(f"{challenge}/{phase} is folded by too many at once")

    async def read(self, challenge: str, phase: str) -> LiveBoard:
        """A board that had everything folded anywhere up to `fresh` ago; not to be changed, and not to be kept."""
        live = self._live_board(challenge, phase)
        if self._stale(live):
            async with live.lock:
                if self._stale(live):
                    await self.catch_up(live)
        return live

    @asynccontextmanager
    async def held(self, challenge: str, phase: str) -> AsyncIterator[LiveBoard]:
        """A board that no one else in this process changes meanwhile."""
        live = self._live_board(challenge, phase)
        async with live.lock:
            if not live.loaded:
                await self.catch_up(live)
            yield live

    async def catch_up(self, live: LiveBoard) -> None:
        """Bring a held board to what is stored now: what was folded since, or all of it after a rebuild."""
        now = asyncio.get_running_loop().time()
        head = await self._store.head(live.head.challenge, live.head.phase)
        if not live.loaded or head.generation != live.head.generation or head.seq < live.head.seq:
            head, records = await load(self._store, head)
            live.board = Board(fact for record in records for fact in record.facts)
            live.loaded = True
        elif head.seq > live.head.seq:
            for record in (*await self._store.records(head, after=live.head.seq), *head.unwritten):
                for fact in record.facts:
                    if plan := live.board.plan(fact):
                        live.board.apply(fact, plan)
        else:
            live.looked_at = now
            return
        # Entries of this head may be missing if its writer died: whoever folds next writes them first.
        live.head, live.settled, live.looked_at = head, False, now

    def _live_board(self, challenge: str, phase: str) -> LiveBoard:
        key = (challenge, phase)
        if key not in self._live:
            self._live[key] = LiveBoard(Leaderboard(challenge, phase))
        return self._live[key]

    def _stale(self, live: LiveBoard) -> bool:
        return not live.loaded or asyncio.get_running_loop().time() - live.looked_at > self._fresh


async def load(store: Leaderboards, head: Leaderboard) -> tuple[Leaderboard, list[Record]]:
    """All entries of a board, and the head they belong to: that of a rebuild if one was switched to meanwhile."""
    while True:
        records = [*await store.records(head), *head.unwritten]
        now = await store.head(head.challenge, head.phase)
        if now.generation == head.generation:
            return head, records
        head = now  # the entries that were just read may be half removed
