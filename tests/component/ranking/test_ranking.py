"""Ranking as a process on real Kafka and MongoDB."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from shared.contracts.envelope import Event, Fact
from shared.contracts.intake import SubmissionCancelled, SubmissionFailed, SubmissionReceived, SubmissionRejected
from shared.contracts.ranking import EntryRecorded, LeaderboardChanged, LeaderChanged
from shared.contracts.scoring import ScoreCompleted
from tests.component.scoring.world import NOW, World, event
from tests.component.service_process import Running, running
from tests.eventually import eventually

BOARD = "/v1/leaderboards/chl_1"


def intake(kind: Any, submission: str, team: str, minutes: int = 0, **more: Any) -> Fact:
    fact: Fact = kind(
        submission=submission,
        challenge="chl_1",
        challenge_version=1,
        phase="preliminary",
        team=team,
        upload="upl_1",
        digest="0" * 64,
        bytes=1,
        received_at=NOW - timedelta(minutes=60 - minutes),
        **more,
    )
    return fact


def received(submission: str, team: str, minutes: int = 0) -> Event[Any]:
    return event(intake(SubmissionReceived, submission, team, minutes), at=NOW - timedelta(minutes=60 - minutes))


def score(submission: str, team: str, total: str, minutes: int = 0) -> Event[Any]:
    fact = ScoreCompleted(
        submission=submission,
        challenge="chl_1",
        challenge_version=1,
        phase="preliminary",
        team=team,
        received_at=NOW - timedelta(minutes=60 - minutes),
        rubric_digest="e" * 64,
        total=total,
        dimensions={"completeness": total, "$ 均衡.": "50.000000"},
        coverage="1.000000",
        grade="B",
        provisional=False,
        dataset_digest="d" * 64,
        engine="0.1.0",
        report_key="reports/r",
        report_sha256="f" * 64,
    )
    return event(fact, at=NOW - timedelta(minutes=50 - minutes))


def season(dice: random.Random, submissions: int = 40) -> list[Event[Any]]:
    """What a season says: every submission received, most scored, some ended otherwise, some both."""
    said: list[Event[Any]] = []
    for number in range(submissions):
        name, team = f"sub_{number:03}", f"team_{dice.randrange(9)}"
        said.append(received(name, team, number))
        ending = dice.random()
        if ending < 0.85:
            said.append(score(name, team, f"{dice.randrange(100)}.{dice.randrange(10**6):06}", number))
        if ending > 0.8:
            late = NOW - timedelta(minutes=dice.randrange(40))
            end = dice.choice(
                [
                    intake(SubmissionCancelled, name, team, number),
                    intake(SubmissionFailed, name, team, number, stage="score", code="deadline_passed"),
                    intake(SubmissionRejected, name, team, number, reasons=()),
                ]
            )
            said.append(event(end, at=late))
    return said


def ranking(world: World, folder: Path) -> Any:
    return running("services.ranking.app", "RANKING", folder, world.variables)


def client_of(process: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=30)


async def the_board(client: httpx.AsyncClient, path: str = BOARD, **expected: Any) -> dict[str, Any]:
    """The board, as soon as it shows what is expected."""

    async def shown() -> dict[str, Any] | None:
        answer = await client.get(path)
        board: dict[str, Any] = answer.json()
        return board if answer.status_code == 200 and all(board[k] == v for k, v in expected.items()) else None

    found: dict[str, Any] | None = await eventually(shown, what=f"{path} with {expected}")
    assert found is not None
    return found


async def test_a_score_becomes_an_entry_a_change_and_a_leader(world: World, tmp_path: Path) -> None:
    await world.publish_challenge()
    await world.say(received("sub_1", "team_1"), score("sub_1", "team_1", "87.125000"))
    async with ranking(world, tmp_path) as process, client_of(process) as client:
        [entry] = await world.hears("ranking.leaderboards", EntryRecorded)
        assert (entry.submission, entry.rank, entry.is_best) == ("sub_1", 1, True)
        assert len(await world.hears("ranking.leaderboards", LeaderboardChanged)) == 1
        assert len(await world.hears("ranking.leaderboards", LeaderChanged)) == 1
        board = await the_board(client, pending=0)
        assert board["provisional"] is False
        [row] = board["entries"]
        assert (row["rank"], row["team"], row["total"], row["least_dimension"]) == (
            1,
            "team_1",
            "87.125000",
            "50.000000",
        )
