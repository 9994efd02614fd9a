"""Submissions over HTTP: hand in, follow, cancel; the quota, the receipt and its keys; a free check beforehand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from services.ingest import commands, preflight
from services.ingest.intake import Intake
from services.ingest.receipts import receipt_of
from services.ingest.submission import Submission
from services.ingest.views import passage_view, quota_view, submission_facts, submission_view
from shared.auth import Principal, require
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.http import After, Limit, RequiredKey, conditional, cursor_of, id_after, json_bytes, link_next
from shared.signing import Signer

Team = Annotated[Principal, Depends(require(Role.TEAM))]
Reader = Annotated[Principal, Depends(require(Role.TEAM, Role.ORGANISER, Role.OPERATOR))]
Id = Annotated[str, Field(min_length=1, max_length=64)]

FOLLOW_EVERY = 0.5
HEARTBEAT_EVERY = 15.0


class NewSubmission(BaseModel):
    """The body of `POST /v1/submissions`."""

    model_config = ConfigDict(extra="forbid")

    challenge: Id
    upload: Id
    note: Annotated[str, Field(max_length=2000)] | None = None


class NewPreflight(BaseModel):
    """The body of `POST /v1/preflight`."""

    model_config = ConfigDict(extra="forbid")

    challenge: Id
    upload: Id


def create_router(intake: Intake, signer: Signer, stopping: asyncio.Event) -> APIRouter:
    """The routes of submissions, quota, keys and preflight. Streams end when `stopping` is set."""
    router = APIRouter(prefix="/v1", tags=["submissions"])

    @router.post("/submissions", status_code=201)
    async def submit(body: NewSubmission, team: Team, key: RequiredKey) -> Response:
        """Hand in a verified upload to a challenge; the answer holds a signed receipt."""
        request = commands.Request(
            team.owner, body.challenge, body.upload, body.note, commands.request_key(team.owner, key)
        )
        received = await commands.receive_submission(request, team, intake)
        submission = received.submission
        allowance = (await intake.board.challenge(submission.challenge)).allowance
        answer = submission_facts(submission) | {
            "receipt": receipt_of(submission, signer),
            "quota": quota_view(received.ledger, allowance, await intake.submissions.now()),
        }
        return JSONResponse(answer, 201, {"Location": f"/v1/submissions/{submission.id}"})

    @router.get("/submissions")
    async def list_submissions(
        response: Response,
        request: Request,
        team: Team,
        challenge: Annotated[str | None, Query(max_length=64)] = None,
        limit: Limit = 50,
        after: After = None,
    ) -> dict[str, Any]:
        """The team's own submissions, newest first."""
        found = await intake.submissions.page(team.owner, challenge, id_after(after), limit + 1)
        following = cursor_of(found[limit - 1].id) if len(found) > limit else None
        link_next(request, response, following)
        return {"submissions": [submission_facts(submission) for submission in found[:limit]], "next": following}

    @router.get("/submissions/{id}")
    async def show_submission(request: Request, id: str, reader: Reader) -> Response:
        """Where a submission is, how long it will wait, and what became of it."""
        submission = await intake.submissions.load(id, reader)
        return conditional(request, json_bytes(await submission_view(submission, intake)))

    @router.get("/submissions/{id}/receipt")
    async def show_receipt(request: Request, id: str, reader: Reader) -> Response:
        """The signed receipt: what was received and when, checked offline by `jiebang verify`."""
        submission = await intake.submissions.load(id, reader)
        return conditional(request, json_bytes(receipt_of(submission, signer)))

    @router.get("/submissions/{id}/events", response_class=StreamingResponse)
    async def follow_submission(request: Request, id: str, reader: Reader) -> StreamingResponse:
        """The timeline as server-sent events, from the beginning or after `Last-Event-ID`, until it ends."""
        submission = await intake.submissions.load(id, reader)
        known = request.headers.get("last-event-id", "")
        seen = int(known) if known.isascii() and known.isdecimal() and len(known) < 6 else 0
        return StreamingResponse(
            _events(submission, seen, reader, intake, stopping),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @router.post("/submissions/{id}/cancel")
    async def cancel(id: str, team: Team) -> dict[str, Any]:
        """Withdraw a submission before its scan ends; the attempt comes back as far as the rules allow."""
        submission = await commands.cancel_submission(id, team, intake)
        ledger = await intake.ledgers.load(submission.team, submission.challenge)
        refunded = ledger.is_refunded(submission.key)
        return await submission_view(submission, intake) | {"refunded": refunded}

    @router.get("/quota")
    async def show_quota(request: Request, team: Team, challenge: Annotated[str, Query(max_length=64)]) -> Response:
        """What the team has used of its attempts in a challenge that it is registered for, attempt by attempt."""
        allowance = (await intake.board.challenge(challenge)).allowance
        if not await intake.board.is_registered(team.owner, challenge):
            raise commands.NotRegistered(challenge)
        ledger = await intake.ledgers.load(team.owner, challenge)
        return conditional(request, json_bytes(quota_view(ledger, allowance, await intake.submissions.now())))

    @router.get("/keys")
    async def show_keys(request: Request) -> Response:
        """The public keys that receipts are signed with: the present one first, then those of before."""
        since = None if signer.since is None else rfc3339(signer.since)
        keys = [
            {
                "keyid": public.keyid,
                "algorithm": "ed25519",
                "public": public.base64,
                "pem": public.pem,
                "use": "receipt",
                "created_at": since if public == signer.public else None,
            }
            for public in (signer.public, *signer.retired)
        ]
        return conditional(request, json_bytes({"keys": keys}))

    @router.post("/preflight")
    async def check_first(body: NewPreflight, team: Team) -> Response:
        """Run the gates over an upload without a submission and without using an attempt."""
        check = await preflight.check(body.challenge, body.upload, team, intake)
        headers = {"Location": f"/v1/preflight/{check.id}"}
        if check.passed is None:
            return JSONResponse(preflight.view(check), 202, headers | {"Retry-After": "2"})
        return JSONResponse(preflight.view(check), 200, headers)

    @router.get("/preflight/{id}")
    async def show_check(request: Request, id: str, reader: Reader) -> Response:
        """The answer of a check that took longer than its request."""
        return conditional(request, json_bytes(preflight.view(await intake.preflights.load(id, reader))))

    return router


async def _events(
    submission: Submission, seen: int, reader: Principal, intake: Intake, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    """The passages of a timeline as they come. An event's id is its place in the timeline, from 1."""
    loop = asyncio.get_running_loop()
    quiet_since = loop.time()
    yield b"retry: 2000\n\n"
    while True:
        for number, passage in enumerate(submission.timeline[seen:], start=seen + 1):
            data = passage_view(passage) | {"submission": submission.id}
            if passage.state is submission.state:
                data |= {"rank": submission.rank, "total": submission.total, "grade": submission.grade}
            yield f"id: {number}\nevent: {passage.state}\ndata: {json.dumps(data)}\n\n".encode()
            seen, quiet_since = number, loop.time()
        if submission.ended or stopping.is_set():
            return
        if loop.time() - quiet_since > HEARTBEAT_EVERY:
            yield b": still there\n\n"
            quiet_since = loop.time()
        await asyncio.sleep(FOLLOW_EVERY)
        submission = await intake.submissions.load(submission.id, reader)
