"""Everything the board does, one function each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.board import challenge as challenges
from services.board import credential as credentials
from services.board import team as teams
from services.board.challenge import Challenge
from services.board.challenge_file import read_terms
from services.board.credential import Credential
from services.board.store import Store
from services.board.team import Registration, Team
from shared.auth import NewKey, Principal, make_key
from shared.contracts.board import Role
from shared.ids import CredentialId
from shared.logs import get_logger
from shared.mongo import AggregateExists
from shared.problems import Fault, Problem, not_found
from shared.repeats import shown_before
from shared.sweeper import each

log = get_logger(__name__)

OWNER_PREFIXES = {Role.TEAM: "team", Role.SPONSOR: "spn", Role.ORGANISER: "org", Role.OPERATOR: "opr"}
_TURNED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential with its key, which is shown this once."""

    credential: Credential
    key: NewKey


async def publish_challenge(id: str, body: Any, *, principal: Principal, store: Store) -> Challenge:
    """Posts a challenge under an id; the same id again is the challenge that is there."""
    terms = read_terms(body, sponsor=principal.owner)
    if principal.role is Role.SPONSOR and terms.sponsor != principal.owner:
        raise Problem(
            403,
            "not_your_challenge",
            "A sponsor posts challenges of its own only.",
            "Leave `sponsor` out, or let the organiser post it.",
            fault=Fault.SPONSOR,
        )
    state, facts = challenges.publish(id, terms, await store.now())
    try:
        await store.add_challenge(state, facts)
    except AggregateExists:
        return await challenge(id, store=store)
    log.info("challenge_published", challenge=id, sponsor=terms.sponsor)
    return state


async def amend_challenge(id: str, body: Any, *, principal: Principal, store: Store) -> Challenge:
    """Makes the next version of a challenge of the caller's own (the organiser's are all)."""
    found = await challenge(id, store=store)
    sponsor = found.terms.sponsor
    if principal.role is Role.SPONSOR and sponsor != principal.owner:
        raise Problem(
            403,
            "not_your_challenge",
            "This challenge is another sponsor's.",
            "Use the key of the sponsor that posted it.",
            fault=Fault.SPONSOR,
        )
    terms, now = read_terms(body, sponsor=sponsor), await store.now()
    amended = await store.update_challenge(id, lambda before: challenges.amend(before, terms, now))
    log.info("challenge_amended", challenge=id, version=amended.version)
    return amended


async def challenge(id: str, *, store: Store) -> Challenge:
    """A challenge; 404 if there is none."""
    found = await store.challenge(id)
    if found is None:
        raise not_found("challenge")
    return found


async def turn_phases(*, store: Store) -> int:
    """Opens and closes every phase whose moment has come by the database's clock; how many challenges it touched."""
    now = await store.now()

    async def turn(id: str) -> None:
        state = await store.update_challenge(id, lambda before: challenges.turn_phases(before, now))
        log.info("phases_turned", challenge=id, progress={name: str(at) for name, at in state.progress.items()})

    return await each("phases", await store.challenges_due(now, _TURNED_AT_ONCE), turn)


async def register_team(id: str, body: Any, *, store: Store) -> Team:
    """Registers a team under an id; the same id again is the team that is there."""
    state, facts = teams.register(id, teams.read_profile(body), await store.now())
    try:
        await store.add_team(state, facts)
    except AggregateExists:
        return await team(id, store=store)
    log.info("team_registered", team=id, members=len(state.profile.members))
    return state


async def team(id: str, *, store: Store) -> Team:
    """A team; 404 if there is none."""
    found = await store.team(id)
    if found is None:
        raise not_found("team")
    return found


async def register_for_challenge(
    challenge_id: str, team_id: str | None, *, principal: Principal, store: Store
) -> tuple[Registration, bool]:
    """Lets a team take part in a challenge: itself, or any team for the organiser; and whether that is new."""
    if principal.role is Role.TEAM:
        if team_id not in (None, principal.owner):
            raise Problem(
                403, "not_your_team", "A team registers itself only.", "Leave `team` out, or use that team's key."
            )
        team_id = principal.owner
    if team_id is None:
        raise Problem(422, "team_required", "Which team is to be registered?", "Send `team` with the team's id.")
    found = await challenge(challenge_id, store=store)
    now = await store.now()
    if challenges.turn_phases(found, now)[0].state == "closed":
        raise Problem(
            409,
            "registration_closed",
            "This challenge is over.",
            "Choose one whose phases are not all closed.",
            ends_at=found.terms.phases[-1].ends_at.isoformat(),
        )
    before = await team(team_id, store=store)
    after = await store.update_team(team_id, lambda state: teams.accept(state, challenge_id, now))
    entry = after.registration(challenge_id)
    assert entry is not None
    return entry, before.registration(challenge_id) is None


async def issue_credential(
    id: str,
    role: Role,
    owner: str,
    *,
    expires_in: timedelta | None = None,
    entropy: bytes | None = None,
    store: Store,
) -> Issued:
    """Issues an API key under an id; the same id with the same entropy again is the same key.

    A team's key is for a team that exists.
    """
    if not owner.startswith(f"{OWNER_PREFIXES[role]}_"):
        raise Problem(
            422,
            "owner_of_another_kind",
            f"{owner} cannot have the role {role.value}.",
            f"The id of an owner with this role begins with {OWNER_PREFIXES[role]}_.",
        )
    if role is Role.TEAM and await store.team(owner) is None:
        raise not_found("team")
    now = await store.now()
    key = make_key(role, CredentialId(id), entropy)
    state, facts = credentials.issue(
        id,
        owner=owner,
        role=role,
        secret_sha256=key.secret_sha256,
        now=now,
        expires_at=None if expires_in is None else now + expires_in,
    )
    try:
        await store.add_credential(state, facts)
    except AggregateExists:
        found = await store.credential(id)
        assert found is not None
        if found.secret_sha256 != key.secret_sha256:
            raise shown_before() from None
        return Issued(found, key)
    log.info("credential_issued", credential=id, owner=owner, role=role.value)
    return Issued(state, key)


async def revoke_credential(id: str, *, store: Store) -> Credential:
    """Stops an API key from now on, everywhere as soon as the services hear of it."""
    if await store.credential(id) is None:
        raise not_found("credential")
    now = await store.now()
    revoked = await store.update_credential(id, lambda before: credentials.revoke(before, now))
    log.info("credential_revoked", credential=id, owner=revoked.owner)
    return revoked
