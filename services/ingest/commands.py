"""What ingest does with submissions: one function per thing that can be asked of it or happen to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from services.ingest.challenge import Challenge, PhaseClosed
from services.ingest.intake import Intake
from services.ingest.quota import KeyReused, Ledger, QuotaExhausted
from services.ingest.store import KeyTaken, Missing, SubmissionChange
from services.ingest.submission import Reason, Stage, Submission, SubmissionState
from services.ingest.upload import Upload, UploadState
from shared import metrics, tracing
from shared.auth import Principal
from shared.contracts.envelope import Event, Fact
from shared.contracts.ranking import EntryRecorded
from shared.contracts.scoring import ScoreCompleted, ScoreFailed
from shared.failures import DependencyDown, TransientError
from shared.jobs import Job, Priority
from shared.logs import get_logger

log = get_logger(__name__)


ON_ITS_WAY = timedelta(seconds=1)
"""How long an event of the board may take to reach us before what it says does not exist."""


class NotRegistered(Exception):
    """The team may not submit to the challenge."""


class UploadNotReady(Exception):
    """The upload cannot become a submission: not whole yet, still being verified, refused, or expired."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(f"upload {upload.id} is {upload.state}")
        self.upload = upload


class UploadInUse(Exception):
    """A submission was made of the upload, so it cannot be deleted."""


class DatasetTooLarge(Exception):
    """The upload is larger than the challenge allows."""

    def __init__(self, limit: int, received: int) -> None:
        super().__init__(f"{received} bytes, at most {limit}")
        self.limit = limit
        self.received = received


@dataclass(frozen=True, slots=True)
class Received:
    """A submission that was handed in, and the team's ledger as it is now."""

    submission: Submission
    ledger: Ledger


def request_key(owner: str, idempotency_key: str) -> str:
    """What an Idempotency-Key is stored as: it belongs to its owner, and its text is nobody's business."""
    return hashlib.sha256(f"{owner}\0{idempotency_key}".encode()).hexdigest()


def fingerprint_of(body: dict[str, str | int | None]) -> str:
    """What a request's body is compared by when its key comes again."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """A request to make a submission of an upload; `key` is what its Idempotency-Key is stored as."""

    team: str
    challenge: str
    upload: str
    note: str | None
    key: str

    @property
    def fingerprint(self) -> str:
        """What this request is compared by when its key comes again."""
        return fingerprint_of({"challenge": self.challenge, "upload": self.upload, "note": self.note})


async def receive_submission(request: Request, reader: Principal, intake: Intake) -> Received:
    """Make a submission of a verified upload: hold an attempt, store submission and event, consume the attempt.

    The same request again, after whatever came between, gives the same submission.

    Raises:
        Missing: no such challenge, or no such upload of this team.
        NotRegistered, PhaseClosed, DatasetTooLarge, UploadNotReady, QuotaExhausted: nothing was stored.
        KeyReused: the key has made a submission of something else.
    """
    try:
        return await _receive(request, reader, intake)
    except (Missing, NotRegistered, PhaseClosed, DatasetTooLarge, UploadNotReady, QuotaExhausted):
        # The phase may be over and the quota used up by now: a request that was granted before is granted again.
        existing = await intake.submissions.made_by(request.key)
        if existing is None:
            raise
        return await _received_before(existing, request, intake)


async def _receive(request: Request, reader: Principal, intake: Intake) -> Received:
    challenge = await open_challenge(request.challenge, request.team, intake)
    upload = await verified_upload(request.upload, reader, intake)
    if upload.length > challenge.max_bytes:
        raise DatasetTooLarge(challenge.max_bytes, upload.length)
    # Bytes and submission come in requests of their own: what happens to the dataset is one trace all the same.
    with tracing.span("submit", traceparent=upload.traceparent):
        return await _store(request, challenge, upload, intake)


async def _store(request: Request, challenge: Challenge, upload: Upload, intake: Intake) -> Received:
    now = await intake.submissions.now()
    received_at = upload.completed_at or now
    phase = challenge.phase_of(received_at, now=now, late=intake.settings.late)
    new_id = intake.ids.new("sub")

    def reserve(ledger: Ledger) -> Ledger:
        return ledger.reserve(
            request.key,
            submission=new_id,
            fingerprint=request.fingerprint,
            allowance=challenge.allowance,
            received_at=received_at,
            at=now,
        )[0]

    held = await intake.ledgers.update(request.team, request.challenge, reserve)
    entry = held.entries[request.key]
    submission, facts = Submission.receive(
        id=entry.submission,
        challenge=request.challenge,
        challenge_version=challenge.version,
        phase=phase.name,
        team=request.team,
        upload=request.upload,
        digest=upload.sha256,
        bytes=upload.length,
        formats=challenge.formats,
        received_at=received_at,
        key=request.key,
        fingerprint=request.fingerprint,
        quota_day=entry.day,
        note=request.note,
        deadlines=intake.settings.deadlines,
        at=now,
    )
    try:
        await intake.submissions.add(submission, facts)
    except KeyTaken as taken:
        if taken.submission.id != submission.id:
            await intake.ledgers.update(
                request.team, request.challenge, lambda ledger: ledger.release(request.key, submission.id)
            )
        return await _received_before(taken.submission, request, intake)
    return Received(submission, await _follow_up(submission, held, intake))


async def _follow_up(submission: Submission, held: Ledger, intake: Intake) -> Ledger:
    """Consume the attempt and queue the scan. The submission is stored: what fails here the sweeper makes good."""
    committed, queued = await asyncio.gather(
        intake.ledgers.update(
            submission.team,
            submission.challenge,
            lambda ledger: ledger.consume(submission.key, held.entries[submission.key]),
        ),
        queue_scan(submission, intake),
        return_exceptions=True,
    )
    for outcome in (committed, queued):
        if isinstance(outcome, DependencyDown | TransientError):
            log.warning("follow_up_postponed", submission=submission.id, error=str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
    return held if isinstance(committed, BaseException) else committed


async def _received_before(existing: Submission, request: Request, intake: Intake) -> Received:
    if existing.fingerprint != request.fingerprint:
        raise KeyReused(existing.key)
    return Received(existing, await intake.ledgers.load(existing.team, existing.challenge))


async def open_challenge(id: str, team: str, intake: Intake) -> Challenge:
    """A challenge that a team may submit to. What was announced a moment ago may still be on its way to us.

    Raises:
        Missing: there is no such challenge.
        NotRegistered: the team may not submit to it.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ON_ITS_WAY.total_seconds()
    while True:
        refusal: Missing | NotRegistered
        try:
            challenge = await intake.board.challenge(id)
        except Missing as error:
            refusal = error
        else:
            if await intake.board.is_registered(team, id):
                return challenge
            refusal = NotRegistered(id)
        if loop.time() >= deadline:
            raise refusal
        await asyncio.sleep(0.1)


async def verified_upload(id: str, reader: Principal, intake: Intake) -> Upload:
    """The upload once it is verified, after waiting a little for a verification that is under way."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + intake.settings.verify_wait.total_seconds()
    pause = 0.05
    while True:
        upload = await intake.uploads.load(id, reader)
        if upload.state is UploadState.VERIFIED:
            return upload
        if upload.state is not UploadState.VERIFYING or loop.time() >= deadline:
            raise UploadNotReady(upload)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)


async def queue_scan(submission: Submission, intake: Intake, *, priority: Priority = Priority.NORMAL) -> bool:
    """Queue the scan of a submission; there is one job per submission. True if it was not queued before."""
    return await intake.scans.queue(
        submission.id,
        {"submission": submission.id, "upload": submission.upload},
        team=submission.team,
        priority=priority,
    )


async def _change(intake: Intake, id: str, change: SubmissionChange, cause: Event[Any] | None = None) -> Submission:
    """Apply a pure change to a submission, and count it if that is its end."""
    ends = False

    def watched(submission: Submission, now: datetime) -> tuple[Submission, Sequence[Fact]]:
        nonlocal ends
        after, facts = change(submission, now)
        ends = after.ended and not submission.ended
        return after, facts

    submission = await intake.submissions.update(id, watched, cause)
    if ends:
        metrics.SUBMISSIONS.labels(submission.state.value).inc()
    return submission


async def record_scan(
    id: str,
    *,
    dataset_digest: str | None,
    files: int,
    reasons: Sequence[Reason],
    began: timedelta,
    intake: Intake,
) -> Submission:
    """Record what the scan found, `began` ago: reasons reject the submission, none accept it."""
    deadlines = intake.settings.deadlines
    if reasons or dataset_digest is None:
        return await _change(
            intake, id, lambda submission, now: submission.reject(reasons, began_at=now - began, at=now)
        )
    return await _change(
        intake,
        id,
        lambda submission, now: submission.accept(
            dataset_digest=dataset_digest,
            files=files,
            began_at=now - began,
            deadlines=deadlines,
            at=now,
        ),
    )


async def scan_failed(job: Job, intake: Intake) -> None:
    """Fail the submission whose scan failed for good; its attempt goes back to its day."""
    await _change(
        intake,
        str(job.payload["submission"]),
        lambda submission, now: submission.fail(
            stage=Stage.SCAN,
            code="scan_failed",
            sentence="The platform could not scan the dataset after all attempts; the attempt was given back.",
            at=now,
        ),
    )
    await refund(str(job.payload["submission"]), intake)


async def answer_preflight(
    id: str,
    *,
    passed: bool,
    dataset_digest: str | None,
    reasons: Sequence[Reason],
    warnings: Sequence[str],
    intake: Intake,
) -> None:
    """Record what a free check found."""
    asked = await intake.preflights.load(id, None)
    answer = replace(
        asked, passed=passed, dataset_digest=dataset_digest, reasons=tuple(reasons), warnings=tuple(warnings)
    )
    await intake.preflights.answer(answer)


async def record_score(event: Event[ScoreCompleted], intake: Intake) -> None:
    """Note the score of a submission."""
    score = event.data
    await _change(
        intake,
        score.submission,
        lambda submission, now: submission.record_score(
            total=score.total, grade=score.grade, deadlines=intake.settings.deadlines, at=now
        ),
        cause=event,
    )


async def fail_score(event: Event[ScoreFailed], intake: Intake) -> None:
    """Fail the submission that could not be scored after all attempts; its attempt goes back to its day."""
    score = event.data
    await _change(
        intake,
        score.submission,
        lambda submission, now: submission.fail(
            stage=Stage.SCORE,
            code=score.code,
            sentence="The platform could not score the dataset after all attempts; the attempt was given back.",
            at=now,
        ),
        cause=event,
    )
    await refund(score.submission, intake)


async def record_rank(event: Event[EntryRecorded], intake: Intake) -> None:
    """Note that the board has the score of a submission: it is ranked."""
    entry = event.data
    await _change(
        intake,
        entry.submission,
        lambda submission, now: submission.record_rank(rank=entry.rank, total=entry.total, grade=entry.grade, at=now),
        cause=event,
    )


async def cancel_submission(id: str, reader: Principal, intake: Intake) -> Submission:
    """Withdraw a submission before its scan ends, and give its attempt back as far as the rules allow.

    Raises:
        Missing: there is none, or it is not the reader's.
        TransitionRefused: its scan is over.
    """
    await intake.submissions.load(id, reader)
    await _change(intake, id, lambda submission, now: submission.cancel(now))
    await intake.scans.withdraw(id)
    return await refund(id, intake)


async def refund(id: str, intake: Intake) -> Submission:
    """Give the attempt of a failed or cancelled submission back to its day, if that is still due."""
    submission = await intake.submissions.load(id, None)
    if not submission.refund_due:
        return submission
    allowance = (await intake.board.challenge(submission.challenge)).allowance
    ended_at = submission.timeline[-1].at

    def give_back(ledger: Ledger) -> Ledger:
        if submission.state is SubmissionState.CANCELLED:
            return ledger.refund_cancelled(
                submission.key,
                submission=submission.id,
                day=submission.quota_day,
                fingerprint=submission.fingerprint,
                per_day=allowance.per_day,
                at=ended_at,
            )
        return ledger.refund(
            submission.key,
            submission=submission.id,
            day=submission.quota_day,
            fingerprint=submission.fingerprint,
            at=ended_at,
        )

    await intake.ledgers.update(submission.team, submission.challenge, give_back)
    return await _change(intake, id, lambda current, _now: (current.refunded(), ()))


async def settle_reservation(team: str, challenge: str, key: str, submission_id: str, intake: Intake) -> None:
    """Decide about an attempt that has been held for long: consumed if its submission exists, free if not."""
    existing = await intake.submissions.made_by(key)
    stored = existing is not None and existing.id == submission_id
    await intake.ledgers.update(
        team,
        challenge,
        lambda ledger: ledger.commit(key, submission_id) if stored else ledger.release(key, submission_id),
    )


async def drive_again(id: str, intake: Intake) -> Submission:
    """Push what is past its deadline once more, ahead of others, or give up after all drives."""
    submission = await _change(intake, id, lambda current, now: current.drive_again(intake.settings.deadlines, now))
    if submission.stage is Stage.SCAN:
        await push_scan(submission, intake)
    return await refund(id, intake) if submission.ended else submission


async def push_scan(
    submission: Submission, intake: Intake, *, attempts_anew: bool = False, traceparent: str | None = None
) -> None:
    """Bring the scan of a submission to the front of the queue, whether it is queued, lost or failed."""
    if not await queue_scan(submission, intake, priority=Priority.DRIVEN_AGAIN):
        await intake.scans.drive_again(submission.id, attempts_anew=attempts_anew, traceparent=traceparent)


async def requeue(id: str, intake: Intake) -> Submission:
    """Have the stage that a submission waits for begun anew, because an operator asks for it.

    Raises:
        Missing: there is none.
        TransitionRefused: it waits for nothing that ingest can begin anew.
    """
    submission = await intake.submissions.load(id, None)
    upload = await intake.uploads.load(submission.upload, None)
    with tracing.span("requeue", repeats=upload.traceparent):
        if submission.stage is Stage.SCAN:
            mine = tracing.current_traceparent()
            await push_scan(submission, intake, attempts_anew=True, traceparent=mine)
            return submission
        return await _change(
            intake, id, lambda current, now: current.tell_scoring_again(intake.settings.deadlines, now)
        )
