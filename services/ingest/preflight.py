"""The free check before a submission: the gates' answer about an upload, for the asking, without using an attempt."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from services.ingest.commands import DatasetTooLarge, open_challenge, verified_upload
from services.ingest.intake import Intake
from services.ingest.store import Preflight
from shared.auth import Principal
from shared.jobs import Priority

_LOOK_EVERY = 0.2


async def check(challenge_id: str, upload_id: str, team: Principal, intake: Intake) -> Preflight:
    """Ask for the gates' answer about an upload and wait a little for it; asked again, it is the same answer.

    Raises:
        Missing: no such challenge, or no such upload of this team.
        NotRegistered, DatasetTooLarge, UploadNotReady: there is nothing to check.
    """
    challenge = await open_challenge(challenge_id, team.owner, intake)
    upload = await verified_upload(upload_id, team, intake)
    if upload.length > challenge.max_bytes:
        raise DatasetTooLarge(challenge.max_bytes, upload.length)
    id = _id_of(challenge_id, challenge.version, upload_id)
    asked = await intake.preflights.begin(Preflight(id=id, team=team.owner, challenge=challenge_id, upload=upload_id))
    if asked.passed is not None:
        return asked
    payload = {"preflight": id, "upload": upload_id, "formats": list(challenge.formats)}
    if not await intake.scans.queue(id, payload, team=team.owner, priority=Priority.WHENEVER):
        await intake.scans.drive_again(id, priority=Priority.WHENEVER, attempts_anew=True)
    return await _answered(id, team, intake)


async def _answered(id: str, team: Principal, intake: Intake) -> Preflight:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + intake.settings.verify_wait.total_seconds()
    while True:
        preflight = await intake.preflights.load(id, team)
        if preflight.passed is not None or loop.time() >= deadline:
            return preflight
        await asyncio.sleep(_LOOK_EVERY)


def view(preflight: Preflight) -> dict[str, Any]:
    """A check as JSON."""
    return {
        "id": preflight.id,
        "challenge": preflight.challenge,
        "upload": preflight.upload,
        "state": "checking" if preflight.passed is None else "checked",
        "passed": preflight.passed,
        "dataset_digest": preflight.dataset_digest,
        "reasons": [
            {"code": reason.code, "sentence": reason.sentence, "gate": reason.gate, "path": reason.path}
            for reason in preflight.reasons
        ],
        "warnings": list(preflight.warnings),
    }


def _id_of(challenge: str, version: int, upload: str) -> str:
    """One id per question, so that a question asked twice is one job."""
    return f"pfl_{hashlib.sha256(f'{challenge}:{version}:{upload}'.encode()).hexdigest()[:32]}"
