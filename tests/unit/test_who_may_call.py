"""Who may call what: every route of every service is on a list here, and lets nobody else in.

The routes come from the services as they are composed, so that one without a row fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.board.app import create_service as board
from services.board.settings import BoardSettings
from services.ingest.app import build as ingest
from services.ingest.settings import IngestSettings
from services.notify.app import create_service as notify
from services.notify.settings import NotifySettings
from services.ranking.app import build as ranking
from services.ranking.settings import RankingSettings
from services.scoring.app import build as scoring
from services.scoring.settings import ScoringSettings
from shared.app import Service
from shared.auth import Principal
from shared.contracts.board import Role
from shared.ids import CredentialId, OwnerId
from shared.settings import Settings

ANYONE = frozenset({None, *Role})
ORGANISER = frozenset({Role.ORGANISER})
OPERATOR = frozenset({Role.OPERATOR})
SPONSORS = frozenset({Role.SPONSOR, Role.ORGANISER})
TEAM = frozenset({Role.TEAM})
STAFF_OR_TEAM = frozenset({Role.TEAM, Role.ORGANISER, Role.OPERATOR})

ALLOWED: dict[str, frozenset[Role | None]] = {
    "GET /v1/challenges": ANYONE,
    "GET /v1/challenges/{id}": ANYONE,
    "POST /v1/challenges": SPONSORS,
    "POST /v1/challenges/{id}/amend": SPONSORS,
    "POST /v1/challenges/{id}/registrations": frozenset({Role.TEAM, Role.ORGANISER}),
    "POST /v1/teams": ORGANISER,
    "GET /v1/teams": ANYONE,
    "GET /v1/teams/{id}": ANYONE,
    "POST /v1/credentials": ORGANISER,
    "GET /v1/credentials": ORGANISER,
    "DELETE /v1/credentials/{id}": ORGANISER,
    "OPTIONS /v1/uploads": ANYONE,
    "OPTIONS /v1/uploads/{id}": ANYONE,
    "POST /v1/uploads": TEAM,
    "HEAD /v1/uploads/{id}": TEAM,
    "PATCH /v1/uploads/{id}": TEAM,
    "DELETE /v1/uploads/{id}": TEAM,
    "GET /v1/uploads/{id}": TEAM,
    "POST /v1/submissions": TEAM,
    "GET /v1/submissions": TEAM,
    "GET /v1/submissions/{id}": STAFF_OR_TEAM,
    "GET /v1/submissions/{id}/receipt": STAFF_OR_TEAM,
    "GET /v1/submissions/{id}/events": STAFF_OR_TEAM,
    "POST /v1/submissions/{id}/cancel": TEAM,
    "GET /v1/quota": TEAM,
    "GET /v1/keys": ANYONE,
    "POST /v1/preflight": TEAM,
    "GET /v1/preflight/{id}": STAFF_OR_TEAM,
    "GET /v1/reports/{submission}": frozenset(Role),
    "GET /v1/certificates/keys": ANYONE,
    "GET /v1/certificates/revocations": ANYONE,
    "GET /v1/certificates/log": ANYONE,
    "GET /v1/certificates/{certificate}": frozenset(Role),
    "POST /v1/certificates/{certificate}/revoke": ORGANISER,
    "GET /v1/leaderboards/{challenge}": ANYONE,
    "GET /v1/leaderboards/{challenge}/teams/{team}": ANYONE,
    "GET /v1/leaderboards/{challenge}/history": ANYONE,
    "POST /v1/subscriptions": SPONSORS,
    "GET /v1/subscriptions": SPONSORS,
    "GET /v1/subscriptions/{id}": SPONSORS,
    "DELETE /v1/subscriptions/{id}": SPONSORS,
    "POST /v1/subscriptions/{id}/pause": SPONSORS,
    "POST /v1/subscriptions/{id}/resume": SPONSORS,
    "POST /v1/subscriptions/{id}/rotate": SPONSORS,
    "POST /v1/subscriptions/{id}/test": SPONSORS,
    "GET /v1/subscriptions/{id}/deliveries": SPONSORS,
    "GET /v1/subscriptions/{id}/deliveries/{delivery}": SPONSORS,
    "POST /v1/subscriptions/{id}/replay": SPONSORS,
    "GET /asyncapi.json": ANYONE,
}

SERVICES: dict[str, tuple[Callable[[Any], Service], type[Settings]]] = {
    "board": (board, BoardSettings),
    "ingest": (ingest, IngestSettings),
    "scoring": (scoring, ScoringSettings),
    "ranking": (ranking, RankingSettings),
    "notify": (notify, NotifySettings),
}


def allowed(route: str) -> frozenset[Role | None]:
    """Who may call a route; what lies under `/v1/ops` is the operators', whatever it is."""
    return OPERATOR if " /v1/ops/" in route else ALLOWED[route]


class Says:
    """Knows the caller without looking anywhere."""

    def __init__(self, role: Role) -> None:
        self._principal = Principal(CredentialId("key_a"), OwnerId("owner_a"), role)

    async def principal(self, header: str) -> Principal:
        return self._principal


@pytest.fixture(params=SERVICES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FastAPI]:
    """The API of a service as it is composed; nothing of it is connected to anything."""
    build, settings = SERVICES[request.param]
    service = build(
        settings(objects_url=(tmp_path / "objects").as_uri(), signing_key_file=tmp_path / "signing-key.pem")
    )
    assert service.application is not None
    yield service.application
    service.mongo.close()


def routes(app: FastAPI) -> list[str]:
    served = [route for route in app.routes if isinstance(route, APIRoute)]
    return [f"{method} {route.path}" for route in served for method in route.methods or ()]


async def status(app: FastAPI, route: str, role: Role | None) -> int:
    method, path = route.split(" ")
    if role is not None:
        app.state.authenticator = Says(role)
    headers = {"Authorization": "Bearer it"} if role is not None else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as http:
        return (await http.request(method, path, headers=headers)).status_code


async def test_every_route_is_on_the_list_and_refuses_whoever_is_not(app: FastAPI) -> None:
    found = routes(app)
    assert found
    assert not [route for route in found if " /v1/ops/" not in route and route not in ALLOWED]
    for route in found:
        for role in ANYONE - allowed(route):
            assert await status(app, route, role) == (401 if role is None else 403), (route, role)


async def test_the_description_names_the_key_that_guarded_routes_need(app: FastAPI) -> None:
    document = app.openapi()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for route in routes(app):
        method, path = route.split(" ")
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None and None not in allowed(route):
            assert operation["security"] == [{"key": []}], route
