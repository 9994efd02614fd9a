"""Teams, their registrations, and API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jiebang.errors import DeclarationError
from services.board import credential as credentials
from services.board import team as teams
from services.board.commands import issue_credential
from services.board.store import MemoryStore
from shared.contracts.board import CredentialIssued, CredentialRevoked, RegistrationAccepted, Role, TeamRegistered
from shared.problems import Problem
from tests.fakes import FixedClock

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEAM = "team_01jnb3v8k2e7wqx0m5yt4c9rza"
PROFILE = {
    "name": {"zh": "清洁数据队", "en": "Clean data"},
    "organisation": "某大学",
    "lead_contact": "lin@example.org",
    "members": ["林一", {"name": "王二", "contact": "13800000000"}],
}


def test_a_team_is_registered_without_any_personal_data_in_the_event() -> None:
    state, facts = teams.register(TEAM, teams.read_profile(PROFILE), NOW)
    assert facts == [TeamRegistered(team=TEAM, members=2)]
    assert state.profile.members[1].contact == "13800000000"
    said = facts[0].model_dump_json()
    assert "林一" not in said
    assert "example.org" not in said


def test_personal_data_is_not_in_the_repr_of_a_team() -> None:
    state, _ = teams.register(TEAM, teams.read_profile(PROFILE), NOW)
    for shown in (repr(state), str(state), f"{state.profile.members}"):
        assert "林一" not in shown
        assert "13800000000" not in shown
        assert "example.org" not in shown


def test_a_second_registration_for_the_same_challenge_changes_nothing() -> None:
    state, _ = teams.register(TEAM, teams.read_profile(PROFILE), NOW)
    first, facts = teams.accept(state, "chl_a", NOW)
    assert facts == [RegistrationAccepted(team=TEAM, challenge="chl_a")]
    assert teams.accept(first, "chl_a", NOW + timedelta(days=1)) == (first, [])


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"nmae": "x"}, "unknown_key", ["nmae"]),
        ({"name": None}, "wrong_value", []),
        ({"organisation": "  "}, "wrong_value", ["organisation"]),
        ({"organisation": "x" * 201}, "wrong_value", ["organisation"]),
        ({"organisation": "a\x00b"}, "wrong_value", ["organisation"]),
        ({"members": ["a"] * 6}, "wrong_value", ["members"]),
        ({"members": [{"name": "a", "phone": "1"}]}, "unknown_key", ["members", 0, "phone"]),
        ({"members": [7]}, "wrong_value", ["members", 0]),
        ({"name": {"fr": "équipe"}}, "unknown_key", ["name", "fr"]),
    ],
)
def test_a_mistake_in_a_team_is_named_with_its_place(change: dict[str, Any], code: str, path: list[Any]) -> None:
    with pytest.raises(DeclarationError) as refusal:
        teams.read_profile({**PROFILE, **change})
    assert refusal.value.code == code
    assert refusal.value.fields["path"] == path


def test_a_plain_name_is_put_under_the_language_it_is_written_in() -> None:
    assert teams.read_profile({**PROFILE, "name": "清洁"}).name == {"zh": "清洁"}
    assert teams.read_profile({**PROFILE, "name": "Clean"}).name == {"en": "Clean"}


def test_a_key_works_until_it_expires_or_is_revoked() -> None:
    state, facts = credentials.issue(
        "key_a", owner=TEAM, role=Role.TEAM, secret_sha256="a" * 64, now=NOW, expires_at=NOW + timedelta(days=1)
    )
    assert isinstance(facts[0], CredentialIssued)
    assert facts[0].key == TEAM
    assert state.alive(NOW + timedelta(hours=23))
    assert not state.alive(NOW + timedelta(days=1))
    revoked, facts = credentials.revoke(state, NOW)
    assert facts == [CredentialRevoked(credential="key_a", owner=TEAM)]
    assert not revoked.alive(NOW)
    assert credentials.revoke(revoked, NOW + timedelta(hours=1)) == (revoked, [])


async def test_a_key_that_cannot_be_made_again_is_not_shown_as_if_it_were_one() -> None:
    """A request repeated with another API key of the same owner makes another secret: no key that works."""
    store = MemoryStore(FixedClock())
    first = await issue_credential("key_a", Role.ORGANISER, "org_a", entropy=b"a" * 32, store=store)
    again = await issue_credential("key_a", Role.ORGANISER, "org_a", entropy=b"a" * 32, store=store)
    assert again.key.key == first.key.key
    with pytest.raises(Problem) as refused:
        await issue_credential("key_a", Role.ORGANISER, "org_a", entropy=b"b" * 32, store=store)
    assert (refused.value.status, refused.value.code) == (409, "secret_shown_before")
