"""The life of a submission: forward only, one end, and every waiting state has a deadline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.submission import (
    ENDS,
    WAITING,
    Deadlines,
    Reason,
    Stage,
    Submission,
    SubmissionState,
    TransitionRefused,
)
from shared.contracts.envelope import Fact
from shared.contracts.intake import (
    SubmissionAccepted,
    SubmissionCancelled,
    SubmissionFailed,
    SubmissionRanked,
    SubmissionReceived,
    SubmissionRejected,
)

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DEADLINES = Deadlines()
NO_TABLE = Reason(code="not_a_dataset", sentence="This is no dataset.", gate="G3", path="a.txt")


def received() -> Submission:
    submission, facts = Submission.receive(
        id="sub_a",
        challenge="chl_a",
        challenge_version=3,
        phase="preliminary",
        team="team_a",
        upload="upl_a",
        digest="d" * 64,
        bytes=12,
        formats=("csv",),
        received_at=T0 - timedelta(minutes=1),
        key="k",
        fingerprint="f",
        quota_day="2026-03-01",
        note=None,
        deadlines=DEADLINES,
        at=T0,
    )
    assert [type(fact) for fact in facts] == [SubmissionReceived]
    return submission


def accept(submission: Submission, at: datetime = T0) -> tuple[Submission, tuple[Fact, ...]]:
    return submission.accept(dataset_digest="e" * 64, files=1, began_at=at, deadlines=DEADLINES, at=at)


def score(submission: Submission, at: datetime = T0) -> tuple[Submission, tuple[Fact, ...]]:
    return submission.record_score(total="87.125000", grade="B", deadlines=DEADLINES, at=at)


def rank(submission: Submission, at: datetime = T0) -> tuple[Submission, tuple[Fact, ...]]:
    return submission.record_rank(rank=4, total="87.125000", grade="B", at=at)


def states(submission: Submission) -> list[str]:
    return [passage.state.value for passage in submission.timeline]


def test_the_good_life_passes_every_state_and_emits_its_events() -> None:
    submission, accepted = accept(received())
    submission, scored = score(submission)
    submission, ranked = rank(submission)
    assert states(submission) == ["received", "scanning", "accepted", "scored", "ranked"]
    assert [type(fact) for fact in (*accepted, *scored, *ranked)] == [SubmissionAccepted, SubmissionRanked]
    assert (submission.total, submission.rank, submission.deadline_at) == ("87.125000", 4, None)


def test_a_rejection_says_why_and_gives_nothing_back() -> None:
    submission, facts = received().reject([NO_TABLE], began_at=T0, at=T0)
    assert submission.state is SubmissionState.REJECTED
    assert not submission.refund_due
    assert submission.reasons == (NO_TABLE,)
    assert isinstance(facts[0], SubmissionRejected)
    assert facts[0].reasons[0].code == "not_a_dataset"
    assert "no dataset" not in facts[0].model_dump_json()


def test_it_can_be_cancelled_before_its_scan_ends_and_not_after() -> None:
    submission, facts = received().cancel(T0)
    assert (submission.state, submission.refund_due) == (SubmissionState.CANCELLED, True)
    assert isinstance(facts[0], SubmissionCancelled)
    assert submission.cancel(T0) == (submission, ())
    with pytest.raises(TransitionRefused):
        accept(received())[0].cancel(T0)


def test_a_rank_may_come_before_its_score() -> None:
    submission, facts = rank(accept(received())[0])
    assert submission.state is SubmissionState.RANKED
    assert isinstance(facts[0], SubmissionRanked)
    assert score(submission) == (submission, ())


def test_a_failed_scan_cannot_fail_what_another_worker_has_accepted() -> None:
    submission, _ = accept(received())
    assert submission.fail(stage=Stage.SCAN, code="crashed", sentence="…", at=T0) == (submission, ())
    scored, _ = score(submission)
    assert scored.fail(stage=Stage.SCORE, code="crashed", sentence="…", at=T0) == (scored, ())


def test_a_failure_owes_a_refund() -> None:
    submission, facts = accept(received())[0].fail(stage=Stage.SCORE, code="crashed", sentence="…", at=T0)
    assert (submission.state, submission.refund_due) == (SubmissionState.FAILED, True)
    assert isinstance(facts[0], SubmissionFailed)
    assert not submission.refunded().refund_due


def test_a_stage_is_not_driven_before_its_deadline() -> None:
    submission, _ = accept(received())
    assert submission.drive_again(DEADLINES, T0 + timedelta(minutes=59)) == (submission, ())


@pytest.mark.parametrize(
    ("waiting", "deadline"),
    [(accept(received())[0], DEADLINES.score), (score(accept(received())[0])[0], DEADLINES.rank)],
    ids=["for its score", "for its rank"],
)
def test_past_its_deadline_scoring_is_told_again_and_then_it_fails(waiting: Submission, deadline: timedelta) -> None:
    submission, told = waiting, 0
    while not submission.ended:
        assert submission.deadline_at is not None
        at = submission.deadline_at
        submission, facts = submission.drive_again(DEADLINES, at)
        told += sum(isinstance(fact, SubmissionAccepted) for fact in facts)
    assert told == DEADLINES.drives
    assert submission.state is SubmissionState.FAILED
    assert submission.refund_due
    assert submission.timeline[-1].at - T0 == 4 * deadline, "the attempt comes back within four deadlines"


def test_a_scan_that_never_ends_fails_within_four_deadlines() -> None:
    submission = received()
    while not submission.ended:
        assert submission.deadline_at is not None
        submission, facts = submission.drive_again(DEADLINES, submission.deadline_at)
        assert not any(isinstance(fact, SubmissionAccepted) for fact in facts)
    assert submission.timeline[-1].at - T0 == 4 * DEADLINES.scan


COMMANDS: list[Callable[[Submission, datetime], tuple[Submission, tuple[Fact, ...]]]] = [
    accept,
    score,
    rank,
    lambda submission, at: submission.reject([NO_TABLE], began_at=at, at=at),
    lambda submission, at: submission.cancel(at),
    lambda submission, at: submission.fail(stage=Stage.SCAN, code="c", sentence="s", at=at),
    lambda submission, at: submission.fail(stage=Stage.SCORE, code="c", sentence="s", at=at),
    lambda submission, at: submission.drive_again(DEADLINES, at + timedelta(days=100)),
]

LEGAL = [
    SubmissionState.RECEIVED,
    SubmissionState.SCANNING,
    SubmissionState.ACCEPTED,
    SubmissionState.SCORED,
    SubmissionState.RANKED,
]


@given(st.lists(st.integers(0, len(COMMANDS) - 1), max_size=25))
def test_whatever_comes_in_whatever_order_it_goes_forward_and_ends_once(numbers: list[int]) -> None:
    submission = received()
    ends = 0
    for step, number in enumerate(numbers):
        before = submission
        try:
            submission, facts = COMMANDS[number](submission, T0 + timedelta(days=200 * step))
        except TransitionRefused:
            continue
        if before.ended:
            assert (submission, facts) == (before, ())
        ends += not before.ended and submission.ended
        if submission == before:
            assert facts == ()
        assert (submission.state in WAITING) != (submission.state in ENDS)
        assert (submission.deadline_at is not None) == (submission.state in WAITING)
        assert submission.refund_due == (submission.state in (SubmissionState.CANCELLED, SubmissionState.FAILED))
        assert submission.timeline[-1].state is submission.state
        forward = [passage.state for passage in submission.timeline if passage.state in LEGAL]
        assert forward == sorted(forward, key=LEGAL.index)
        assert len(forward) == len(set(forward))
    assert ends == submission.ended
