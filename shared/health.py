"""Whether a process lives and is ready, and the internal port that says so; never forwarded by a gateway."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared import metrics

Check = Callable[[], str | None]
"""Says what is wrong, or None. It must not wait for anything."""


class Health:
    """Gathers what has to be right for a process to be alive, and to be ready."""

    def __init__(self) -> None:
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def alive_if(self, name: str, check: Check) -> None:
        """A process with a failing check is of no more use and has to be restarted."""
        self._alive[name] = check

    def ready_if(self, name: str, check: Check) -> None:
        """A process with a failing check does not get work now."""
        self._ready[name] = check

    def not_alive(self) -> dict[str, str]:
        """What is beyond help, by check."""
        return _failing(self._alive)

    def not_ready(self) -> dict[str, str]:
        """What is not right at the moment, by check."""
        return _failing(self._ready)

    def application(self) -> Starlette:
        """The internal application: `/livez`, `/readyz`, `/metrics`."""

        async def livez(_request: Request) -> Response:
            return _answer(self.not_alive())

        async def readyz(_request: Request) -> Response:
            return _answer(self.not_alive() | self.not_ready())

        async def exposition(request: Request) -> Response:
            body, kind = metrics.exposition(request.headers.get("accept", ""))
            return Response(body, headers={"Content-Type": kind})

        return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", exposition)])


def _failing(checks: dict[str, Check]) -> dict[str, str]:
    return {name: wrong for name, check in checks.items() if (wrong := check()) is not None}


def _answer(wrong: dict[str, str]) -> Response:
    return JSONResponse({"ok": not wrong, **({"wrong": wrong} if wrong else {})}, 503 if wrong else 200)
