"""What people see of a submission and of the quota: plain JSON values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.ingest.intake import Intake
from services.ingest.quota import Allowance, Ledger, day_of, end_of
from services.ingest.submission import Passage, Submission, SubmissionState
from shared.contracts.envelope import rfc3339
from shared.jobs import JobState

Json = dict[str, Any]


def passage_view(passage: Passage) -> Json:
    """One entry of a timeline."""
    return {"state": passage.state.value, "at": rfc3339(passage.at)}


def submission_facts(submission: Submission) -> Json:
    """A submission as it is stored, without what has to be asked of the queue."""
    return {
        "id": submission.id,
        "challenge": submission.challenge,
        "challenge_version": submission.challenge_version,
        "phase": submission.phase,
        "team": submission.team,
        "upload": submission.upload,
        "note": submission.note,
        "state": submission.state.value,
        "received_at": rfc3339(submission.received_at),
        "bytes": submission.bytes,
        "digest": submission.digest,
        "dataset_digest": submission.dataset_digest,
        "timeline": [passage_view(passage) for passage in submission.timeline],
        "reasons": [
            {"code": reason.code, "sentence": reason.sentence, "gate": reason.gate, "path": reason.path}
            for reason in submission.reasons
        ],
        "rank": submission.rank,
        "total": submission.total,
        "grade": submission.grade,
        "deadline_at": rfc3339(submission.deadline_at) if submission.deadline_at else None,
        "driven_again": submission.drives,
    }


async def submission_view(submission: Submission, intake: Intake) -> Json:
    """A submission with its place in the queue, about how long it will wait, and what is being done with it."""
    view = submission_facts(submission) | {"position": None, "estimate_seconds": None, "working": None}
    stage = submission.stage
    if stage is None:
        return view
    if submission.state is SubmissionState.RECEIVED:
        job = await intake.scans.find(submission.id)
        if job is not None and job.state is JobState.LEASED:
            view |= {"state": SubmissionState.SCANNING.value, "working": "scanning"}
    elif submission.state is SubmissionState.ACCEPTED:
        view["working"] = "scoring"
    ahead = await intake.submissions.ahead_of(submission)
    estimate = (await intake.submissions.pace(stage)).estimate(ahead)
    return view | {
        "position": ahead,
        "estimate_seconds": round(estimate.total_seconds(), 1) if estimate is not None else None,
    }


def quota_view(ledger: Ledger, allowance: Allowance, now: datetime) -> Json:
    """What a team has used of its attempts, today and in all, and when one comes back."""
    today = day_of(now)
    used_today, used_total = ledger.used_on(today), ledger.used_total
    waits = used_today >= allowance.per_day and used_total < allowance.total
    return {
        "challenge": ledger.challenge,
        "day": today,
        "per_day": allowance.per_day,
        "used_today": used_today,
        "total": allowance.total,
        "used_total": used_total,
        "returns_at": rfc3339(end_of(today)) if waits else None,
        "entries": [
            {
                "submission": entry.submission,
                "state": entry.state.value,
                "day": entry.day,
                "at": rfc3339(entry.at),
            }
            for entry in ledger.entries.values()
        ],
    }
