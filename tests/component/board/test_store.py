"""One suite for both stores of the board: what one promises, the other keeps."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.board import challenge as challenges
from services.board import commands
from services.board import credential as credentials
from services.board import team as teams
from services.board.challenge import PhaseState
from services.board.store import Store
from services.board.team import Team
from shared.contracts.board import Role
from shared.mongo import AggregateExists, AggregateMissing
from tests.component.board.conftest import Facts
from tests.unit.board.test_challenge import phase, terms
from tests.unit.board.test_team_and_credential import PROFILE


async def published(store: Store, id: str, *, starts: timedelta, ends: timedelta) -> None:
    now = await store.now()
    only = phase("preliminary", 0, 1).model_copy(update={"starts_at": now + starts, "ends_at": now + ends})
    await store.add_challenge(*challenges.publish(id, terms(only), now))


async def test_a_challenge_comes_back_as_it_was_stored(store: Store) -> None:
    state, facts = challenges.publish("chl_a", terms(), phase("p", -1, 1).starts_at)
    await store.add_challenge(state, facts)
    assert await store.challenge("chl_a") == state
    assert await store.challenge("chl_b") is None
    with pytest.raises(AggregateExists):
        await store.add_challenge(state, facts)


async def test_only_challenges_whose_moment_has_come_are_due_the_longest_overdue_first(store: Store) -> None:
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    await published(store, "chl_soon", starts=hour, ends=2 * hour)
    await published(store, "chl_open", starts=-hour, ends=hour)
    later = await store.now() + 3 * hour
    assert await store.challenges_due(await store.now(), 10) == []
    assert sorted(await store.challenges_due(later, 10)) == ["chl_open", "chl_soon"]
    assert len(await store.challenges_due(later, 1)) == 1
    state = await store.update_challenge("chl_open", lambda before: challenges.turn_phases(before, later))
    assert state.progress["preliminary"] is PhaseState.CLOSED
    assert await store.challenges_due(later, 10) == ["chl_soon"]
    assert await store.challenges_due(later - 2 * hour - second, 10) == []


async def test_challenges_are_listed_from_the_newest_on_page_by_page(store: Store) -> None:
    for name in ("chl_1", "chl_2", "chl_3"):
        await published(store, name, starts=timedelta(0), ends=timedelta(hours=1))
    first = await store.challenges(after=None, limit=2)
    assert [entry.id for entry in first] == ["chl_3", "chl_2"]
    assert [entry.id for entry in await store.challenges(after="chl_2", limit=2)] == ["chl_1"]


async def test_two_registrations_at_once_are_both_kept_and_the_same_one_twice_is_one(store: Store) -> None:
    now = await store.now()
    await store.add_team(*teams.register("team_a", teams.read_profile(PROFILE), now))

    async def accept(challenge: str) -> Team:
        return await store.update_team("team_a", lambda before: teams.accept(before, challenge, now))

    await asyncio.gather(*(accept(f"chl_{number % 5}") for number in range(20)))
    team = await store.team("team_a")
    assert team is not None
    assert sorted(entry.challenge for entry in team.registrations) == [f"chl_{number}" for number in range(5)]
    assert team.profile == teams.read_profile(PROFILE)


async def test_teams_are_found_by_several_ids_and_missing_ones_left_out(store: Store) -> None:
    for name in ("team_a", "team_b"):
        await store.add_team(*teams.register(name, teams.read_profile(PROFILE), await store.now()))
    assert [team.id for team in await store.teams(["team_b", "team_x", "team_a"])] == ["team_a", "team_b"]
    assert await store.teams([]) == []
    with pytest.raises(AggregateMissing):
        await store.update_team("team_x", lambda before: (before, []))


async def test_keys_are_found_by_id_and_by_owner(store: Store) -> None:
    now = await store.now()
    for name, owner in (("key_1", "spn_a"), ("key_2", "spn_b"), ("key_3", "spn_a")):
        issued = credentials.issue(
            name, owner=owner, role=Role.SPONSOR, secret_sha256="a" * 64, now=now, expires_at=now + timedelta(days=1)
        )
        await store.add_credential(*issued)
    assert [key.id for key in await store.credentials("spn_a")] == ["key_1", "key_3"]
    revoked = await store.update_credential("key_1", lambda before: credentials.revoke(before, now))
    assert not revoked.alive(now)
    assert await store.credential("key_1") == revoked
    assert await store.credential("key_9") is None


async def test_many_sweepers_at_once_open_a_phase_once(store: Store, published_facts: Facts) -> None:
    hour = timedelta(hours=1)
    now = await store.now()
    only = phase("preliminary", 0, 1).model_copy(update={"starts_at": now - hour, "ends_at": now + hour})
    early, facts = challenges.publish("chl_a", terms(only), now - 2 * hour)
    assert early.progress["preliminary"] is PhaseState.SCHEDULED
    await store.add_challenge(early, facts)
    assert await store.challenges_due(now, 10) == ["chl_a"]
    await asyncio.gather(*(commands.turn_phases(store=store) for _ in range(10)))
    assert await published_facts() == ["challenge.published.v1", "phase.opened.v1"]
    assert await store.challenges_due(await store.now(), 10) == []
