"""What operators ask of ingest: the queues, why a submission waits, and to begin a stage anew."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from services.ingest import commands
from services.ingest.intake import Intake
from services.ingest.views import submission_view
from shared.auth import require
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.jobs import Job, Jobs, JobState


def create_router(intake: Intake) -> APIRouter:
    """The routes of operators."""
    router = APIRouter(prefix="/v1/ops/ingest", tags=["operations"])
    operator = Depends(require(Role.OPERATOR))

    @router.get("/jobs", dependencies=[operator])
    async def list_jobs(
        limit: Annotated[int, Query(ge=1, le=200)] = 100, after: Annotated[str, Query(max_length=200)] = ""
    ) -> dict[str, Any]:
        """The queues of scans and verifications: how long they are, and the jobs that failed."""
        return {
            "queues": [
                await _queue_view("scan", intake.scans, limit, after),
                await _queue_view("verify", intake.verifications, limit, after),
            ]
        }

    @router.get("/why/{id}", dependencies=[operator])
    async def say_why(id: str) -> dict[str, Any]:
        """What a submission waits for, and since when."""
        submission = await intake.submissions.load(id, None)
        job = await intake.scans.find(id)
        stage = submission.stage
        return {
            "submission": await submission_view(submission, intake),
            "waits_for": stage.value if stage is not None else None,
            "since": rfc3339(submission.timeline[-1].at),
            "deadline_at": rfc3339(submission.deadline_at) if submission.deadline_at else None,
            "driven_again": submission.drives,
            "refund_due": submission.refund_due,
            "scan_job": _job_view(job) if job is not None else None,
        }

    @router.post("/requeue/{id}", status_code=202, dependencies=[operator])
    async def requeue(id: str) -> dict[str, Any]:
        """Have the stage that a submission waits for begun anew, ahead of others."""
        submission = await commands.requeue(id, intake)
        return await submission_view(submission, intake)

    return router


async def _queue_view(name: str, jobs: Jobs, limit: int, after: str) -> dict[str, Any]:
    counts = await jobs.counts()
    failed = await jobs.list(JobState.FAILED, limit=limit, after=after)
    return {
        "queue": name,
        "queued": counts.queued,
        "leased": counts.leased,
        "done": counts.done,
        "failed": counts.failed,
        "oldest_queued_seconds": counts.oldest_queued_seconds,
        "failed_jobs": [_job_view(job) for job in failed],
    }


def _job_view(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "attempt": job.attempt,
        "priority": job.priority,
        "queued_at": rfc3339(job.queued_at),
        "worker": job.worker,
        "lease_until": rfc3339(job.lease_until) if job.lease_until else None,
        "error": job.error,
    }
