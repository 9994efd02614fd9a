"""A leaderboard is a pure fold over facts."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.ranking.projection import Board, BoardFact, End, Ended, Received, Scored, canonical
from services.ranking.ranking_rules import Place, place

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def received(submission: str, team: str, minutes: int = 0) -> Received:
    return Received(submission, team, at(minutes), f"evt_r_{submission}", at(minutes))


def scored(
    submission: str,
    team: str,
    total: str | None,
    minutes: int = 10,
    *,
    rubric: str = "0" * 64,
    least: str = "50.000000",
    received_minutes: int = 0,
) -> Scored:
    return Scored(
        submission,
        team,
        at(minutes),
        f"evt_s_{submission}_{rubric[:4]}",
        at(received_minutes),
        rubric,
        total,
        "1.000000",
        {"completeness": least},
        "B",
    )


def ended(submission: str, team: str, end: End = End.FAILED, minutes: int = 20) -> Ended:
    return Ended(submission, team, at(minutes), f"evt_e_{submission}_{end}", end)


def fold(facts: list[BoardFact]) -> Board:
    """The board as handlers make it: one fact after the other, in the order they come."""
    board = Board()
    for fact in facts:
        if plan := board.plan(fact):
            board.apply(fact, plan)
    return board


def image(board: Board) -> bytes:
    return json.dumps(canonical(board), sort_keys=True).encode()


TOTALS = ("0.000000", "70.000000", "70.000001", "88.123456")
BROKEN_TOTALS = ("NaN", "Infinity", None)


@st.composite
def lives(draw: st.DrawFn, totals: Sequence[str | None] = (*TOTALS, *BROKEN_TOTALS)) -> list[BoardFact]:
    """The facts of up to a dozen submissions of four teams: received, scored once or twice, ended, in any mixture."""
    facts: list[BoardFact] = []
    for number in range(draw(st.integers(1, 12))):
        team, name = f"team_{draw(st.integers(0, 3))}", f"sub_{number:02}"
        if draw(st.booleans()):
            facts.append(received(name, team, draw(st.integers(0, 5))))
        for rubric in draw(st.sampled_from([(), ("a" * 64,), ("a" * 64, "b" * 64)])):
            facts.append(
                scored(
                    name,
                    team,
                    draw(st.sampled_from(totals)),
                    draw(st.integers(0, 30)),
                    rubric=rubric,
                    least=draw(st.sampled_from(["10.000000", "9.000000"])),
                    received_minutes=draw(st.integers(0, 2)),
                )
            )
        for end in draw(st.sets(st.sampled_from(End), max_size=2)):
            facts.append(ended(name, team, end, draw(st.integers(0, 30))))
    return facts


@given(lives(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_order_and_any_duplication_end_in_the_same_board(facts: list[BoardFact], dice: random.Random) -> None:
    rebuilt = image(Board(facts))
    shuffled = facts + [dice.choice(facts) for _ in range(len(facts))] if facts else []
    dice.shuffle(shuffled)
    assert image(fold(shuffled)) == rebuilt


@given(lives(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_board_is_what_a_plain_sort_of_its_records_says(facts: list[BoardFact], dice: random.Random) -> None:
    dice.shuffle(facts)
    board = fold(facts)
    gone = {fact.submission for fact in facts if isinstance(fact, Ended)}
    latest: dict[str, Scored] = {}
    for fact in sorted((f for f in facts if isinstance(f, Scored)), key=lambda f: (f.at, f.event)):
        latest[fact.submission] = fact
    best: dict[str, Place] = {}
    for score in latest.values():
        where = place(
            score.submission,
            total=score.total,
            dimensions=score.dimensions,
            coverage=score.coverage,
            received_at=score.received_at,
        )
        if where and score.submission not in gone:
            best[score.team] = min(where, best.get(score.team, where))
    assert list(board.standing) == sorted(best.values())
    waiting = {f.submission for f in facts if isinstance(f, Received)} - gone - set(latest)
    assert board.pending == len(waiting)


@given(lives(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_a_plan_foretells_what_applying_it_gives(facts: list[BoardFact], dice: random.Random) -> None:
    dice.shuffle(facts)
    board = Board()
    for fact in facts:
        before = image(board)
        leader = board.standing[:1]
        previous = board.rank(fact.team)
        plan = board.plan(fact)
        assert image(board) == before, "planning changed the board"
        if plan is None:
            continue
        board.apply(fact, plan)
        assert plan.rank == board.rank(fact.team)
        assert plan.previous_rank == previous
        assert plan.after == board.best(fact.team)
        assert (plan.teams, plan.pending) == (board.teams, board.pending)
        assert plan.leader == next(iter(board.standing), None)
        names = [board.records[entry.submission].team for entry in (*leader, *board.standing[:1])]
        assert plan.leader_changed == (bool(board.standing) and (not leader or names[0] != names[-1]))


@given(lives(), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_the_board_as_of_a_moment_is_the_fold_of_what_had_happened(facts: list[BoardFact], minutes: int) -> None:
    moment = at(minutes)
    # Of two facts that say the same, a board keeps the earlier: so what had happened by then is all still there.
    assert image(Board(facts).until(moment)) == image(Board(fact for fact in facts if fact.at <= moment))


def test_each_team_stands_where_its_best_submission_stands() -> None:
    board = fold(
        [scored("sub_1", "red", "70.000000"), scored("sub_2", "red", "90.000000"), scored("sub_3", "blue", "80.000000")]
    )
    assert [entry.submission for entry in board.standing] == ["sub_2", "sub_3"]
    assert board.submissions("red") == 2


def test_a_worse_submission_changes_nothing_on_the_board() -> None:
    board = fold([scored("sub_1", "red", "90.000000")])
    plan = board.plan(scored("sub_2", "red", "70.000000", 11))
    assert plan is not None
    assert not plan.changed
    assert (plan.previous_rank, plan.rank) == (1, 1)


def test_a_tombstone_keeps_a_score_off_the_board_whichever_comes_first() -> None:
    score, tombstone = scored("sub_1", "red", "90.000000"), ended("sub_1", "red", End.CANCELLED)
    assert fold([score, tombstone]).standing == ()
    assert fold([tombstone, score]).standing == ()


def test_a_tombstone_gives_the_place_to_the_next_best_submission_of_the_team() -> None:
    board = fold([scored("sub_1", "red", "90.000000"), scored("sub_2", "red", "60.000000", 11)])
    tombstone = ended("sub_1", "red")
    plan = board.plan(tombstone)
    assert plan is not None
    board.apply(tombstone, plan)
    assert [entry.submission for entry in board.standing] == ["sub_2"]


def test_a_board_waits_for_what_was_received_and_has_no_end_yet() -> None:
    board = fold([received("sub_1", "red"), received("sub_2", "blue"), received("sub_3", "blue")])
    assert board.pending == 3
    for fact in (scored("sub_1", "red", "1.000000"), ended("sub_2", "blue", End.REJECTED), ended("sub_3", "blue")):
        plan = board.plan(fact)
        assert plan is not None
        board.apply(fact, plan)
    assert board.pending == 0


def test_a_later_score_under_another_rubric_takes_the_place_of_the_earlier() -> None:
    first, second = scored("sub_1", "red", "90.000000", 10), scored("sub_1", "red", "60.000000", 11, rubric="f" * 64)
    for facts in ([first, second], [second, first]):
        board = fold(list(facts))
        assert board.standing[0].total == -60_000_000
        assert board.until(at(10)).standing[0].total == -90_000_000


def test_the_history_tells_who_took_the_lead() -> None:
    board = fold(
        [
            scored("sub_3", "red", "95.000000", 12),
            scored("sub_1", "red", "70.000000", 10),
            scored("sub_2", "blue", "80.000000", 11),
        ]
    )
    assert [(m.submission, m.previous_rank, m.rank, m.leader) for m in board.history()] == [
        ("sub_1", None, 1, True),
        ("sub_2", None, 1, True),
        ("sub_3", 2, 1, True),
    ]
