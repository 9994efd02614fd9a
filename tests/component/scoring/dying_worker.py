"""The scoring worker, killed by itself at a chosen moment: `python -m tests.component.scoring.dying_worker`.

`TEST_DIES` says when: `before_recording` (the score is known, nothing is stored), or `after_recording` (the score is
stored, the job does not know).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from services.scoring import worker
from services.scoring.score import Score
from services.scoring.store import MongoScores
from shared.contracts.envelope import Event, Fact

_record = MongoScores.record


async def _record_and_die(
    self: MongoScores, score: Score, facts: Sequence[Fact], *, cause: Event[Any] | None = None
) -> bool:
    if os.environ["TEST_DIES"] == "after_recording":
        await _record(self, score, facts, cause=cause)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("dead")


if __name__ == "__main__":
    MongoScores.record = _record_and_die  # type: ignore[method-assign]
    worker.main()
