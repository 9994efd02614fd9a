"""The scan worker: opens datasets in the sandbox and records what it found. `python -m services.ingest.scan_worker`."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.ingest import commands
from services.ingest.challenge import Challenge
from services.ingest.intake import Intake
from services.ingest.scanning import RecordedScanner, SandboxedScanner, ScanCrashed, Scanner, Verdict, verdict_of
from services.ingest.settings import ScanSettings
from services.ingest.submission import SubmissionState
from services.ingest.wiring import intake_of
from shared.app import Service
from shared.failures import PermanentError
from shared.job_loop import JobLoop
from shared.jobs import Lease
from shared.sandboxes import Bounds, Sandboxes, exit_unless_confined

CRASHES_ALLOWED = 1
"""A child that is lost is tried again once; a second loss is no accident."""


async def scan(lease: Lease, scanner: Scanner, intake: Intake) -> None:
    """Do one scan job: of a submission, or of an upload that somebody wants checked first."""
    if "preflight" in lease.payload:
        await _scan_first(lease, scanner, intake)
    else:
        await _scan_submission(lease, scanner, intake)


async def _scan_submission(lease: Lease, scanner: Scanner, intake: Intake) -> None:
    submission = await intake.submissions.load(str(lease.payload["submission"]), None)
    if submission.state is not SubmissionState.RECEIVED:
        return  # cancelled meanwhile, or scanned by a worker that could not say so
    begun = time.monotonic()
    challenge = await intake.board.challenge(submission.challenge)
    verdict = await _verdict(lease, scanner, challenge, submission.formats)
    await intake.objects.put(f"scans/{submission.id}/scan.json", _report(verdict))
    await commands.record_scan(
        submission.id,
        dataset_digest=verdict.dataset_digest,
        files=verdict.files,
        reasons=verdict.reasons,
        began=timedelta(seconds=time.monotonic() - begun),
        intake=intake,
    )


async def _scan_first(lease: Lease, scanner: Scanner, intake: Intake) -> None:
    asked = await intake.preflights.load(str(lease.payload["preflight"]), None)
    challenge = await intake.board.challenge(asked.challenge)
    verdict = await _verdict(lease, scanner, challenge, [str(kind) for kind in lease.payload["formats"]])
    await commands.answer_preflight(
        str(lease.payload["preflight"]),
        passed=verdict.passed,
        dataset_digest=verdict.dataset_digest,
        reasons=verdict.reasons,
        warnings=verdict.warnings,
        intake=intake,
    )


async def _verdict(lease: Lease, scanner: Scanner, challenge: Challenge, formats: Any) -> Verdict:
    outcome = await scanner.scan(str(lease.payload["upload"]), challenge.scan_order())
    try:
        return verdict_of(outcome, formats)
    except ScanCrashed as error:
        if lease.counted > CRASHES_ALLOWED:
            raise PermanentError(str(error)) from error
        raise


def _report(verdict: Verdict) -> bytes:
    reasons = [
        {"code": reason.code, "sentence": reason.sentence, "gate": reason.gate, "path": reason.path}
        for reason in verdict.reasons
    ]
    report = {
        "dataset_digest": verdict.dataset_digest,
        "files": verdict.files,
        "passed": verdict.passed,
        "reasons": reasons,
        "warnings": list(verdict.warnings),
    }
    return json.dumps(report, ensure_ascii=False, sort_keys=True).encode()


def build(settings: ScanSettings) -> Service:
    """The process, ready to run."""
    service = Service("ingest", settings)
    intake = intake_of(service, settings)
    bounds = Bounds(settings.wall, settings.memory_bytes, settings.disk_bytes)
    sandboxes = Sandboxes(service.objects, _scratch(settings), bounds, at_once=settings.at_once)

    async def work() -> None:
        if settings.recorded_result is not None:
            recorded = RecordedScanner(json.loads(settings.recorded_result.read_text("utf-8")))
            await JobLoop(intake.scans, lambda lease: scan(lease, recorded, intake), concurrency=settings.at_once).run()
            return
        await sandboxes.open()
        try:
            scanner = SandboxedScanner(sandboxes)
            await JobLoop(intake.scans, lambda lease: scan(lease, scanner, intake), concurrency=settings.at_once).run()
        finally:
            await sandboxes.close()

    service.background("scans", work)
    return service


def _scratch(settings: ScanSettings) -> Path:
    return settings.scratch_dir / "ingest"


def main() -> None:
    """Run the worker, on a machine where nothing escapes from the sandbox."""
    settings = ScanSettings.load_or_exit()
    if settings.recorded_result is None:
        with settings.exit_if_wrong():
            exit_unless_confined(_scratch(settings))
    build(settings).run()


if __name__ == "__main__":
    main()
