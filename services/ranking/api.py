"""The HTTP API of ranking: leaderboards for everyone as the phase allows, rebuilds for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from services.ranking.challenge import Challenge, Phase
from services.ranking.reading import Page, Reading, View
from services.ranking.rebuilds import Rebuilds
from shared.auth import Principal, maybe_principal, require
from shared.contracts.board import Role
from shared.http import After, GivenMoment, Limit, conditional
from shared.problems import Problem, not_found

Reader = Annotated[Principal | None, Depends(maybe_principal)]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]
PhaseName = Annotated[str | None, Query(max_length=64, description="Without it, the phase that began last.")]
Moment = Annotated[GivenMoment | None, Query(description="The board as it was then; RFC 3339 with an offset.")]


def create_router(*, reading: Reading) -> APIRouter:
    """The routes of leaderboards."""
    router = APIRouter(prefix="/v1/leaderboards", tags=["leaderboards"])

    async def viewed(challenge: str, phase: str | None, reader: Principal | None, at: datetime | None) -> View:
        return await chosen_view(await known_challenge(challenge), phase, reader, at)

    async def known_challenge(id: str) -> Challenge:
        known = await reading.challenge(id)
        if known is None:
            raise not_found("challenge")
        return known

    async def chosen_view(known: Challenge, phase: str | None, reader: Principal | None, at: datetime | None) -> View:
        chosen = await reading.phase(known, phase)
        if chosen is None:
            raise not_found("phase")
        if not may_read(known, chosen, reader):
            raise _private(chosen)
        return await reading.view(known, chosen, at)

    @router.get("/{challenge}", responses={304: {}, 404: {}})
    async def read_board(
        request: Request,
        challenge: str,
        reader: Reader,
        phase: PhaseName = None,
        at: Moment = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """The leaderboard of a phase: each team where its best submission stands, now or as of a moment.

        `provisional` while scores may still come for what was in time; `pending` submissions have no score yet.
        """
        view = await viewed(challenge, phase, reader, at)
        return _answer(request, reading.page(view, limit=limit, after=after))

    @router.get("/{challenge}/teams/{team}", responses={304: {}, 404: {}})
    async def read_team(
        request: Request, challenge: str, team: str, reader: Reader, phase: PhaseName = None, at: Moment = None
    ) -> Response:
        """One team's rank explained: the teams right ahead and right behind, by how much and by which rule.

        `counted` lists its submissions with why each counts or not. Those without a place (pending, rejected, failed,
        cancelled) are listed for the team itself, the challenge's sponsor, organisers and operators.
        """
        known = await known_challenge(challenge)
        view = await chosen_view(known, phase, reader, at)
        page = reading.team(view, team, whole=may_see_all_of(team, known, reader))
        if page is None:
            raise not_found("team")
        return _answer(request, page)

    @router.get("/{challenge}/history", responses={304: {}, 404: {}})
    async def read_history(
        request: Request,
        challenge: str,
        reader: Reader,
        phase: PhaseName = None,
        at: Moment = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """What moved on a board, the oldest first; `board_seq` is that of the event that told it."""
        view = await viewed(challenge, phase, reader, at)
        return _answer(request, reading.history(view, limit=limit, after=after))

    return router


def may_read(challenge: Challenge, phase: Phase, reader: Principal | None) -> bool:
    """Whether a board may be read: anybody's once it is public; before, organisers and the challenge's sponsor."""
    if challenge.open_to_all(phase):
        return True
    return _oversees(challenge, reader)


def may_see_all_of(team: str, challenge: Challenge, reader: Principal | None) -> bool:
    """Whether a reader is told of a team's submissions that have no place on the board."""
    itself = reader is not None and reader.role is Role.TEAM and reader.owner == team
    return itself or _oversees(challenge, reader)


def _oversees(challenge: Challenge, reader: Principal | None) -> bool:
    if reader is None:
        return False
    return reader.is_one_of(Role.ORGANISER, Role.OPERATOR) or (
        reader.role is Role.SPONSOR and reader.owner == challenge.sponsor
    )


def _private(phase: Phase) -> Problem:
    return Problem(
        404,
        "leaderboard_private",
        "This leaderboard is private until its phase is closed.",
        f"Come back after the end of the phase {phase.name}; your own reports are there already.",
    )


def _answer(request: Request, page: Page) -> Response:
    headers = {}
    if page.next is not None:
        query = urlencode({**dict(request.query_params), "after": page.next})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return conditional(request, page.body, etag=page.etag, headers=headers)


class NewRebuild(BaseModel):
    """How boards are to be made anew."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drop: bool = False


def create_ops_router(*, rebuilds: Rebuilds) -> APIRouter:
    """The routes for operators."""
    router = APIRouter(prefix="/v1/ops/ranking", tags=["operations"])

    @router.post("/rebuilds", status_code=202)
    async def start_rebuild(operator: Operator, asked: NewRebuild = NewRebuild()) -> dict[str, Any]:
        """Make every board anew from the topics, beside the ones that stand, compare, and switch to it.

        A board with entries that no topic knows stays as it is, unless `drop` is true.
        """
        return await rebuilds.start(by=operator.owner, drop=asked.drop)

    @router.get("/rebuilds")
    async def list_rebuilds(operator: Operator) -> dict[str, Any]:
        """The rebuilds there were."""
        return {"rebuilds": await rebuilds.list()}

    @router.get("/rebuilds/{id}")
    async def read_rebuild(operator: Operator, id: str) -> dict[str, Any]:
        """How a rebuild is doing, and how each board compared with the one it took the place of."""
        found = await rebuilds.find(id)
        if found is None:
            raise not_found("rebuild")
        return found

    return router
