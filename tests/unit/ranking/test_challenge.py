"""Which board is meant, who may read it, and whether it may still change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.ranking.api import may_read
from services.ranking.challenge import Challenge, Phase
from shared.auth import Principal
from shared.contracts.board import Role
from shared.ids import CredentialId, OwnerId

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = Phase("preliminary", NOON, NOON + HOUR)
SECOND = Phase("semi_final", NOON + 2 * HOUR, NOON + 3 * HOUR, private=True)
CHALLENGE = Challenge("chl_1", 1, "spn_1", (FIRST, SECOND))


def reader(role: Role, owner: str) -> Principal:
    return Principal(CredentialId("key_1"), OwnerId(owner), role)


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        (NOON - HOUR, FIRST),
        (NOON, FIRST),
        (NOON + 1.5 * HOUR, FIRST),
        (NOON + 2 * HOUR, SECOND),
        (NOON + 9 * HOUR, SECOND),
    ],
)
def test_without_a_name_the_phase_that_began_last_is_meant(now: datetime, phase: Phase) -> None:
    assert CHALLENGE.phase(None, now) == phase


def test_a_phase_is_found_by_its_name() -> None:
    assert CHALLENGE.phase("semi_final", NOON) == SECOND
    assert CHALLENGE.phase("final", NOON) is None


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (None, False),
        (reader(Role.TEAM, "team_1"), False),
        (reader(Role.SPONSOR, "spn_2"), False),
        (reader(Role.SPONSOR, "spn_1"), True),
        (reader(Role.ORGANISER, "org_1"), True),
        (reader(Role.OPERATOR, "org_2"), True),
    ],
)
def test_a_private_board_is_for_few_until_its_phase_is_closed(who: Principal | None, allowed: bool) -> None:
    assert may_read(CHALLENGE, SECOND, who) is allowed
    closed = Challenge("chl_1", 1, "spn_1", (FIRST, SECOND), frozenset({"semi_final"}))
    assert may_read(closed, SECOND, who)
    assert may_read(CHALLENGE, FIRST, who)


@pytest.mark.parametrize(
    ("pending", "now", "provisional"),
    [
        (0, NOON, False),
        (1, NOON, True),
        (1, NOON + 9 * HOUR, True),
        (0, NOON + HOUR - timedelta(milliseconds=1), False),
        (0, NOON + HOUR, True),
        (0, NOON + HOUR + timedelta(minutes=9, seconds=59), True),
        (0, NOON + HOUR + timedelta(minutes=10), False),
    ],
)
def test_a_board_is_provisional_while_a_score_may_still_come(pending: int, now: datetime, provisional: bool) -> None:
    assert CHALLENGE.provisional(FIRST, pending=pending, now=now) is provisional
