"""The head of a leaderboard: what a fold stores and says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings

from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, BoardFact, Scored
from shared.contracts.envelope import Fact
from shared.contracts.ranking import EntryRecorded, LeaderboardChanged, LeaderChanged
from tests.unit.ranking.test_projection import TOTALS, ended, image, lives, received, scored

HEAD = Leaderboard("chl_1", "preliminary")


def folded(facts: Sequence[BoardFact]) -> tuple[Leaderboard, Board, list[Fact]]:
    """Every fact in a fold of its own, as handlers do it."""
    head, board, said = HEAD, Board(), list[Fact]()
    for fact in facts:
        if fold := head.fold(board, fact):
            fold.apply(board)
            head = fold.head
            said += fold.events
    return head, board, said


@given(lives(TOTALS))
@settings(max_examples=100, deadline=None)
def test_every_score_is_said_exactly_once_however_often_it_comes(facts: list[BoardFact]) -> None:
    _, _, said = folded([*facts, *facts])
    scores = [fact for fact in facts if isinstance(fact, Scored)]
    assert sorted(e.submission for e in said if isinstance(e, EntryRecorded)) == sorted(s.submission for s in scores)


@given(lives(TOTALS))
@settings(max_examples=100, deadline=None)
def test_the_entries_a_head_left_unwritten_make_its_board(facts: list[BoardFact]) -> None:
    head, board, stored = HEAD, Board(), {}
    for fact in facts:
        if fold := head.fold(board, fact):
            fold.apply(board)
            head = fold.head
        stored.update({record.submission: record for record in head.unwritten})
    assert image(Board(fact for record in stored.values() for fact in record.facts)) == image(board)
    assert max((record.seq for record in stored.values()), default=0) == head.seq


@given(lives(TOTALS))
@settings(max_examples=100, deadline=None)
def test_whoever_follows_the_events_knows_the_leader(facts: list[BoardFact]) -> None:
    _, board, said = folded(facts)
    changes = [event for event in said if isinstance(event, LeaderChanged)]
    if board.standing:
        assert changes[-1].team == board.records[board.standing[0].submission].team
    for earlier, later in pairwise(changes):
        assert later.board_seq > earlier.board_seq


def test_a_known_fact_leaves_the_head_as_it_is() -> None:
    head, board, _ = folded([scored("sub_1", "red", "90.000000")])
    assert head.fold(board, scored("sub_1", "red", "90.000000")) is None


def test_a_fold_that_is_not_applied_leaves_the_board_as_it_was() -> None:
    head, board, _ = folded([scored("sub_1", "red", "90.000000")])
    before = image(board)
    assert head.fold(board, scored("sub_2", "blue", "95.000000")) is not None
    assert image(board) == before


def test_the_first_score_is_an_entry_a_change_and_a_new_leader() -> None:
    head, _, said = folded([scored("sub_1", "red", "90.000000")])
    entry, change, leader = said
    assert isinstance(entry, EntryRecorded)
    assert isinstance(change, LeaderboardChanged)
    assert isinstance(leader, LeaderChanged)
    assert (entry.rank, entry.previous_rank, entry.is_best, entry.board_seq) == (1, None, True, head.seq)
    assert (leader.team, leader.previous_team, leader.total) == ("red", None, "90.000000")
    assert {event.key for event in said} == {"chl_1"}
    assert {event.subject for event in said} == {HEAD.id}


def test_a_score_that_does_not_improve_its_team_is_an_entry_and_nothing_else() -> None:
    _, _, said = folded([scored("sub_1", "red", "90.000000"), scored("sub_2", "red", "80.000000", 11)])
    assert isinstance(said[-1], EntryRecorded)
    assert (said[-1].rank, said[-1].is_best) == (1, False)
    assert len([event for event in said if isinstance(event, EntryRecorded)]) == 2


def test_the_leader_improving_is_no_change_of_leader() -> None:
    _, _, said = folded([scored("sub_1", "red", "90.000000"), scored("sub_2", "red", "95.000000", 11)])
    assert len([event for event in said if isinstance(event, LeaderChanged)]) == 1
    assert len([event for event in said if isinstance(event, LeaderboardChanged)]) == 2


def test_the_leader_falling_to_a_tombstone_makes_the_next_team_the_leader() -> None:
    _, _, said = folded(
        [scored("sub_1", "red", "90.000000"), scored("sub_2", "blue", "80.000000", 11), ended("sub_1", "red")]
    )
    assert isinstance(said[-1], LeaderChanged)
    assert (said[-1].team, said[-1].submission, said[-1].previous_team) == ("blue", "sub_2", "red")


def test_a_score_that_came_after_its_tombstone_is_said_but_has_no_rank() -> None:
    _, _, said = folded([ended("sub_1", "red"), scored("sub_1", "red", "90.000000")])
    [entry] = said
    assert isinstance(entry, EntryRecorded)
    assert (entry.rank, entry.is_best) == (None, False)


def test_a_received_submission_makes_the_board_provisional_in_silence() -> None:
    head, board, said = folded([received("sub_1", "red")])
    assert said == []
    assert board.pending == 1
    assert head.seq == 1


def test_switching_to_an_equal_generation_keeps_the_sequence() -> None:
    assert HEAD.switched("rebuild_1", differs=False).seq == HEAD.seq
    assert HEAD.switched("rebuild_1", differs=True).seq == HEAD.seq + 1
