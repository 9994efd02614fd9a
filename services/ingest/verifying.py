"""Reading an upload back once it is whole: its digest is compared with the announced one, and its pieces become one.

Doing it twice, even at once, does no harm: the composed object is the same and the first verdict stands.
"""

from __future__ import annotations

import json

from services.ingest.intake import Intake
from services.ingest.receiving import PIECE, piece_key
from services.ingest.upload import Upload, UploadState
from shared.failures import DependencyDown
from shared.jobs import Job, Lease
from shared.logs import get_logger
from shared.objects import ObjectMissing

log = get_logger(__name__)

VERIFIED_AT_ONCE = PIECE
"""Up to this length an upload is verified before its last request is answered; longer ones become a job."""


def dataset_key(upload: str) -> str:
    """Where the bytes of a verified upload lie, in one object."""
    return f"datasets/{upload}/dataset"


def manifest_key(upload: str) -> str:
    """Where it is written what those bytes are."""
    return f"datasets/{upload}/manifest.json"


async def begin_verifying(upload: Upload, intake: Intake) -> Upload:
    """Verify a whole upload now if it is small, or queue a job that does.

    Never fails because of the verification itself: what is not verified now is found by the sweeper.
    """
    if upload.state is not UploadState.VERIFYING:
        return upload
    try:
        if upload.length <= VERIFIED_AT_ONCE:
            return await verify_upload(upload, intake)
        await queue_verification(upload, intake)
    except DependencyDown as error:
        log.warning("verification_postponed", upload=upload.id, error=str(error))
    return upload


async def queue_verification(upload: Upload, intake: Intake) -> bool:
    """Queue the job that verifies an upload; there is one per upload. True if it was not queued before."""
    return await intake.verifications.queue(upload.id, {"upload": upload.id}, team=upload.team)


async def do_verification(lease: Lease, intake: Intake) -> None:
    """Do the job of verifying an upload."""
    upload = await intake.uploads.load(str(lease.payload["upload"]), None)
    await verify_upload(upload, intake)


async def verification_failed(job: Job, intake: Intake) -> None:
    """End an upload whose verification failed for good."""
    await intake.uploads.update(str(job.payload["upload"]), lambda upload, now: upload.give_up(now))


async def verify_upload(upload: Upload, intake: Intake) -> Upload:
    """Read the pieces of a whole upload once, compose them into one object and compare the digest."""
    if upload.state is not UploadState.VERIFYING:
        return upload
    try:
        composed = await intake.objects.compose(
            [piece_key(upload.id, part) for part in upload.parts], dataset_key(upload.id)
        )
    except ObjectMissing:
        # Another verification was first, and its pieces are gone; or the team deleted the upload.
        current = await intake.uploads.load(upload.id, None)
        if current.state is UploadState.VERIFYING:
            raise
        return current
    if composed.sha256 == upload.sha256:
        manifest = {"filename": upload.filename, "bytes": composed.bytes, "sha256": composed.sha256}
        await intake.objects.put(
            manifest_key(upload.id), json.dumps(manifest, ensure_ascii=False, sort_keys=True).encode()
        )
    verdict = await intake.uploads.replace(upload, lambda current, now: current.verify(composed.sha256, now))
    await discard_bytes(verdict, intake)
    return verdict


async def discard_bytes(upload: Upload, intake: Intake) -> None:
    """Delete what an upload no longer needs; what a crash or an outage leaves is collected by the sweeper."""
    unneeded = [piece_key(upload.id, part) for part in upload.parts]
    if upload.state is not UploadState.VERIFIED:
        unneeded += [dataset_key(upload.id), manifest_key(upload.id)]
    try:
        await intake.objects.delete(unneeded)
    except DependencyDown as error:
        log.warning("pieces_left", upload=upload.id, error=str(error))
