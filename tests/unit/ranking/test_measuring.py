"""The phases under way, as operators see them."""

from __future__ import annotations

from datetime import datetime, timedelta

from prometheus_client import REGISTRY

from services.ranking.boards import Boards
from services.ranking.challenge import Challenge, Phase
from services.ranking.measuring import MOST_PHASES, Measuring
from services.ranking.projection import Board, End
from services.ranking.store import MemoryChallenges, MemoryLeaderboards
from tests.fakes import FixedClock
from tests.unit.ranking.test_projection import START, ended, received, scored
from tests.unit.ranking.test_reading import FACTS


class Stage:
    """Boards that are folded and measured."""

    def __init__(self) -> None:
        self.clock = FixedClock(START + timedelta(days=1))
        self.challenges = MemoryChallenges()
        self.store = MemoryLeaderboards()
        self.boards = Boards(self.store, fresh=timedelta(0))
        self.measuring = Measuring(self.store, self.boards, self.challenges, self.now)

    async def now(self) -> datetime:
        return self.clock.now()

    async def open(self, challenge: str, *, began: datetime = START) -> None:
        phase = Phase("preliminary", began, began + timedelta(days=30))
        await self.challenges.keep(Challenge(challenge, 1, "spn_1", (phase,)))
        await self.boards.fold(challenge, "preliminary", received("sub_0", "red"))


def told(metric: str, challenge: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"challenge": challenge, "phase": "preliminary", **labels})


async def test_every_submission_is_told_once_by_what_became_of_it() -> None:
    stage = Stage()
    await stage.open("chl_a")
    for fact in FACTS:
        await stage.boards.fold("chl_a", "preliminary", fact)
    await stage.measuring.measure()
    outcomes = {
        outcome: told("leaderboard_submissions", "chl_a", outcome=outcome)
        for outcome in ("pending", "scored", "rejected", "failed", "cancelled")
    }
    assert outcomes == {"pending": 2, "scored": 4, "rejected": 0, "failed": 0, "cancelled": 1}
    assert told("leaderboard_teams", "chl_a") == 3
    bands = [told("leaderboard_scores", "chl_a", band=str(band)) for band in range(0, 100, 10)]
    assert bands == [0, 0, 0, 0, 0, 0, 0, 1, 1, 2]


async def test_a_phase_that_is_over_is_no_longer_told() -> None:
    stage = Stage()
    await stage.open("chl_b")
    await stage.measuring.measure()
    assert told("leaderboard_submissions", "chl_b", outcome="pending") == 1
    await stage.challenges.close("chl_b", "preliminary")
    await stage.measuring.measure()
    assert told("leaderboard_submissions", "chl_b", outcome="pending") is None
    assert told("leaderboard_scores", "chl_b", band="0") is None
    assert told("leaderboard_teams", "chl_b") is None


async def test_of_many_phases_those_that_began_last_are_told() -> None:
    stage = Stage()
    for number in range(MOST_PHASES + 2):
        await stage.open(f"chl_{number}", began=START - timedelta(days=number % 29, hours=number))
    await stage.measuring.measure()
    shown = {number for number in range(MOST_PHASES + 2) if told("leaderboard_teams", f"chl_{number}") is not None}
    assert shown == set(range(MOST_PHASES))


def test_a_full_hundred_is_in_the_last_band_and_what_ended_in_none() -> None:
    board = Board(
        [
            scored("sub_1", "red", "100.000000"),
            scored("sub_2", "red", "89.999999"),
            scored("sub_3", "blue", "0.000000"),
            scored("sub_4", "blue", "55.000000"),
            ended("sub_4", "blue", End.FAILED),
        ]
    )
    assert board.bands() == {90: 1, 80: 1, 0: 1}
    assert board.outcomes() == {"scored": 3, "failed": 1}
