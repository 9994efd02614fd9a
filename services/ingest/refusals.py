"""What the rules refuse, as problem documents: a stable code, a sentence, what to do, and the facts of the case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from services.ingest.challenge import PhaseClosed
from services.ingest.commands import DatasetTooLarge, NotRegistered, UploadInUse, UploadNotReady
from services.ingest.quota import KeyReused, QuotaExhausted, QuotaLimit
from services.ingest.receiving import BodyBroken, BodyStalled, ChecksumMismatch
from services.ingest.room import NoRoom, TooManyUploads
from services.ingest.store import Missing
from services.ingest.submission import TransitionRefused
from services.ingest.tus import CHECKSUM_MISMATCH
from services.ingest.upload import BeyondLength, OffsetConflict, Upload, UploadClosed, UploadState
from shared import metrics
from shared.contracts.envelope import rfc3339
from shared.http import idempotency_conflict
from shared.problems import Problem, not_found

_SOON = timedelta(seconds=1)


def problem_of(error: Exception) -> Problem:
    """The problem document of a refusal."""
    match error:
        case Missing():
            return not_found(error.what)
        case NotRegistered():
            return Problem(
                403,
                "not_registered",
                "The team is not registered for this challenge.",
                "Register the team for the challenge first (POST /v1/challenges/{id}/registrations).",
            )
        case PhaseClosed():
            return _phase_closed(error)
        case QuotaExhausted():
            return _quota_exhausted(error)
        case KeyReused():
            return idempotency_conflict()
        case DatasetTooLarge():
            return Problem(
                413,
                "dataset_too_large",
                "The upload is larger than this challenge allows.",
                "Hand in less, or compress it; nothing was stored and no quota was used.",
                limit=error.limit,
                received=error.received,
            )
        case TooManyUploads():
            return Problem(
                429,
                "too_many_uploads",
                f"The team has {error.limit} uploads that no submission was made of, and may have no more.",
                "Submit some of them, or delete them (DELETE); what nothing is done with expires in a day.",
                limit=error.limit,
            )
        case NoRoom():
            return Problem(
                413,
                "too_many_bytes",
                "With this upload the team's uploads without a submission would be too large together.",
                "Submit some of them, or delete them (DELETE); the room of a deleted one is free within two hours.",
                limit=error.limit,
                held=error.held,
                received=error.received,
            )
        case UploadNotReady():
            return _not_ready(error.upload)
        case UploadInUse():
            return Problem(
                409,
                "upload_in_use",
                "A submission was made of this upload, so it stays.",
                "Cancel the submission if it is not to count.",
            )
        case TransitionRefused():
            return Problem(
                409,
                "too_late_to_cancel" if error.wanted == "cancelled" else "transition_refused",
                f"A submission that is {error.state} cannot be {error.wanted}.",
                "Look at its state: GET /v1/submissions/{id}.",
                state=error.state.value,
            )
        case OffsetConflict():
            return Problem(
                409,
                "offset_conflict",
                "The upload has reached another offset.",
                "Ask for its offset (HEAD) and go on from there.",
                expected=error.expected,
                received=error.received,
                headers={"Upload-Offset": str(error.expected)},
            )
        case UploadClosed():
            gone = error.state is UploadState.EXPIRED
            return Problem(
                410 if gone else 409,
                "upload_expired" if gone else "upload_complete",
                f"The upload is {error.state} and takes no more bytes.",
                "Begin a new upload if you have something else to hand in.",
                state=error.state.value,
            )
        case BeyondLength():
            return Problem(
                413,
                "beyond_length",
                "More bytes came than the upload's length allows.",
                "Begin a new upload with the right Upload-Length.",
            )
        case ChecksumMismatch():
            return Problem(
                CHECKSUM_MISMATCH,
                "checksum_mismatch",
                "The body is not the one its checksum was made of; none of it was kept.",
                "Send these bytes again.",
            )
        case BodyStalled():
            return Problem(
                408,
                "body_stalled",
                "No byte came for too long.",
                "Ask for the offset (HEAD) and go on from there.",
                headers={"Connection": "close"},
            )
        case BodyBroken():
            return Problem(
                400, "body_broken", "The body ended early.", "Ask for the offset (HEAD) and go on from there."
            )
        case _:
            raise error


def _phase_closed(error: PhaseClosed) -> Problem:
    phase = error.phase
    return Problem(
        409,
        "phase_closed",
        f"The upload was not complete within an open phase of this challenge; the nearest one is {phase.name}.",
        "What counts is the moment of the upload's last byte. Upload the file again while a phase is open, and submit "
        "it at most ten minutes after the phase's end.",
        phase=phase.name,
        starts_at=rfc3339(phase.starts_at),
        ends_at=rfc3339(phase.ends_at),
    )


def _quota_exhausted(error: QuotaExhausted) -> Problem:
    facts: dict[str, Any] = {"limit": error.allowed, "per": error.limit.value, "quota_returns_at": None}
    if error.limit is QuotaLimit.TOTAL or error.returns_at is None:
        return Problem(
            429,
            "quota_exhausted",
            f"The team has used all its {error.allowed} attempts of this challenge.",
            "No attempt comes back by waiting.",
            headers=_rate_limit("total", error.allowed, None),
            **facts,
        )
    facts["quota_returns_at"] = rfc3339(error.returns_at)
    wait = error.returns_at - error.at
    return Problem(
        429,
        "quota_exhausted",
        f"The team has used its {error.allowed} attempts of {error.day} (Asia/Shanghai).",
        "An attempt counts for the day on which its upload was complete: upload the file again after the given time.",
        retry_after=max(wait, _SOON),
        headers=_rate_limit("day", error.allowed, wait),
        **facts,
    )


def _rate_limit(policy: str, allowed: int, wait: timedelta | None) -> dict[str, str]:
    reset = f";t={max(0, int(wait.total_seconds()))}" if wait is not None else ""
    window = ";w=86400" if wait is not None else ""
    return {"RateLimit": f'"{policy}";r=0{reset}', "RateLimit-Policy": f'"{policy}";q={allowed}{window}'}


def _not_ready(upload: Upload) -> Problem:
    match upload.state:
        case UploadState.RECEIVING:
            return Problem(
                409,
                "upload_incomplete",
                "The upload is not complete.",
                "Send the missing bytes, then submit again.",
                expected=upload.length,
                received=upload.offset,
            )
        case UploadState.VERIFYING:
            return Problem(
                409,
                "upload_not_verified",
                "The upload is still being read back and compared with its digest.",
                "Send the same request again after the given time.",
                retry_after=_SOON,
            )
        case UploadState.EXPIRED:
            return Problem(410, "upload_expired", "The upload is gone.", "Upload the file again.")
        case _:
            problem = upload.problem
            return Problem(
                422,
                "upload_refused",
                problem.title if problem else "The upload was refused.",
                problem.detail if problem else "Upload the file again.",
                reason=problem.code if problem else None,
                expected=problem.expected if problem else None,
                received=problem.received if problem else None,
            )


REFUSALS: tuple[type[Exception], ...] = (
    Missing,
    NotRegistered,
    PhaseClosed,
    QuotaExhausted,
    KeyReused,
    DatasetTooLarge,
    TooManyUploads,
    NoRoom,
    UploadNotReady,
    UploadInUse,
    TransitionRefused,
    OffsetConflict,
    UploadClosed,
    BeyondLength,
    ChecksumMismatch,
    BodyStalled,
    BodyBroken,
)


def install(app: FastAPI) -> None:
    """Answer every refusal of the rules with its problem document."""

    async def refuse(_request: Request, error: Exception) -> Response:
        return problem_of(error).response()

    metrics.begin_at_zero(metrics.REFUSALS, ["too_many_uploads"], ["too_many_bytes"])
    for kind in REFUSALS:
        app.add_exception_handler(kind, refuse)
