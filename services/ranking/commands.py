"""What ranking does: a table of contents. Each command is told what it needs, and may be repeated without harm."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.ranking.boards import Boards
from services.ranking.challenge import Challenge
from services.ranking.projection import BoardFact, End, Ended, Received, Scored
from services.ranking.store import Challenges
from shared import metrics, tracing
from shared.clock import Clock
from shared.contracts.board import ChallengeAmended, ChallengePublished, PhaseClosed
from shared.contracts.envelope import Event
from shared.contracts.intake import (
    SubmissionCancelled,
    SubmissionFailed,
    SubmissionReceived,
    SubmissionRejected,
)
from shared.contracts.scoring import ScoreCompleted, ScoreFailed
from shared.logs import get_logger

log = get_logger(__name__)


def board_fact(event: Event[Any]) -> tuple[str, str, BoardFact] | None:
    """The challenge, the phase and the fact that an event means to a board; None if it means nothing.

    Moments are kept to the millisecond, which is all that the store keeps: a board in memory equals a stored one.
    """
    data, at = event.data, _milliseconds(event.time)
    match data:
        case SubmissionReceived():
            fact: BoardFact = Received(data.submission, data.team, at, event.id, _milliseconds(data.received_at))
        case SubmissionRejected():
            fact = Ended(data.submission, data.team, at, event.id, End.REJECTED)
        case SubmissionFailed() | ScoreFailed():
            fact = Ended(data.submission, data.team, at, event.id, End.FAILED)
        case SubmissionCancelled():
            fact = Ended(data.submission, data.team, at, event.id, End.CANCELLED)
        case ScoreCompleted():
            fact = Scored(
                data.submission,
                data.team,
                at,
                event.id,
                _milliseconds(data.received_at),
                data.rubric_digest,
                data.total,
                data.coverage,
                data.dimensions,
                data.grade,
            )
        case _:
            return None
    return data.challenge, data.phase, fact


async def record(event: Event[Any], *, boards: Boards, clock: Clock) -> None:
    """Fold what an event says about a submission into its board."""
    found = board_fact(event)
    if found is None:
        return
    challenge, phase, fact = found
    waited = max(0.0, (clock.now() - event.time).total_seconds())
    with metrics.timer() as elapsed:
        new = await boards.fold(challenge, phase, fact, cause=event)
    if not new:
        metrics.DUPLICATES.labels("entries").inc()
        log.info("duplicate_dropped", submission=fact.submission, type=event.type)
    elif isinstance(fact, Scored):
        seconds = max(0.0, (clock.now() - fact.received_at).total_seconds())
        metrics.STAGE.labels("rank", "waiting").observe(waited)
        metrics.STAGE.labels("rank", "work").observe(elapsed())
        metrics.SUBMISSION_TO_RANK.observe(seconds, {"submission": fact.submission, **tracing.current_trace()})
        log.info("score_ranked", submission=fact.submission, challenge=challenge, phase=phase, seconds=seconds)


async def remember_challenge(fact: ChallengePublished | ChallengeAmended, *, challenges: Challenges) -> None:
    """Keep the newest version of a challenge: its phases, and whose it is."""
    await challenges.keep(Challenge.of(fact))


async def close_phase(fact: PhaseClosed, *, challenges: Challenges) -> None:
    """Note that a phase is over: a private board opens."""
    await challenges.close(fact.challenge, fact.phase)


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
