"""Events of the leaderboards."""

from __future__ import annotations

from shared.contracts.envelope import Decimal6, Fact, Moment

LEADERBOARDS = "ranking.leaderboards"


class EntryRecorded(
    Fact,
    type="leaderboard.entry_recorded.v1",
    topic=LEADERBOARDS,
    subject="{challenge}/{phase}",
    key="{challenge}",
):
    """Emitted by ranking for every score: that is what moves a submission to ranked.

    `rank` is the team's rank after this score (None if the team has no score that can rank); `is_best` says whether
    this submission is the one that the team is ranked by.
    """

    challenge: str
    phase: str
    team: str
    submission: str
    total: Decimal6
    grade: str
    rank: int | None = None
    previous_rank: int | None = None
    is_best: bool
    board_seq: int
    received_at: Moment


class LeaderboardChanged(
    Fact, type="leaderboard.changed.v1", topic=LEADERBOARDS, subject="{challenge}/{phase}", key="{challenge}"
):
    """Emitted by ranking when the order or a total on the board is not what it was."""

    challenge: str
    phase: str
    board_seq: int
    teams: int
    provisional: bool


class LeaderChanged(
    Fact, type="leaderboard.leader_changed.v1", topic=LEADERBOARDS, subject="{challenge}/{phase}", key="{challenge}"
):
    """Emitted by ranking when another team is number one."""

    challenge: str
    phase: str
    board_seq: int
    team: str
    submission: str
    total: Decimal6
    previous_team: str | None = None
