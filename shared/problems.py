"""Errors as problem documents (RFC 9457): a stable code, a sentence, whose fault, and what to do. Never a 500."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared import metrics
from shared.failures import DependencyDown, TransientError
from shared.logs import get_logger
from shared.objects import StorageFull

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "urn:jiebang:problem:"

_STATUS_CODES = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 415: "unsupported_media_type"}


class Fault(StrEnum):
    """Whose turn it is to do something about a problem."""

    PARTICIPANT = "participant"
    SPONSOR = "sponsor"
    PLATFORM = "platform"


class Problem(Exception):
    """An answer that is not the one asked for; raise it anywhere below a route.

    `title` is a sentence about what happened, `detail` says what to do. `fields` are of the case, such as
    `limit` or `quota_returns_at`; `retry_after` also becomes the header of that name.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        *,
        fault: Fault = Fault.PARTICIPANT,
        retry_after: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(f"{code}: {title}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.fault = fault
        self.fields = fields
        self.headers = dict(headers or {})
        if retry_after is not None:
            seconds = max(1, math.ceil(retry_after.total_seconds()))
            self.fields["retry_after"] = seconds
            self.headers["Retry-After"] = str(seconds)

    def document(self) -> dict[str, Any]:
        """The problem document."""
        return {
            "type": f"{TYPE_BASE}{self.code}",
            "title": self.title,
            "status": self.status,
            **({"detail": self.detail} if self.detail else {}),
            "code": self.code,
            "fault": self.fault.value,
            **self.fields,
        }

    def response(self) -> JSONResponse:
        """The HTTP answer, counted by its code."""
        metrics.REFUSALS.labels(self.code).inc()
        return JSONResponse(self.document(), self.status, self.headers, media_type=MEDIA_TYPE)


def not_found(what: str) -> Problem:
    """404 for something that does not exist, or that the caller may not know exists."""
    words = what.replace("_", " ")
    return Problem(404, f"unknown_{what}", f"There is no such {words}.", "Check the id, and whose key you use.")


def platform_fault(retry_after: timedelta = timedelta(seconds=5)) -> Problem:
    """503 for whatever is our own fault."""
    return Problem(
        503,
        "platform_fault",
        "The platform could not do this just now.",
        "Nothing was stored that you did not get an answer for. Send the same request again after the given time.",
        fault=Fault.PLATFORM,
        retry_after=retry_after,
    )


def _invalid(error: RequestValidationError) -> Problem:
    wrong = [
        {"where": ".".join(str(part) for part in item["loc"]), "what": str(item["msg"])} for item in error.errors()[:20]
    ]
    first = f"{wrong[0]['where']}: {wrong[0]['what']}" if wrong else "The body cannot be read."
    return Problem(422, "invalid_request", "The request is not what this route takes.", first, errors=wrong)


def _http(error: HTTPException) -> Problem:
    code = _STATUS_CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "platform_fault")
    if error.status_code >= 500:
        return platform_fault()
    return Problem(error.status_code, code, str(error.detail), headers=error.headers)


def route_of(request: Request) -> str:
    """The route's template, so that a label or a log never holds an id."""
    return str(getattr(request.scope.get("route"), "path", "unmatched"))


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    async def problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.response()

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _invalid(error).response()

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _http(error).response()

    async def dependency(request: Request, error: Exception) -> JSONResponse:
        log.warning("dependency_down", route=route_of(request), error=str(error))
        metrics.PLATFORM_FAULTS.labels(route_of(request)).inc()
        return platform_fault().response()

    async def full(_request: Request, _error: Exception) -> JSONResponse:
        return Problem(
            507,
            "storage_full",
            "The platform has no room left for this.",
            "Nothing was kept. Operators know; try again later.",
            fault=Fault.PLATFORM,
            retry_after=timedelta(minutes=1),
        ).response()

    metrics.begin_at_zero(metrics.REFUSALS, ["platform_fault"], ["storage_full"])
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(StorageFull, full)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(DependencyDown, dependency)
    app.add_exception_handler(TransientError, dependency)
    app.add_middleware(NeverFails)


class NeverFails:
    """ASGI middleware: an unexpected error is logged and counted, and answered 503 with Retry-After.

    Starlette's own outermost layer would answer 500 and raise the error again. This one sits inside it.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the call on; answer for it if it raises before it has begun to answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            route = str(getattr(scope.get("route"), "path", "unmatched"))
            log.error("unexpected_error", route=route, method=scope["method"], exc_info=error)
            metrics.PLATFORM_FAULTS.labels(route).inc()
            if begun:
                raise  # the answer is half sent: only a broken connection tells the client so
            await platform_fault().response()(scope, receive, send)
