"""Leaderboards in memory, as far as this process has seen them, over the store that decides.

Folding and reading both need a whole board. Making it of its entries each time would cost more with every submission,
so each process keeps the boards it uses and only reads what was folded elsewhere since it last looked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, BoardFact, Record
from services.ranking.store import Leaderboards
from shared.contracts.envelope import Event
from shared.failures import DependencyDown, TransientError
from shared.logs import get_logger

log = get_logger(__name__)

_MOST_UNWRITTEN = 64
_LONGEST_RACE = 20.0


class Race:
    """Repeated turns at changing a board that others change too, with growing waits between them."""

    def __init__(self, board: str) -> None:
        self._board = board
        self._over_at: float | None = None
        self._wait = 0.001

    async def lost(self) -> None:
        """Wait before the next turn.

        Raises:
            TransientError: none of the turns of some seconds was the first.
        """
        now = asyncio.get_running_loop().time()
        self._over_at = self._over_at or now + _LONGEST_RACE
        if now > self._over_at:
            raise TransientError(f"{self._board} is changed by too many at once")
        # Whoever was faster may have been seen by the write and not yet by the reads, which are of what is safe.
        await asyncio.sleep(random.uniform(self._wait / 2, self._wait))
        self._wait = min(self._wait * 2, 0.05)


@dataclass
class LiveBoard:
    """A board in memory at one head; `unwritten` are the records whose entries are not known to be written."""

    head: Leaderboard
    board: Board = field(default_factory=Board)
    unwritten: dict[str, Record] = field(default_factory=dict)
    loaded: bool = False
    looked_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: asyncio.Task[None] | None = None


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
            race = Race(live.head.id)
            while True:
                if len(live.unwritten) >= _MOST_UNWRITTEN:
                    await self._write(live)
                step = live.head.fold(live.board, fact, live.unwritten.values())
                if step is None:
                    return False
                if await self._store.advance(live.head, step.head, step.events, cause=cause):
                    step.apply(live.board)
                    live.head = step.head
                    live.unwritten[fact.submission] = step.plan.record
                    self._write_beside(live)
                    return True
                await race.lost()
                await self.catch_up(live)

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
                self._write_beside(live)
            yield live

    async def catch_up(self, live: LiveBoard) -> None:
        """Bring a held board to what is stored now: what was folded since, or all of it after a rebuild."""
        now = asyncio.get_running_loop().time()
        head = await self._store.head(live.head.challenge, live.head.phase)
        if not live.loaded or head.generation != live.head.generation or head.seq < live.head.seq:
            await self._load(live, head)
        elif head.seq > live.head.seq:
            for record in (*await self._store.records(head, after=live.head.seq), *head.unwritten):
                for fact in record.facts:
                    if plan := live.board.plan(fact):
                        live.board.apply(fact, plan)
            live.head, live.unwritten = head, {record.submission: record for record in head.unwritten}
        live.looked_at = now

    async def _load(self, live: LiveBoard, head: Leaderboard) -> None:
        head, records = await load(self._store, head)
        left = live.head if live.loaded and live.head.generation != head.generation else None
        live.board = Board(fact for record in records for fact in record.facts)
        live.head, live.unwritten = head, {record.submission: record for record in head.unwritten}
        live.loaded = True
        if left is not None:
            # What this process was writing when the board was rebuilt came too late to be removed with the rest.
            await self._written(live)
            await self._store.discard(left)

    # --- writing entries

    async def settle(self) -> None:
        """Wait until the entries that are being written are written."""
        for live in self._live.values():
            await self._written(live)

    async def run(self) -> None:
        """Do nothing until cancelled, then settle: a process that is stopped leaves whole boards."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.settle()

    async def _written(self, live: LiveBoard) -> None:
        if live.writing is not None:
            await asyncio.wait([live.writing])

    def _write_beside(self, live: LiveBoard) -> None:
        """Begin to write the entries that may be missing, unless that is going on."""
        if live.unwritten and (live.writing is None or live.writing.done()):
            live.writing = asyncio.get_running_loop().create_task(self._write_all(live))

    async def _write_all(self, live: LiveBoard) -> None:
        try:
            while live.unwritten:
                await self._write(live)
        except (DependencyDown, TransientError) as error:
            # The head has them: they are written with the next fold, by whoever folds it.
            log.warning("entries_not_written", board=live.head.id, entries=len(live.unwritten), error=repr(error))

    async def _write(self, live: LiveBoard) -> None:
        head, batch = live.head, dict(live.unwritten)
        await self._store.write(head, batch.values())
        for submission, record in batch.items():
            if live.unwritten.get(submission) is record:
                del live.unwritten[submission]

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
