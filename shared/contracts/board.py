"""Events of the board: challenges, phases, teams, registrations, credentials."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from shared.contracts.envelope import Digest, Fact, Json, Moment

CHALLENGES = "board.challenges"
TEAMS = "board.teams"

LATE = timedelta(minutes=10)
"""How long after a phase's end an upload that was complete in time may still be submitted."""


class Visibility(StrEnum):
    """Who reads a phase's leaderboard before the phase is over."""

    PUBLIC = "public"
    PRIVATE = "private"


class Phase(BaseModel):
    """One phase: the half-open interval [starts_at, ends_at) of the moment an upload was complete."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    starts_at: Moment
    ends_at: Moment
    leaderboard: Visibility = Visibility.PUBLIC


class Quota(BaseModel):
    """How many attempts a team has: per day (Asia/Shanghai) and in all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    per_day: int
    total: int


class Limits(BaseModel):
    """What a submission may be at most, and which kinds of file it may hold."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bytes: int
    formats: tuple[str, ...]


class _Challenge(Fact):
    """The whole challenge, so that a reader needs no earlier event."""

    challenge: str
    version: int
    title: dict[str, str]
    summary: dict[str, str] | None = None
    sector: str
    sponsor: str
    demand: Json
    rubric: Json
    rubric_digest: Digest
    phases: tuple[Phase, ...]
    quota: Quota
    limits: Limits


class ChallengePublished(
    _Challenge, type="challenge.published.v1", topic=CHALLENGES, subject="{challenge}", key="{challenge}"
):
    """Emitted by board when a challenge is posted: from now on teams can register and submit."""


class ChallengeAmended(
    _Challenge, type="challenge.amended.v1", topic=CHALLENGES, subject="{challenge}", key="{challenge}"
):
    """Emitted by board when a posted challenge gets a new version; submissions keep the version they were made for."""


class _PhaseMoment(Fact):
    challenge: str
    phase: str
    at: Moment


class PhaseOpened(_PhaseMoment, type="phase.opened.v1", topic=CHALLENGES, subject="{challenge}", key="{challenge}"):
    """Emitted by board when the database's clock passes the start of a phase."""


class PhaseClosed(_PhaseMoment, type="phase.closed.v1", topic=CHALLENGES, subject="{challenge}", key="{challenge}"):
    """Emitted by board when the database's clock passes the end of a phase."""


class TeamRegistered(Fact, type="team.registered.v1", topic=TEAMS, subject="{team}", key="{team}"):
    """Emitted by board when a team exists; its name and its people stay in the board's store."""

    team: str
    members: int


class RegistrationAccepted(Fact, type="registration.accepted.v1", topic=TEAMS, subject="{team}", key="{team}"):
    """Emitted by board when a team may submit to a challenge."""

    team: str
    challenge: str


class Role(StrEnum):
    """What a credential lets its holder be."""

    TEAM = "team"
    SPONSOR = "sponsor"
    ORGANISER = "organiser"
    OPERATOR = "operator"


class CredentialIssued(Fact, type="credential.issued.v1", topic=TEAMS, subject="{credential}", key="{owner}"):
    """Emitted by board when an API key is issued; carries the hash of its secret, never the key."""

    credential: str
    owner: str
    role: Role
    scopes: tuple[str, ...] = ()
    secret_sha256: Digest
    expires_at: Moment | None = None


class CredentialRevoked(Fact, type="credential.revoked.v1", topic=TEAMS, subject="{credential}", key="{owner}"):
    """Emitted by board when an API key stops working."""

    credential: str
    owner: str
