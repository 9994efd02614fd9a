"""The HTTP API of scoring: reports, and the queue for operators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from services.scoring.score import Score, ScoreState
from services.scoring.store import Scores
from shared import tracing
from shared.auth import Principal, require
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.http import After, Limit, conditional, cursor_of, id_after
from shared.jobs import Job, Jobs, JobState
from shared.objects import Objects
from shared.problems import Fault, Problem, not_found

Reader = Annotated[Principal, Depends(require(Role.TEAM, Role.SPONSOR, Role.ORGANISER, Role.OPERATOR))]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]

# The page was made beside untrusted bytes: it may show itself, and neither run, load nor send anything.
_INERT = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}


def create_router(*, scores: Scores, objects: Objects) -> APIRouter:
    """The routes for whom a report is for."""
    router = APIRouter(prefix="/v1", tags=["reports"])

    @router.get(
        "/reports/{submission}",
        responses={200: {"content": {"application/json": {}, "text/html": {}}}, 304: {}, 404: {}, 409: {}},
    )
    async def read_report(
        request: Request, submission: str, reader: Reader, accept: Annotated[str, Header()] = "application/json"
    ) -> Response:
        """A submission's report, as JSON or, if `Accept` prefers it, as a page for people.

        For the team that handed it in, the sponsor of the challenge, and organisers; for all others it is not there.
        """
        score = await scores.readable(submission, reader)
        if score is None:
            raise _not_there()
        if score.state is ScoreState.FAILED:
            raise _no_report(score)
        name, digest, media_type = _wanted(score, accept)
        # The digest names the bytes: a reader who has them is told so before they are fetched.
        etag = f'"{digest[:32]}"'
        if etag in request.headers.get("if-none-match", ""):
            return conditional(request, b"", etag=etag, media_type=media_type, headers=_INERT)
        body = await objects.get(score.assignment.report_key(name))
        return conditional(request, body, etag=etag, media_type=media_type, headers=_INERT)

    return router


def _wanted(score: Score, accept: str) -> tuple[str, str, str]:
    """Name, digest and media type of the form that a reader prefers: JSON unless HTML is put first."""
    html, json = _quality(accept, "text/html"), max(_quality(accept, "application/json"), 0.0)
    if html > json:
        return "report.html", score.page_sha256 or "", "text/html; charset=utf-8"
    return "report.json", score.report_sha256 or "", "application/json"


def _quality(accept: str, media_type: str) -> float:
    """How much a media type is wanted: the quality of the closest range in an `Accept` header, 0 if none matches."""
    best = (0, 0.0)
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        closeness = {media_type: 3, f"{media_type.split('/')[0]}/*": 2, "*/*": 1}.get(name.lower(), 0)
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            best = max(best, (closeness, float(quality) if closeness else 0.0))
        except ValueError:
            continue
    return best[1]


def _not_there() -> Problem:
    """404 in the same words for a submission that was refused, one in the making, a stranger's, and none at all.

    Scoring hears of a submission once its scan has accepted it, so which of them it is has to be asked of ingest.
    """
    return Problem(
        404,
        "unknown_report",
        "There is no such report.",
        "A submission has a report once it was scored, and none if it was rejected: `jiebang status` with its id says "
        "where it is and why. Else check the id, and whose key you use.",
    )


def _no_report(score: Score) -> Problem:
    return Problem(
        409,
        "scoring_failed",
        "This submission could not be scored, so there is no report.",
        "The attempt was given back to its day: hand the dataset in again.",
        fault=Fault.PLATFORM,
        reason=score.code,
    )


def create_ops_router(*, jobs: Jobs) -> APIRouter:
    """The routes for operators."""
    router = APIRouter(prefix="/v1/ops/scoring", tags=["operations"])

    @router.get("/jobs")
    async def list_jobs(
        operator: Operator,
        state: Annotated[JobState | None, Query()] = None,
        limit: Limit = 50,
        after: After = None,
    ) -> dict[str, Any]:
        """The jobs by id, with how many there are in each state."""
        found = await jobs.list(state, limit=limit + 1, after=id_after(after) or "")
        page = found[:limit]
        return {
            "counts": asdict(await jobs.counts()),
            "jobs": [_shown(job) for job in page],
            "next": cursor_of(page[-1].id) if len(found) > limit else None,
        }

    @router.post("/requeue/{submission}", status_code=202)
    async def requeue(operator: Operator, submission: str) -> dict[str, Any]:
        """Bring the waiting job of a submission forward; one that is being worked on is left to its lease.

        A scoring that has failed stays so: its attempt was given back, and the team hands in again.
        """
        found = [
            job for job in await jobs.list(limit=10, after=f"{submission}:") if job.id.startswith(f"{submission}:")
        ]
        if not found:
            raise not_found("job")
        if all(job.state in (JobState.DONE, JobState.FAILED) for job in found):
            raise Problem(
                409,
                "job_over",
                "This job is over.",
                "A scoring ends once, in a score or a failure.",
                fault=Fault.PLATFORM,
            )
        driven = []
        for job in found:
            with tracing.span("requeue", repeats=job.traceparent):
                if await jobs.drive_again(job.id, traceparent=tracing.current_traceparent()):
                    driven.append(job.id)
        return {"jobs": [_shown(job) for job in found], "brought_forward": driven}

    return router


def _shown(job: Job) -> dict[str, Any]:
    """A job as operators see it."""
    assignment = job.payload["assignment"]
    return {
        "id": job.id,
        "state": job.state,
        "submission": assignment["submission"],
        "challenge": assignment["challenge"],
        "team": job.team,
        "priority": job.priority,
        "attempt": job.attempt,
        "queued_at": rfc3339(job.queued_at),
        "worker": job.worker,
        "lease_until": rfc3339(job.lease_until) if job.lease_until else None,
        "error": job.error,
    }
