"""What scoring does: a table of contents. Each command is told what it needs, and may be repeated without harm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from jiebang.sandbox import OutcomeStatus
from services.scoring.measuring import Measured, Measuring
from services.scoring.score import Assignment, Next, ReportRefused, Score, Terms, after, code_of, verdict
from services.scoring.store import AllTerms, Scores
from shared.clock import Clock
from shared.contracts.board import ChallengeAmended, ChallengePublished
from shared.contracts.envelope import Event
from shared.contracts.intake import SubmissionAccepted
from shared.failures import ProjectionBehind, TransientError
from shared.jobs import Job, Jobs, Lease
from shared.logs import get_logger
from shared.objects import Objects

log = get_logger(__name__)

_ASSIGNMENT = TypeAdapter(Assignment)

EXHAUSTED = "attempts_exhausted"


class Disturbed(TransientError):
    """A measuring ended in a way that may have come from outside: it is attempted once more."""


async def remember_terms(fact: ChallengePublished | ChallengeAmended, *, all_terms: AllTerms) -> None:
    """Keep what a version of a challenge says about judging."""
    await all_terms.keep(Terms.of(fact))


async def queue_score(event: Event[SubmissionAccepted], *, all_terms: AllTerms, jobs: Jobs, scores: Scores) -> None:
    """Queue the scoring of an accepted submission.

    An acceptance told again means that somebody still waits: a job in the queue is brought forward, and a score that
    is recorded is told again, with the same content.

    Raises:
        ProjectionBehind: the challenge's announcement has not been read yet.
    """
    fact = event.data
    terms = await all_terms.find(fact.challenge, fact.challenge_version)
    if terms is None:
        raise ProjectionBehind(f"version {fact.challenge_version} of {fact.challenge} is not known yet")
    assignment = Assignment.of(fact, terms)
    payload = {"assignment": _ASSIGNMENT.dump_python(assignment, mode="json"), "cause": event.id}
    if await jobs.queue(assignment.id, payload, team=fact.team):
        return
    known = await jobs.find(assignment.id)
    if known is not None and known.payload["cause"] != event.id:
        if await scores.tell_again(assignment.id, cause=event):
            log.warning("score_told_again", submission=fact.submission)
            return
        driven = await jobs.drive_again(assignment.id, traceparent=event.traceparent)
        log.info("score_driven_again", submission=fact.submission, brought_forward=driven)


async def score(
    lease: Lease, *, all_terms: AllTerms, measuring: Measuring, objects: Objects, scores: Scores, clock: Clock
) -> None:
    """Do one attempt at a scoring: measure, store the report, record the score.

    Raises:
        Disturbed: the attempt may have been disturbed from outside and is to be repeated.
        DependencyDown: nothing was recorded.
    """
    assignment = assignment_of(lease.payload)
    if lease.attempt > 1 and await scores.find(assignment.id) is not None:
        return  # recorded by a worker that died before it could say so
    terms = await all_terms.find(assignment.challenge, assignment.challenge_version)
    if terms is None:
        raise ProjectionBehind(f"version {assignment.challenge_version} of {assignment.challenge} is not known")
    measured = await measuring.measure(assignment, terms)
    if measured.outcome.status is not OutcomeStatus.DONE:
        await _end_without_report(assignment, measured, attempts=lease.counted, scores=scores, clock=clock)
        return
    try:
        found = verdict(measured.outcome.result, assignment, terms)
    except ReportRefused as refused:
        log.error("report_refused", submission=assignment.submission, why=str(refused))
        await fail(assignment, refused.code, scores=scores, clock=clock)
        return
    report = report_bytes(measured.outcome.result)
    await objects.put(assignment.report_key("report.json"), report)
    await objects.put(assignment.report_key("report.html"), measured.page)
    recorded, facts = Score.completed(
        assignment, found, report_sha256=_sha256(report), page_sha256=_sha256(measured.page), at=clock.now()
    )
    new = await scores.record(recorded, facts)
    log.info("score_recorded", submission=assignment.submission, total=found.total, grade=found.grade, new=new)


async def fail(assignment: Assignment, code: str, *, scores: Scores, clock: Clock) -> None:
    """Record that a submission cannot be scored; ingest gives the quota back."""
    recorded, facts = Score.failed(assignment, code, at=clock.now())
    new = await scores.record(recorded, facts)
    log.warning("score_failed", submission=assignment.submission, code=code, new=new)


async def give_up(job: Job, *, scores: Scores, clock: Clock) -> None:
    """Record the failure of a job that has used up its attempts."""
    await fail(assignment_of(job.payload), EXHAUSTED, scores=scores, clock=clock)


async def _end_without_report(
    assignment: Assignment, measured: Measured, *, attempts: int, scores: Scores, clock: Clock
) -> None:
    outcome = measured.outcome
    ending = outcome.status
    if ending is OutcomeStatus.REFUSED and outcome.result.get("fault") == "platform":
        ending = OutcomeStatus.CRASHED  # a refusal that is our own doing says nothing about the dataset
    code = code_of(ending, outcome.result.get("code"))
    if after(ending, disturbed_before=attempts - 1) is Next.AGAIN:
        raise Disturbed(f"{code}: {outcome.detail}")
    log.error("measuring_ended_without_report", submission=assignment.submission, code=code, detail=outcome.detail)
    await fail(assignment, code, scores=scores, clock=clock)


def assignment_of(payload: Mapping[str, Any]) -> Assignment:
    """The assignment in a job's payload."""
    return _ASSIGNMENT.validate_python(payload["assignment"])


def report_bytes(report: Mapping[str, Any]) -> bytes:
    """A report as it is kept: equal reports are equal bytes. A lone surrogate, which is no text, becomes `?`."""
    text = json.dumps(report, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
