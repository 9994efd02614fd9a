"""Boards as people read them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.ranking.api import may_see_all_of
from services.ranking.boards import Boards
from services.ranking.challenge import Challenge, Phase
from services.ranking.projection import BoardFact, End
from services.ranking.reading import Page, Reading, Recent
from services.ranking.store import MemoryChallenges, MemoryLeaderboards
from shared.auth import Principal
from shared.contracts.board import Role
from shared.ids import CredentialId, OwnerId
from shared.problems import Problem
from tests.fakes import FixedClock
from tests.unit.ranking.test_projection import START, at, ended, received, scored

PHASE = Phase("preliminary", START, START + timedelta(days=30))
CHALLENGE = Challenge("chl_1", 1, "spn_1", (PHASE,))

FACTS: list[BoardFact] = [
    received("sub_1", "red"),
    scored("sub_1", "red", "90.000000", 10),
    scored("sub_2", "blue", "90.000000", 11, least="49.000000"),
    scored("sub_3", "green", "70.000000", 12),
    scored("sub_4", "red", "80.000000", 13),
    received("sub_5", "red", 14),
    scored("sub_6", "red", "99.000000", 15),
    ended("sub_6", "red", End.CANCELLED, 16),
]


def parsed(page: Page | None) -> dict[str, Any]:
    assert page is not None
    content: dict[str, Any] = json.loads(page.body)
    return content


class Stage:
    """A board that is folded and read."""

    def __init__(self) -> None:
        self.clock = FixedClock(START + timedelta(days=1))
        self.challenges = MemoryChallenges()
        self.boards = Boards(MemoryLeaderboards(), fresh=timedelta(0))
        self.reading = Reading(self.boards, self.challenges, self.now, pages=64)

    async def now(self) -> datetime:
        return self.clock.now()

    async def fold(self, *facts: BoardFact) -> Stage:
        for fact in facts:
            await self.boards.fold("chl_1", "preliminary", fact)
        return self

    async def page(self, *, minutes: int | None = None, limit: int = 100, after: str | None = None) -> Page:
        view = await self.reading.view(CHALLENGE, PHASE, None if minutes is None else at(minutes))
        return self.reading.page(view, limit=limit, after=after)

    async def team(self, team: str, *, whole: bool = True) -> Page | None:
        return self.reading.team(await self.reading.view(CHALLENGE, PHASE), team, whole=whole)


async def test_a_board_shows_each_team_once_in_order_with_its_numbers() -> None:
    board = parsed(await (await Stage().fold(*FACTS)).page())
    assert [(entry["rank"], entry["team"], entry["total"]) for entry in board["entries"]] == [
        (1, "red", "90.000000"),
        (2, "blue", "90.000000"),
        (3, "green", "70.000000"),
    ]
    red = board["entries"][0]
    assert (red["submission"], red["submissions"], red["least_dimension"]) == ("sub_1", 2, "50.000000")
    assert (board["pending"], board["provisional"], board["board_seq"]) == (1, True, len(FACTS))
    assert board["as_of"] == "2026-03-01T00:16:00.000000Z"
    assert board["next"] is None


async def test_pages_follow_each_other_without_a_gap() -> None:
    stage = await Stage().fold(*FACTS)
    teams, after = [], None
    for _ in range(3):
        page = await stage.page(limit=1, after=after)
        teams += [entry["team"] for entry in parsed(page)["entries"]]
        after = page.next
    assert (teams, after) == (["red", "blue", "green"], None)


@pytest.mark.parametrize("cursor", ["", "x", "WyJhIl0", "Wy0xXQ", "WzEsMl0"])
async def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    stage = await Stage().fold(*FACTS)
    with pytest.raises(Problem) as refused:
        await stage.page(after=cursor)
    assert refused.value.code == "invalid_cursor"


async def test_a_page_is_rendered_once_per_state_of_the_board() -> None:
    stage = await Stage().fold(*FACTS[:3])
    first = await stage.page()
    assert await stage.page() is first
    await stage.fold(FACTS[0])
    assert await stage.page() is first, "a duplicate changed the board"
    await stage.fold(FACTS[3])
    second = await stage.page()
    assert second.etag != first.etag


async def test_the_board_as_of_a_moment_knows_nothing_of_what_came_later() -> None:
    stage = await Stage().fold(*FACTS)
    assert [entry["team"] for entry in parsed(await stage.page(minutes=11))["entries"]] == ["red", "blue"]
    at_15 = parsed(await stage.page(minutes=15))
    assert at_15["entries"][0]["submission"] == "sub_6"
    assert at_15["as_of"] == "2026-03-01T00:15:00.000000Z"
    assert parsed(await stage.page(minutes=9))["entries"] == []
    assert parsed(await stage.page(minutes=9))["pending"] == 1


async def test_the_phase_shown_without_a_name_is_the_last_one_begun_by_the_clock_that_judges_phases() -> None:
    stage = Stage()
    final = Phase("final", PHASE.ends_at, PHASE.ends_at + timedelta(days=3))
    challenge = Challenge("chl_1", 1, "spn_1", (PHASE, final))
    assert final.starts_at > stage.clock.now()
    assert await stage.reading.phase(challenge, None) == PHASE
    stage.clock.moment = final.starts_at
    assert await stage.reading.phase(challenge, None) == final
    assert await stage.reading.phase(challenge, "preliminary") == PHASE
    assert await stage.reading.phase(challenge, "none") is None


async def test_a_moment_to_come_is_refused() -> None:
    with pytest.raises(Problem) as refused:
        await (await Stage().fold(*FACTS)).page(minutes=2 * 24 * 60)
    assert refused.value.code == "moment_to_come"


async def test_a_rank_is_explained_by_its_neighbours_and_all_its_submissions() -> None:
    stage = await Stage().fold(*FACTS)
    blue = parsed(await stage.team("blue"))
    assert blue["rank"] == 2
    assert blue["ahead"] == {
        "team": "red",
        "total": "90.000000",
        "difference": "0.000000",
        "decided_by": "least_dimension",
    }
    assert blue["behind"] == {
        "team": "green",
        "total": "70.000000",
        "difference": "20.000000",
        "decided_by": "total",
    }
    red = parsed(await stage.team("red"))
    assert [(each["submission"], each["why"], each["counted"]) for each in red["counted"]] == [
        ("sub_1", "best", True),
        ("sub_4", "not_the_best", False),
        ("sub_5", "pending", False),
        ("sub_6", "cancelled", False),
    ]
    assert red["best"]["submission"] == "sub_1"
    assert red["ahead"] is None


async def test_the_public_sees_only_the_submissions_of_a_team_that_have_a_place() -> None:
    stage = await Stage().fold(*FACTS, received("sub_7", "white", 20))
    await stage.team("red")
    red = parsed(await stage.team("red", whole=False))
    assert [each["submission"] for each in red["counted"]] == ["sub_1", "sub_4"]
    assert red["rank"] == 1
    assert await stage.team("white") is not None
    assert await stage.team("white", whole=False) is None, "that it has handed something in is its own affair"


@pytest.mark.parametrize(
    ("role", "owner", "sees"),
    [
        (None, "", False),
        (Role.TEAM, "team_red", True),
        (Role.TEAM, "team_blue", False),
        (Role.SPONSOR, "spn_1", True),
        (Role.SPONSOR, "spn_2", False),
        (Role.ORGANISER, "org_1", True),
        (Role.OPERATOR, "opr_1", True),
    ],
)
def test_who_is_told_of_submissions_without_a_place(role: Role | None, owner: str, sees: bool) -> None:
    reader = None if role is None else Principal(CredentialId("key_1"), OwnerId(owner), role)
    assert may_see_all_of("team_red", CHALLENGE, reader) is sees


async def test_a_team_without_a_counted_score_has_no_rank_but_an_explanation() -> None:
    stage = await Stage().fold(received("sub_1", "red"), ended("sub_1", "red", End.REJECTED))
    red = parsed(await stage.team("red"))
    assert (red["rank"], red["best"], red["ahead"], red["behind"]) == (None, None, None, None)
    assert red["counted"][0]["why"] == "rejected"
    assert await stage.team("nobody") is None


async def test_the_history_is_told_from_the_start_with_the_sequence_of_each_event() -> None:
    stage = await Stage().fold(*FACTS)
    view = await stage.reading.view(CHALLENGE, PHASE)
    page = stage.reading.history(view, limit=4, after=None)
    changes = parsed(page)["changes"]
    changes += parsed(stage.reading.history(view, limit=4, after=page.next))["changes"]
    assert [(move["submission"], move["previous_rank"], move["rank"], move["leader"]) for move in changes] == [
        ("sub_1", None, 1, True),
        ("sub_2", None, 2, False),
        ("sub_3", None, 3, False),
        ("sub_4", 1, 1, False),
        ("sub_6", 1, 1, False),
        ("sub_6", 1, 1, False),
    ]
    assert [move["board_seq"] for move in changes] == [2, 3, 4, 5, 7, 8]


async def test_a_challenge_is_asked_for_again_only_when_what_is_known_is_old() -> None:
    stage = Stage()
    patient = Reading(stage.boards, stage.challenges, stage.now, pages=1, fresh=timedelta(hours=1))
    assert await patient.challenge("chl_1") is None
    await stage.challenges.keep(CHALLENGE)
    for reading in (patient, stage.reading):
        assert await reading.challenge("chl_1") == CHALLENGE
    await stage.challenges.close("chl_1", "preliminary")
    assert await patient.challenge("chl_1") == CHALLENGE
    closed = await stage.reading.challenge("chl_1")
    assert closed is not None
    assert closed.closed == {"preliminary"}


async def test_a_clock_that_is_put_back_does_not_keep_what_is_known_fresh() -> None:
    stage, passed = Stage(), 0.0
    stage.reading = Reading(stage.boards, stage.challenges, stage.now, pages=1, fresh=timedelta(seconds=1))
    stage.reading._known._seconds = lambda: passed
    await stage.challenges.keep(CHALLENGE)
    await stage.reading.challenge("chl_1")
    await stage.challenges.close("chl_1", "preliminary")
    stage.clock.advance(timedelta(hours=-1))
    passed = 1.0
    known = await stage.reading.challenge("chl_1")
    assert known is not None
    assert known.closed == {"preliminary"}


def test_only_the_values_used_last_are_kept() -> None:
    recent: Recent[str, int] = Recent(2)
    for number, name in enumerate("abc"):
        recent.keep(name, number)
    assert list(recent) == ["b", "c"]
