"""Uploads over HTTP: tus 1.0, so that clients nobody here wrote resume a large upload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest import tus
from services.ingest.commands import UploadInUse, fingerprint_of, request_key
from services.ingest.intake import Intake
from services.ingest.quota import KeyReused
from services.ingest.receiving import BodyBroken, receive_bytes
from services.ingest.room import require_room
from services.ingest.upload import BeyondLength, Upload, UploadClosed, UploadState
from services.ingest.verifying import begin_verifying, discard_bytes
from shared import tracing
from shared.auth import Principal, require
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.http import conditional, json_bytes

PREFIX = "/v1/uploads"

Team = Annotated[Principal, Depends(require(Role.TEAM))]


def create_router(intake: Intake) -> APIRouter:
    """The routes under `/v1/uploads`."""
    router = APIRouter(tags=["uploads"])
    settings = intake.settings

    @router.options(PREFIX)
    @router.options(f"{PREFIX}/{{id}}")
    async def say_what_we_speak() -> Response:
        """The version and the extensions of tus that this server speaks."""
        return Response(
            status_code=204,
            headers={
                "Tus-Version": tus.VERSION,
                "Tus-Extension": tus.EXTENSIONS,
                "Tus-Max-Size": str(settings.upload_max_bytes),
                "Tus-Checksum-Algorithm": tus.CHECKSUM_ALGORITHM,
            },
        )

    @router.post(PREFIX, status_code=201)
    async def create_upload(request: Request, team: Team) -> Response:
        """Announce a file by its length and digest, with its first bytes if you like.

        Announced again with its Idempotency-Key it is the same upload, and `Upload-Offset` says where to go on: first
        bytes that it has already are not taken twice.
        """
        tus.require_version(request.headers)
        said = tus.announcement(request.headers, max_bytes=settings.upload_max_bytes)
        upload = await _announced(said, request.headers.get("idempotency-key"), team, intake)
        if upload.state is UploadState.RECEIVING and upload.offset == 0 and tus.has_body(request.headers):
            upload = await _receive(request, upload, 0, intake)
        elif upload.state is UploadState.VERIFYING:
            upload = await begin_verifying(upload, intake)
        headers = {"Location": f"{PREFIX}/{upload.id}", "Upload-Offset": str(upload.offset)}
        return Response(status_code=201, headers=headers | _expiry(upload, intake))

    @router.head(f"{PREFIX}/{{id}}")
    async def say_offset(request: Request, id: str, team: Team) -> Response:
        """How far an upload has come."""
        tus.require_version(request.headers)
        upload = await intake.uploads.load(id, team)
        if upload.state is UploadState.EXPIRED:
            raise UploadClosed(upload.state)
        metadata = {"filename": upload.filename, "sha256": upload.sha256, "filetype": upload.filetype}
        return Response(
            headers={
                "Upload-Offset": str(upload.offset),
                "Upload-Length": str(upload.length),
                "Upload-Metadata": tus.write_metadata(metadata),
                "Cache-Control": "no-store",
                **_expiry(upload, intake),
            }
        )

    @router.patch(f"{PREFIX}/{{id}}", status_code=204)
    async def append_bytes(request: Request, id: str, team: Team) -> Response:
        """Send bytes at the offset the upload has reached."""
        tus.require_version(request.headers)
        tus.require_body_type(request.headers)
        offset = tus.number(request.headers, "Upload-Offset")
        upload = await _receive(request, await intake.uploads.load(id, team), offset, intake)
        headers = {"Upload-Offset": str(upload.offset)}
        return Response(status_code=204, headers=headers | _expiry(upload, intake))

    @router.delete(f"{PREFIX}/{{id}}", status_code=204)
    async def delete_upload(request: Request, id: str, team: Team) -> Response:
        """Give an upload up; one that a submission was made of stays."""
        tus.require_version(request.headers)
        upload = await intake.uploads.load(id, team)
        if upload.state is UploadState.EXPIRED:
            raise UploadClosed(upload.state)
        if await intake.submissions.uses(id):
            raise UploadInUse(id)
        unfinished = upload.state is UploadState.RECEIVING
        ended = await intake.uploads.update(id, lambda current, now: current.terminate(now))
        if unfinished:
            await discard_bytes(ended, intake)
        return Response(status_code=204)

    @router.get(f"{PREFIX}/{{id}}")
    async def show_upload(request: Request, id: str, team: Team) -> Response:
        """An upload as JSON: its state, and what is wrong with it if something is."""
        return conditional(request, json_bytes(_view(await intake.uploads.load(id, team), intake)))

    return router


async def _announced(said: tus.Announcement, idempotency_key: str | None, team: Principal, intake: Intake) -> Upload:
    """The upload that a creation makes, or has made when it comes again with its key."""
    fingerprint = fingerprint_of(
        {"length": said.length, "sha256": said.sha256, "filename": said.filename, "filetype": said.filetype}
    )
    key = request_key(team.owner, idempotency_key) if idempotency_key else None
    upload = await intake.uploads.made_by(key) if key is not None else None
    if upload is None:
        await require_room(team.owner, said.length, intake)
        upload = await intake.uploads.add(
            Upload.create(
                id=intake.ids.new("upl"),
                team=team.owner,
                length=said.length,
                sha256=said.sha256,
                filename=said.filename,
                filetype=said.filetype,
                at=await intake.submissions.now(),
                key=key,
                fingerprint=fingerprint,
                traceparent=tracing.current_traceparent(),
            )
        )
    if upload.fingerprint != fingerprint:
        raise KeyReused(upload.id)
    return upload


async def _receive(request: Request, upload: Upload, offset: int, intake: Intake) -> Upload:
    """Take the body of a request in, and verify the upload if that made it whole."""
    upload.expect(offset)
    checksum = tus.checksum(request.headers)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and offset + int(announced[:20]) > upload.length:
        raise BeyondLength(upload.id)
    received = await receive_bytes(upload, offset, _body(request), checksum=checksum, intake=intake)
    return await begin_verifying(received, intake)


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for data in request.stream():
            yield data
    except ClientDisconnect as error:
        raise BodyBroken from error


def _expires_at(upload: Upload, intake: Intake) -> datetime | None:
    if upload.state in (UploadState.RECEIVING, UploadState.VERIFIED) and not upload.kept:
        return upload.expires_at(intake.settings.upload_lifetime)
    return None


def _expiry(upload: Upload, intake: Intake) -> dict[str, str]:
    expires_at = _expires_at(upload, intake)
    if expires_at is None:
        return {}
    return {"Upload-Expires": format_datetime(expires_at.astimezone(UTC), usegmt=True)}


def _view(upload: Upload, intake: Intake) -> dict[str, Any]:
    expires_at = _expires_at(upload, intake)
    view: dict[str, Any] = {
        "id": upload.id,
        "state": upload.state.value,
        "offset": upload.offset,
        "length": upload.length,
        "sha256": upload.sha256,
        "filename": upload.filename,
        "created_at": rfc3339(upload.created_at),
        "completed_at": rfc3339(upload.completed_at) if upload.completed_at else None,
        "expires_at": rfc3339(expires_at) if expires_at else None,
    }
    if upload.problem is not None:
        problem = upload.problem
        view["problem"] = {
            "code": problem.code,
            "title": problem.title,
            "detail": problem.detail,
            "expected": problem.expected,
            "received": problem.received,
        }
    return view


class SpeaksTus:
    """ASGI middleware: every answer under `/v1/uploads` says which tus it is, and a method may hide in a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        override = Headers(scope=scope).get("x-http-method-override")
        if scope["method"] == "POST" and override in ("PATCH", "DELETE"):
            scope = {**scope, "method": override}

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = tus.VERSION
            await send(message)

        await self._app(scope, receive, tell)
