"""What every API does the same way: conditional reads, lists by cursor, idempotency keys, bounded JSON bodies."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import metrics, tracing
from shared.mongo import Database, DuplicateId, translated
from shared.problems import Fault, Problem

LARGEST_JSON = 1024 * 1024
LONGEST_IDEMPOTENCY_KEY = 255
MOST_LISTED = 200
GONE = 499
"""What a request is counted under whose client went away before it was answered: no fault of the platform."""
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many to list.")]
After = Annotated[str | None, Query(max_length=512, description="The `next` of the page before.")]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("in UTC this moment is outside the years 1 to 9999") from error


GivenMoment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment that a caller gives, in UTC: one that only its offset keeps inside the calendar is refused."""


# --- conditional reads


def etag_of(body: bytes) -> str:
    """A strong ETag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def conditional(
    request: Request,
    body: bytes,
    *,
    etag: str | None = None,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a GET: 304 if the caller has this version, else the body; with its ETag either way."""
    tag = etag or etag_of(body)
    known = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    answer = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Authorization, Accept", **(headers or {})}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=answer)
    return Response(body, media_type=media_type, headers=answer)


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8 of what is made of plain values."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


# --- lists


def cursor_of(*place: str | int) -> str:
    """An opaque cursor for the place after which a list goes on."""
    return base64.urlsafe_b64encode(json_bytes(place)).decode().rstrip("=")


def place_of(cursor: str) -> tuple[str | int, ...]:
    """The place in a cursor.

    Raises:
        Problem: 422 `invalid_cursor`, if it is not one of ours.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json_bytes(place)  # half a character is text to JSON, and fails wherever it is looked for
    except ValueError:
        place = None
    if not isinstance(place, list) or not all(isinstance(part, str | int) for part in place):
        raise invalid_cursor()
    return tuple(place)


def id_after(cursor: str | None) -> str | None:
    """The id after which a list by id goes on; None for its first page.

    Raises:
        Problem: 422 `invalid_cursor`, if the cursor is not of one id.
    """
    if cursor is None:
        return None
    match place_of(cursor):
        case (str(id),):
            return id
        case _:
            raise invalid_cursor()


def invalid_cursor() -> Problem:
    """422 for what is not a cursor of this list."""
    return Problem(422, "invalid_cursor", "This is not the cursor of a list.", "Use the `next` of the page before.")


def link_next(request: Request, response: Response, next_cursor: str | None) -> None:
    """Set the `Link` header that leads to the next page, if there is one."""
    if next_cursor is not None:
        query = {**dict(request.query_params), "after": next_cursor}
        response.headers["Link"] = f'<{request.url.path}?{urlencode(query)}>; rel="next"'


# --- idempotency keys


async def idempotency_key(
    idempotency_key: Annotated[str | None, Header(description="Makes a repeated request the same request.")] = None,
) -> str:
    """A FastAPI dependency: the `Idempotency-Key` of a POST that creates; 400 if it is missing or too long."""
    if not idempotency_key:
        raise Problem(
            400,
            "idempotency_key_required",
            "A request that creates something needs an Idempotency-Key.",
            "Send one of your own, such as a UUID, and the same one when you repeat the request.",
        )
    if len(idempotency_key) > LONGEST_IDEMPOTENCY_KEY or not idempotency_key.isascii():
        raise Problem(
            400,
            "idempotency_key_invalid",
            "This Idempotency-Key cannot be used.",
            f"Send at most {LONGEST_IDEMPOTENCY_KEY} ASCII characters.",
        )
    return idempotency_key


RequiredKey = Annotated[str, Depends(idempotency_key)]


def fingerprint(body: Any) -> str:
    """What makes two requests the same one: a digest of the parsed body, blind to spaces and the order of keys."""
    text = json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def idempotency_conflict() -> Problem:
    """409 for a key that was used with another body."""
    return Problem(
        409,
        "idempotency_conflict",
        "This Idempotency-Key was used for another request.",
        "Repeat the request exactly as it was, or use a new key for a new one.",
        fault=Fault.PARTICIPANT,
    )


class IdempotencyKeys:
    """Remembers which id a request was given, so that its repetition makes the same thing and not a second one.

    The id is fixed before anything is made; whoever makes it uses that id and `add_new`, so a crash anywhere in
    between is made good by the repetition.
    """

    def __init__(self, database: Database) -> None:
        self._collection = database["idempotency_keys"]

    async def prepare(self) -> None:
        """Create the index that forgets keys after 90 days."""
        with translated():
            await self._collection.create_index("at", expireAfterSeconds=90 * 86_400)

    async def id_for(self, owner: str, key: str, print_of_body: str, make: Callable[[], str]) -> tuple[str, bool]:
        """The id for a request of an owner with a key, and whether it is a new one.

        Raises:
            Problem: 409 `idempotency_conflict`, if the key came with another body before.
        """
        at = hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()
        made = make()
        try:
            with translated():
                await self._collection.update_one(
                    {"_id": at, "made": {"$exists": False}},
                    {"$setOnInsert": {"made": made, "print": print_of_body}, "$currentDate": {"at": True}},
                    upsert=True,
                )
            return made, True
        except DuplicateId:
            with translated():
                found = await self._collection.find_one({"_id": at})
        if found is None or found["print"] != print_of_body:
            raise idempotency_conflict()
        return str(found["made"]), False


# --- around every request


class BoundedJson:
    """ASGI middleware: a JSON body larger than 1 MiB is refused while it is read, and one that is not Unicode after."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a JSON body up to the limit, and hand it on."""
        if scope["type"] != "http" or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client is gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > LARGEST_JSON:
                problem = Problem(
                    413,
                    "body_too_large",
                    "The body of this request is too large.",
                    f"Send at most {LARGEST_JSON} bytes of JSON; data travels by /v1/uploads.",
                    limit=LARGEST_JSON,
                    headers={"Connection": "close"},
                )
                await problem.response()(scope, receive, send)
                return
        if not _is_text(body):
            await Problem(
                422, "invalid_text", "The body is not text in UTF-8, or holds half a character.", "Send valid Unicode."
            ).response()(scope, receive, send)
            return
        handed = False

        async def replay() -> Message:
            nonlocal handed
            if not handed:
                handed = True
                return {"type": "http.request", "body": bytes(body), "more_body": False}
            return await receive()

        await self._app(scope, replay, send)


def _is_text(body: bytearray) -> bool:
    """False if the bytes are not UTF-8, or spell a lone surrogate, which fails wherever it is stored or answered."""
    try:
        body.decode()
        if b"\\ud" in body or b"\\uD" in body:
            json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeError:
        return False
    except (ValueError, RecursionError):
        return True  # text, if not JSON: the route says what is wrong with it
    return True


def _is_json(scope: Scope) -> bool:
    return any(name == b"content-type" and b"json" in value for name, value in scope["headers"])


class Observed:
    """ASGI middleware: a trace, a count and a duration for every request, labelled by the route's template."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = GONE
        traceparent = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None
        )

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with tracing.span(f"{scope['method']}", traceparent=traceparent) as current, metrics.timer() as elapsed:
            await self._app(scope, receive, watched)
            route = getattr(scope.get("route"), "path", "unmatched")
            current.update_name(f"{scope['method']} {route}")
        # A method is any word that a client likes to send, and a label's values are kept for good.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics.REQUESTS.labels(route, method, str(status)).inc()
        metrics.REQUEST_SECONDS.labels(route, method).observe(elapsed())
