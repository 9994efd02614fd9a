"""What a scan that was lost costs: one more attempt, and after the second loss the submission."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jiebang.sandbox import Outcome, OutcomeStatus
from services.ingest.challenge import Challenge, Phase
from services.ingest.quota import Allowance
from services.ingest.scan_worker import _verdict
from services.ingest.scanning import ScanCrashed
from shared.failures import PermanentError
from shared.jobs import Lease

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHALLENGE = Challenge(
    id="chl_1",
    version=1,
    sponsor="spn_1",
    phases=(Phase("preliminary", NOON, NOON + timedelta(days=1)),),
    allowance=Allowance(5, 50),
    max_bytes=1 << 30,
    formats=("csv",),
    terms='{"demand": {"types": {"a.b": "text"}}, "rubric": {"id": "r", "gates": ["G4"]}}',
)


class Lost:
    """A scanner whose children never answer."""

    async def scan(self, upload: str, order: Mapping[str, Any]) -> Outcome:
        return Outcome(OutcomeStatus.CRASHED, {}, detail="killed from outside")


def lease(attempt: int, *, spared: int = 0) -> Lease:
    return Lease("sub_1", {"upload": "upl_1"}, attempt, "worker", NOON, NOON, spared=spared)


async def test_a_scan_that_is_lost_once_is_tried_again_and_a_second_loss_is_final() -> None:
    with pytest.raises(ScanCrashed):
        await _verdict(lease(1), Lost(), CHALLENGE, ("csv",))
    with pytest.raises(PermanentError):
        await _verdict(lease(2), Lost(), CHALLENGE, ("csv",))


async def test_attempts_that_were_given_back_do_not_count_as_losses() -> None:
    """A worker that was told to stop, an outage, or an operator's requeue leave the first loss what it is."""
    with pytest.raises(ScanCrashed):
        await _verdict(lease(4, spared=3), Lost(), CHALLENGE, ("csv",))


async def test_a_scan_is_ordered_by_the_terms_of_the_challenge() -> None:
    ordered: list[Mapping[str, Any]] = []

    class Noting(Lost):
        async def scan(self, upload: str, order: Mapping[str, Any]) -> Outcome:
            ordered.append(order)
            return await super().scan(upload, order)

    with pytest.raises(ScanCrashed):
        await _verdict(lease(1), Noting(), CHALLENGE, ("csv",))
    assert ordered == [{"demand": {"types": {"a.b": "text"}}, "rubric": {"id": "r", "gates": ["G4"]}}]
