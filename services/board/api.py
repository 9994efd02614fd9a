"""The board over HTTP: challenges, teams, registrations and API keys."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jiebang.errors import JiebangError
from services.board import commands
from services.board.challenge import Challenge, JudgingFrozen
from services.board.credential import Credential
from services.board.store import Store
from services.board.team import Registration, Team
from shared.auth import Principal, maybe_principal, require
from shared.contracts.board import Role
from shared.http import After, Limit, conditional, cursor_of, id_after, json_bytes, link_next
from shared.ids import OwnerId
from shared.problems import Fault, Problem
from shared.repeats import Repeats

MOST_NAMES = 200
DEEPEST = 24
LONGEST_ID = 64

Anyone = Annotated[Principal | None, Depends(maybe_principal)]
Organiser = Annotated[Principal, Depends(require(Role.ORGANISER))]
SponsorOrOrganiser = Annotated[Principal, Depends(require(Role.SPONSOR, Role.ORGANISER))]
TeamOrOrganiser = Annotated[Principal, Depends(require(Role.TEAM, Role.ORGANISER))]


async def document(request: Request) -> Any:
    """The JSON body of a request, whole: what is wrong inside it is for its reader to say, with the place."""
    try:
        body = json.loads(await request.body(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(
            422, "invalid_request", "The body is not JSON.", "Send a JSON object in UTF-8.", fault=Fault.PARTICIPANT
        ) from error
    _refuse_unstorable(body, 0)
    return body


Document = Annotated[Any, Depends(document)]


class NewCredential(BaseModel):
    """Which API key to issue."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    owner: Annotated[str, Field(pattern=r"^(team|spn|org|opr)_[0-9a-hjkmnp-tv-z]{26}$")] | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class NewRegistration(BaseModel):
    """Which team to register; a team leaves it out."""

    model_config = ConfigDict(extra="forbid")

    team: Annotated[str, Field(max_length=LONGEST_ID)] | None = None


def create_router(store: Store, repeats: Repeats) -> APIRouter:
    """The routes of the board."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/challenges")
    async def list_challenges(request: Request, limit: Limit = 50, after: After = None) -> Response:
        """The challenges on the board, newest first, without their demands and rubrics."""
        found = await store.challenges(after=id_after(after), limit=limit + 1)
        following = cursor_of(found[limit - 1].id) if len(found) > limit else None
        listed = [challenge_view(challenge, whole=False) for challenge in found[:limit]]
        answer = conditional(request, json_bytes({"challenges": listed, "next": following}))
        link_next(request, answer, following)
        return answer

    @routes.get("/challenges/{id}")
    async def read_challenge(request: Request, id: str) -> Response:
        """A challenge, whole."""
        found = await commands.challenge(id, store=store)
        return conditional(request, json_bytes(challenge_view(found, whole=True)))

    @routes.post("/challenges", status_code=201)
    async def publish_challenge(request: Request, principal: SponsorOrOrganiser, body: Document) -> Response:
        """Post a challenge: the body is the challenge."""
        planned = await repeats.plan(request, principal, body, "chl")
        posted = await commands.publish_challenge(planned.ids[0], body, principal=principal, store=store)
        return created(challenge_view(posted, whole=True), f"/v1/challenges/{posted.id}")

    @routes.post("/challenges/{id}/amend")
    async def amend_challenge(id: str, principal: SponsorOrOrganiser, body: Document) -> dict[str, Any]:
        """Make the next version of a challenge: the body is the whole challenge as it is to be."""
        amended = await commands.amend_challenge(id, body, principal=principal, store=store)
        return challenge_view(amended, whole=True)

    @routes.post("/challenges/{id}/registrations", status_code=201)
    async def register_for_challenge(
        id: str, principal: TeamOrOrganiser, wanted: NewRegistration | None = None
    ) -> dict[str, Any]:
        """Let a team take part in a challenge; again is no error."""
        team = None if wanted is None else wanted.team
        entry, _ = await commands.register_for_challenge(id, team, principal=principal, store=store)
        return {"team": team or principal.owner, **registration_view(entry)}

    @routes.post("/teams", status_code=201)
    async def register_team(request: Request, principal: Organiser, body: Document) -> Response:
        """Register a team; the answer holds its API key, which is shown this once."""
        planned = await repeats.plan(request, principal, body, "team", "key")
        team_id, key_id = planned.ids
        team = await commands.register_team(team_id, body, store=store)
        issued = await commands.issue_credential(
            key_id, Role.TEAM, OwnerId(team.id), entropy=planned.entropy, store=store
        )
        return created({"team": team_view(team, whole=True), "key": issued.key.key}, f"/v1/teams/{team.id}")

    @routes.get("/teams")
    async def list_teams(
        request: Request, ids: Annotated[str, Query(max_length=MOST_NAMES * (LONGEST_ID + 1))]
    ) -> Response:
        """The public names of teams, by their ids with commas in between."""
        wanted = [id for id in dict.fromkeys(part.strip() for part in ids.split(",")) if id]
        if len(wanted) > MOST_NAMES:
            raise Problem(
                422, "too_many_ids", "Too many ids at once.", f"Ask for at most {MOST_NAMES}.", limit=MOST_NAMES
            )
        teams = await store.teams(wanted)
        listed = [team_view(team, whole=False) for team in teams]
        return conditional(request, json_bytes({"teams": listed, "next": None}))

    @routes.get("/teams/{id}")
    async def read_team(request: Request, id: str, principal: Anyone) -> Response:
        """A team: its id and name for everyone, everything for itself and the organiser."""
        team = await commands.team(id, store=store)
        whole = principal is not None and (principal.role is Role.ORGANISER or principal.owner == team.id)
        return conditional(request, json_bytes(team_view(team, whole=whole)))

    @routes.post("/credentials", status_code=201)
    async def issue_credential(request: Request, principal: Organiser, wanted: NewCredential) -> Response:
        """Issue an API key, which is shown this once; without an owner, to a new sponsor or organiser."""
        prefix = commands.OWNER_PREFIXES[wanted.role]
        planned = await repeats.plan(request, principal, wanted.model_dump(mode="json"), "key", prefix)
        key_id, owner_id = planned.ids
        issued = await commands.issue_credential(
            key_id,
            wanted.role,
            OwnerId(wanted.owner or owner_id),
            expires_in=None if wanted.expires_in_days is None else timedelta(days=wanted.expires_in_days),
            entropy=planned.entropy,
            store=store,
        )
        view = credential_view(issued.credential)
        return created({"credential": view, "key": issued.key.key}, f"/v1/credentials/{issued.credential.id}")

    @routes.get("/credentials")
    async def list_credentials(
        request: Request, principal: Organiser, owner: Annotated[str, Query(max_length=LONGEST_ID)]
    ) -> Response:
        """The API keys of an owner, without anything secret."""
        found = await store.credentials(owner)
        return conditional(
            request, json_bytes({"credentials": [credential_view(each) for each in found], "next": None})
        )

    @routes.delete("/credentials/{id}", status_code=204)
    async def revoke_credential(id: str, principal: Organiser) -> Response:
        """Stop an API key; again is no error."""
        await commands.revoke_credential(id, store=store)
        return Response(status_code=204)

    return routes


def as_problem(error: JiebangError) -> Problem:
    """What the engine or a rule of the board refuses, as an answer."""
    fault = Fault(error.fault.value)
    status = 409 if isinstance(error, JudgingFrozen) else 422
    return Problem(status, error.code, error.title, error.detail, fault=fault, **error.fields)


def created(body: dict[str, Any], location: str) -> Response:
    """201 with where the new thing is; never kept by a cache, as it may hold a key."""
    headers = {"Location": location, "Cache-Control": "no-store"}
    return Response(json_bytes(body), 201, headers, media_type="application/json")


def challenge_view(challenge: Challenge, *, whole: bool) -> dict[str, Any]:
    """A challenge as the API shows it."""
    terms = challenge.terms.model_dump(mode="json")
    for phase in terms["phases"]:
        phase["state"] = challenge.progress[phase["name"]].value
    if not whole:
        for long in ("demand", "rubric", "summary"):
            del terms[long]
    moments = challenge.model_dump(mode="json", include={"published_at", "amended_at"})
    return {"id": challenge.id, "version": challenge.version, "state": challenge.state, **terms, **moments}


def team_view(team: Team, *, whole: bool) -> dict[str, Any]:
    """A team as the API shows it: its people only to those who may see them."""
    if not whole:
        return {"id": team.id, "name": team.profile.name}
    seen = team.model_dump(mode="json", include={"registered_at", "registrations"})
    return {"id": team.id, **team.profile.model_dump(mode="json"), **seen}


def registration_view(entry: Registration) -> dict[str, Any]:
    """A registration as the API shows it."""
    return entry.model_dump(mode="json")


def credential_view(credential: Credential) -> dict[str, Any]:
    """An API key as the API shows it: nothing of its secret."""
    return credential.model_dump(mode="json", exclude={"secret_sha256"})


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refuse_unstorable(value: Any, depth: int) -> None:
    """What JSON can say and neither a database nor an event can hold: NUL in a key, half a character, a deep nest."""
    if depth > DEEPEST:
        raise Problem(422, "invalid_request", "The body is nested too deeply.", f"Nest at most {DEEPEST} levels.")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Problem(
                422,
                "invalid_request",
                "A text in the body is not Unicode.",
                "Send whole characters, no lone surrogates.",
            ) from error
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key, depth + 1)
            if "\x00" in key:
                raise Problem(422, "invalid_request", "A key in the body holds NUL.", "Remove the character.")
            _refuse_unstorable(item, depth + 1)
