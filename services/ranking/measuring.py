"""What operators see of the competition: the phases under way, what became of their submissions, their scores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from services.ranking.boards import Boards
from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, End
from services.ranking.store import Challenges, Leaderboards
from shared import metrics

MOST_PHASES = 20
"""Each has some sixteen series; a phase beyond these is on its board, and on no dashboard."""

OUTCOMES = ("pending", "scored", *(end.value for end in End))
BANDS = range(0, 100, 10)

_Phase = tuple[str, str]


class Measuring:
    """Exports the phases under way, those that began last first; every replica exports the same."""

    def __init__(
        self, store: Leaderboards, boards: Boards, challenges: Challenges, now: Callable[[], Awaitable[datetime]]
    ) -> None:
        self._store = store
        self._boards = boards
        self._challenges = challenges
        self._now = now
        self._told: set[_Phase] = set()

    async def measure(self) -> None:
        """Export what is on the boards now, and no longer what is over."""
        told = await self._under_way(await self._store.heads())
        for gone in self._told - set(told):
            _forget(gone)
        self._told = set(told)
        for challenge, phase in told:
            _tell((challenge, phase), (await self._boards.read(challenge, phase)).board)

    async def _under_way(self, heads: Iterable[Leaderboard]) -> list[_Phase]:
        now = await self._now()
        found: list[tuple[datetime, _Phase]] = []
        for head in heads:
            challenge = await self._challenges.find(head.challenge)
            if challenge is None or head.phase in challenge.closed:
                continue
            if phase := challenge.phase(head.phase, now):
                found.append((phase.starts_at, (head.challenge, head.phase)))
        return [phase for _, phase in sorted(found, reverse=True)[:MOST_PHASES]]


def _tell(phase: _Phase, board: Board) -> None:
    outcomes, bands = board.outcomes(), board.bands()
    for outcome in OUTCOMES:
        metrics.LEADERBOARD_SUBMISSIONS.labels(*phase, outcome).set(outcomes[outcome])
    for band in BANDS:
        metrics.LEADERBOARD_SCORES.labels(*phase, str(band)).set(bands[band])
    metrics.LEADERBOARD_TEAMS.labels(*phase).set(board.teams)


def _forget(phase: _Phase) -> None:
    for outcome in OUTCOMES:
        metrics.LEADERBOARD_SUBMISSIONS.remove(*phase, outcome)
    for band in BANDS:
        metrics.LEADERBOARD_SCORES.remove(*phase, str(band))
    metrics.LEADERBOARD_TEAMS.remove(*phase)
