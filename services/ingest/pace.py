"""How fast a stage goes, judged by the submissions that have left it lately: what an estimate is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from services.ingest.submission import STAGE_OF, Stage, Submission, SubmissionState

SAMPLE = 50
"""How many submissions a pace is judged by."""

STAGE_ENDS = {
    Stage.SCAN: (SubmissionState.ACCEPTED, SubmissionState.REJECTED),
    Stage.SCORE: (SubmissionState.SCORED, SubmissionState.RANKED),
    Stage.RANK: (SubmissionState.RANKED,),
}
"""Stage → the states that say it is over."""

_BEGINS = {stage: state for state, stage in STAGE_OF.items()}


@dataclass(frozen=True, slots=True)
class Pace:
    """The median time that the last submissions spent in a stage, and the median time between two that left it."""

    stay: timedelta | None = None
    interval: timedelta | None = None

    @classmethod
    def of(cls, stage: Stage, submissions: Sequence[Submission]) -> Pace:
        """The pace of a stage, by the latest of these submissions that have passed it."""
        passed: list[tuple[datetime, timedelta]] = []
        for submission in submissions:
            reached = {passage.state: passage.at for passage in submission.timeline}
            end = min((reached[state] for state in STAGE_ENDS[stage] if state in reached), default=None)
            begin = reached.get(_BEGINS[stage])
            if end is not None and begin is not None:
                passed.append((end, end - begin))
        passed = sorted(passed)[-SAMPLE:]
        stays = [stay for _, stay in passed]
        return cls(_median(stays), _median([later - earlier for (earlier, _), (later, _) in pairwise(passed)]))

    def estimate(self, ahead: int) -> timedelta | None:
        """About how long a submission with so many ahead of it will wait; None when nothing is known.

        The rhythm at which submissions leave a stage is the time that one takes, divided by the workers alive. While
        nobody queued that rhythm says nothing, so that no place in the queue counts for more than one whole stay.
        """
        if self.stay is None:
            return None
        step = self.stay if self.interval is None else min(self.stay, self.interval)
        return self.stay + ahead * step


def _median(lengths: Sequence[timedelta]) -> timedelta | None:
    return timedelta(seconds=median(length.total_seconds() for length in lengths)) if lengths else None
