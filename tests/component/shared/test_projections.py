"""Credentials from events in any order, and idempotency keys, on a real MongoDB."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest

from shared.auth import Authenticator, CredentialProjection, make_key
from shared.clock import SystemClock
from shared.contracts.board import CredentialIssued, CredentialRevoked, Role
from shared.contracts.envelope import Event, Fact
from shared.contracts.registry import event_class
from shared.http import IdempotencyKeys
from shared.ids import CredentialId
from shared.mongo import Database
from shared.problems import Problem
from tests.component.shared.harness import AT, IDS, team_event
from tests.fakes import FixedClock


def event_of(fact: Fact, sequence: int) -> Event[Any]:
    made: Event[Any] = event_class(type(fact))(
        id=IDS.new("evt"), source="/jiebang/board", type=fact.type, subject=fact.subject, time=AT,
        sequence=sequence, partitionkey=fact.key, correlationid=fact.correlation, data=fact,
    )  # fmt: skip
    return made


def issued(id: str, sha256: str, **more: Any) -> CredentialIssued:
    return CredentialIssued(credential=id, owner="team_1", role=Role.TEAM, secret_sha256=sha256, **more)


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1, 2, 1, 0), 5))[::17])
async def test_a_revoked_key_is_refused_whatever_the_order_and_however_often(
    mongo_database: Database, order: tuple[int, ...]
) -> None:
    id = CredentialId("key_" + "0" * 26)
    key = make_key(Role.TEAM, id)
    events = [
        event_of(issued(id, key.secret_sha256), 1),
        event_of(CredentialRevoked(credential=id, owner="team_1"), 2),
        team_event("team_1"),
    ]
    projection = CredentialProjection(mongo_database)
    authenticator = Authenticator(projection, FixedClock(AT))
    for number in order:
        await projection.apply(events[number])
    assert await authenticator.principal(f"Bearer {key.key}") is None


async def test_an_issued_key_is_known_with_its_owner_role_scopes_and_end(mongo_database: Database) -> None:
    id = CredentialId("key_" + "0" * 26)
    key = make_key(Role.TEAM, id)
    projection = CredentialProjection(mongo_database)
    await projection.apply(event_of(issued(id, key.secret_sha256, scopes=("read",), expires_at=AT), 1))
    found = await projection.find(id)
    assert found is not None
    assert (found.owner, found.role, found.scopes, found.expires_at) == ("team_1", Role.TEAM, ("read",), AT)
    before, after = FixedClock(AT - timedelta(seconds=1)), FixedClock(AT)
    principal = await Authenticator(projection, before).principal(f"Bearer {key.key}")
    assert principal is not None
    assert principal.owner == "team_1"
    assert await Authenticator(projection, after).principal(f"Bearer {key.key}") is None


async def test_one_idempotency_key_is_one_id_for_however_many_requests_at_once(mongo_database: Database) -> None:
    keys = IdempotencyKeys(mongo_database)
    await keys.prepare()
    given = await asyncio.gather(*(keys.id_for("team_1", "k", "same body", lambda: IDS.new("team")) for _ in range(20)))
    assert len({id for id, _new in given}) == 1
    assert sum(new for _id, new in given) == 1


async def test_keys_belong_to_their_owner_and_to_their_body(mongo_database: Database) -> None:
    keys = IdempotencyKeys(mongo_database)
    first, _ = await keys.id_for("team_1", "k", "body", lambda: IDS.new("team"))
    other, new = await keys.id_for("team_2", "k", "body", lambda: IDS.new("team"))
    assert new
    assert first != other
    with pytest.raises(Problem) as refused:
        await keys.id_for("team_1", "k", "another body", lambda: IDS.new("team"))
    assert (refused.value.status, refused.value.code) == (409, "idempotency_conflict")


async def test_the_databases_clock_is_aware_and_near_ours(mongo_database: Database) -> None:
    from shared.mongo import database_now

    moment = await database_now(mongo_database.client)
    assert abs(moment - SystemClock().now()) < timedelta(minutes=1)
