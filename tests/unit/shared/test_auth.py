from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import TRAVEL_TIME, Authenticator, Credential, NewKey, make_key, parse_key
from shared.contracts.board import Role
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.problems import Problem
from tests.fakes import FixedClock

ID = CredentialId(SystemIds().new("key"))


class Known:
    def __init__(self, credential: Credential | None) -> None:
        self.credential = credential

    async def find(self, credential: CredentialId) -> Credential | None:
        return self.credential if self.credential is not None and self.credential.id == credential else None


def issued(role: Role = Role.TEAM) -> tuple[NewKey, Credential]:
    key = make_key(role, ID)
    return key, Credential(ID, OwnerId("team_1"), role, key.secret_sha256)


def test_a_key_says_its_role_and_id_and_is_well_formed() -> None:
    key, credential = issued(Role.SPONSOR)
    assert key.key.startswith(f"jb_sponsor_{ID.removeprefix('key_')}_")
    presented = parse_key(key.key)
    assert presented is not None
    assert (presented.credential, presented.secret_sha256) == (ID, credential.secret_sha256)


def test_a_key_is_not_shown_by_repr() -> None:
    key, _ = issued()
    assert key.key not in repr(key)
    assert key.secret_sha256 not in repr(key)


def test_a_mistyped_character_anywhere_is_seen_without_a_look_up() -> None:
    key, _ = issued()
    for place, character in enumerate(key.key):
        other = "0" if character != "0" else "1"
        assert parse_key(key.key[:place] + other + key.key[place + 1 :]) is None


@given(st.text(max_size=120))
def test_no_text_at_all_breaks_the_reading_of_keys(text: str) -> None:
    assert parse_key(text) is None


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
async def test_no_header_breaks_authentication(header: str) -> None:
    assert await Authenticator(Known(None), FixedClock()).principal(header) is None


async def test_a_good_key_is_its_owner() -> None:
    key, credential = issued()
    principal = await Authenticator(Known(credential), FixedClock()).principal(f"Bearer {key.key}")
    assert principal is not None
    assert (principal.owner, principal.role) == ("team_1", Role.TEAM)


@pytest.mark.parametrize("header", ["{}", "Basic {}", "Bearer{}", "Bearer {}x", "Bearer Ⅷ{}", ""])
async def test_anything_but_a_bearer_key_is_nobody(header: str) -> None:
    key, credential = issued()
    authenticator = Authenticator(Known(credential), FixedClock())
    assert await authenticator.principal(header.format(key.key)) is None


async def test_a_revoked_expired_foreign_or_reroled_key_is_nobody() -> None:
    key, credential = issued()
    clock = FixedClock()
    header = f"Bearer {key.key}"
    other, _ = issued()
    expires = clock.now() + timedelta(hours=1)
    assert await Authenticator(Known(replace(credential, revoked=True)), clock).principal(header) is None
    assert await Authenticator(Known(replace(credential, role=Role.OPERATOR)), clock).principal(header) is None
    assert await Authenticator(Known(credential), clock).principal(f"Bearer {other.key}") is None
    authenticator = Authenticator(Known(replace(credential, expires_at=expires)), clock)
    assert await authenticator.principal(header) is not None
    clock.advance(timedelta(hours=1))
    assert await authenticator.principal(header) is None


async def test_a_key_of_a_moment_ago_that_is_not_known_yet_is_told_to_come_back() -> None:
    clock = FixedClock()
    moment = int(clock.now().timestamp() * 1000)
    key = make_key(Role.TEAM, CredentialId(SystemIds(lambda: moment).new("key")))
    with pytest.raises(Problem) as refused:
        await Authenticator(Known(None), clock).principal(f"Bearer {key.key}")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (401, "1")


async def test_an_old_key_that_is_not_known_is_nobody() -> None:
    clock = FixedClock()
    moment = int((clock.now() - TRAVEL_TIME).timestamp() * 1000)
    key = make_key(Role.TEAM, CredentialId(SystemIds(lambda: moment).new("key")))
    assert await Authenticator(Known(None), clock).principal(f"Bearer {key.key}") is None
