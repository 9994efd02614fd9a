"""A team: who takes up challenges, and which ones. Pure.

Names and contacts live here alone, in the board's store, where they can be erased; events carry only the id and how
many people there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from jiebang.document import KeyPath, refuse_unknown_keys
from services.board.wording import read_line, read_mapping, read_text, wrong
from shared.contracts.board import RegistrationAccepted, TeamRegistered
from shared.contracts.envelope import Fact, Moment

MOST_MEMBERS = 5
_LONGEST = 200
_KEYS = ("name", "organisation", "lead_contact", "members")


class Person(BaseModel):
    """A member of a team; personal data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    contact: str | None = None

    def __repr__(self) -> str:
        return "Person(…)"

    __str__ = __repr__


class Profile(BaseModel):
    """What a team says of itself when it registers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: dict[str, str]
    organisation: str
    lead_contact: str | None = None
    members: tuple[Person, ...] = ()

    def __repr__(self) -> str:
        return f"Profile(name={self.name!r})"

    __str__ = __repr__


class Registration(BaseModel):
    """That a team takes part in a challenge, and since when."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    challenge: str
    accepted_at: Moment


class Team(BaseModel):
    """A team with its profile and its registrations."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    profile: Profile
    registered_at: Moment
    registrations: tuple[Registration, ...] = ()

    def registration(self, challenge: str) -> Registration | None:
        """The registration for a challenge, if there is one."""
        return next((entry for entry in self.registrations if entry.challenge == challenge), None)


def register(team: str, profile: Profile, now: datetime) -> tuple[Team, Sequence[Fact]]:
    """A new team."""
    state = Team(id=team, profile=profile, registered_at=now)
    return state, [TeamRegistered(team=team, members=len(profile.members))]


def accept(state: Team, challenge: str, now: datetime) -> tuple[Team, Sequence[Fact]]:
    """Registers the team for a challenge; a second time changes nothing."""
    if state.registration(challenge) is not None:
        return state, []
    entry = Registration(challenge=challenge, accepted_at=now)
    accepted = state.model_copy(update={"registrations": (*state.registrations, entry)})
    return accepted, [RegistrationAccepted(team=state.id, challenge=challenge)]


def read_profile(data: Any) -> Profile:
    """The profile in a team file or request body; raises DeclarationError with the path of a mistake."""
    data = read_mapping(data, ())
    refuse_unknown_keys(data, _KEYS, (), "a team")
    for needed in ("name", "organisation"):
        if data.get(needed) is None:
            raise wrong((), f"A team needs `{needed}`.", f"Add `{needed}:` to it.", missing=needed)
    members = data.get("members") or []
    if not isinstance(members, list) or len(members) > MOST_MEMBERS:
        raise wrong(
            ("members",),
            f"`members` must be a list of at most {MOST_MEMBERS} people.",
            "List each person once.",
            limit=MOST_MEMBERS,
        )
    contact = data.get("lead_contact")
    return Profile(
        name=read_text(data["name"], ("name",), longest=_LONGEST),
        organisation=read_line(data["organisation"], ("organisation",), longest=_LONGEST),
        lead_contact=None if contact is None else read_line(contact, ("lead_contact",), longest=_LONGEST),
        members=tuple(_person(entry, ("members", index)) for index, entry in enumerate(members)),
    )


def _person(value: Any, path: KeyPath) -> Person:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        raise wrong(path, "A member is a name, or {name, contact}.", "Write the person's name.")
    refuse_unknown_keys(value, ("name", "contact"), path, "a member")
    contact = value.get("contact")
    return Person(
        name=read_line(value.get("name"), (*path, "name"), longest=_LONGEST),
        contact=None if contact is None else read_line(contact, (*path, "contact"), longest=_LONGEST),
    )
