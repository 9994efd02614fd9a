"""What a scan that was lost costs: one more attempt, and after the second loss the submission."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jiebang.sandbox import Outcome, OutcomeStatus
from services.ingest.scan_worker import _verdict
from services.ingest.scanning import ScanCrashed
from shared.failures import PermanentError
from shared.jobs import Lease

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Lost:
    """A scanner whose children never answer."""

    async def scan(self, upload: str) -> Outcome:
        return Outcome(OutcomeStatus.CRASHED, {}, detail="killed from outside")


def lease(attempt: int, *, spared: int = 0) -> Lease:
    return Lease("sub_1", {"upload": "upl_1"}, attempt, "worker", NOON, NOON, spared=spared)


async def test_a_scan_that_is_lost_once_is_tried_again_and_a_second_loss_is_final() -> None:
    with pytest.raises(ScanCrashed):
        await _verdict(lease(1), Lost(), ("csv",))
    with pytest.raises(PermanentError):
        await _verdict(lease(2), Lost(), ("csv",))


async def test_attempts_that_were_given_back_do_not_count_as_losses() -> None:
    """A worker that was told to stop, an outage, or an operator's requeue leave the first loss what it is."""
    with pytest.raises(ScanCrashed):
        await _verdict(lease(4, spared=3), Lost(), ("csv",))
