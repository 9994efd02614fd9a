"""What every replica of ingest looks for now and then, so that nothing waits for ever and nothing is left lying.

There is no leader: each task is harmless when two replicas run it at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from services.ingest import commands, verifying
from services.ingest.intake import Intake
from services.ingest.receiving import pieces_of
from services.ingest.store import Missing
from services.ingest.submission import WAITING
from services.ingest.upload import Upload, UploadState
from shared import metrics
from shared.jobs import Job
from shared.logs import get_logger
from shared.objects import ObjectInfo
from shared.sweeper import Sweep, each

log = get_logger(__name__)

AT_ONCE = 200
SHOULD_BE_QUEUED_AFTER = timedelta(seconds=10)
"""Whoever stores a submission queues its scan right away; after this long it has died in between."""


CONSERVATION_EVERY = timedelta(seconds=30)
FORGOTTEN_AFTER = timedelta(minutes=5)
"""Every replica drives what is past its deadline within seconds; what nobody drove for this long is lost."""


@dataclass(frozen=True, slots=True)
class Sweeping:
    """The periodic tasks of ingest."""

    intake: Intake
    known_queued: set[str] = field(default_factory=set)
    """The waiting submissions of the last look, whose scans are queued: a long queue is not queued anew each time."""

    def sweeps(self) -> list[Sweep]:
        """The tasks, each with its period."""
        often, seldom = self.intake.settings.sweep_every, self.intake.settings.collect_every
        return [
            Sweep("expired_leases", often, self.expire_leases),
            Sweep("failed_jobs", often, self.report_failed_jobs),
            Sweep("unqueued_work", often, self.queue_forgotten),
            Sweep("overdue_submissions", often, self.drive_overdue),
            Sweep("owed_refunds", often, self.pay_refunds),
            Sweep("held_attempts", often, self.settle_reservations),
            Sweep("queue_length", often, self.measure),
            Sweep("conservation", CONSERVATION_EVERY, self.measure_conservation),
            Sweep("expired_uploads", seldom, self.expire_uploads),
            Sweep("ended_uploads", seldom, self.collect_ended),
            Sweep("orphan_pieces", seldom, self.collect_orphans),
        ]

    async def expire_leases(self) -> int:
        """Take back jobs whose worker no longer answers."""
        return await self.intake.scans.expire() + await self.intake.verifications.expire()

    async def report_failed_jobs(self) -> int:
        """Let the submission or upload of a job that failed for good know."""

        async def scan(job: Job) -> None:
            if "submission" in job.payload:
                await commands.scan_failed(job, self.intake)

        async def verification(job: Job) -> None:
            await verifying.verification_failed(job, self.intake)

        return await self.intake.scans.report_failures(scan) + await self.intake.verifications.report_failures(
            verification
        )

    async def queue_forgotten(self) -> int:
        """Queue the work of submissions and uploads whose process died before it could."""
        queued = 0
        waiting = await self.intake.submissions.received_before(SHOULD_BE_QUEUED_AFTER, AT_ONCE)
        for submission in waiting:
            if submission.id not in self.known_queued:
                queued += await commands.queue_scan(submission, self.intake)
        self.known_queued.clear()
        self.known_queued.update(submission.id for submission in waiting)
        for id in await self.intake.uploads.verifying_since(SHOULD_BE_QUEUED_AFTER):
            upload = await self.intake.uploads.load(id, None)
            queued += await verifying.queue_verification(upload, self.intake)
        return queued

    async def drive_overdue(self) -> int:
        """Drive the stages that are past their deadline again."""

        async def drive(id: str) -> None:
            driven = await commands.drive_again(id, self.intake)
            log.warning("deadline_passed", submission=id, state=driven.state, drives=driven.drives)

        return await each("overdue_submissions", await self.intake.submissions.overdue(AT_ONCE), drive)

    async def pay_refunds(self) -> int:
        """Give attempts back whose process died before it could."""
        owed = await self.intake.submissions.owed_refunds(AT_ONCE)
        return await each("owed_refunds", owed, lambda id: commands.refund(id, self.intake))

    async def settle_reservations(self) -> int:
        """Decide about attempts that were held for a request and neither consumed nor let go."""
        orphans = await self.intake.ledgers.orphans(self.intake.settings.reservation_lifetime, AT_ONCE)
        held = [
            (team, challenge, key, entry.submission)
            for (team, challenge), entries in orphans.items()
            for key, entry in entries.items()
        ]
        return await each("held_attempts", held, lambda one: commands.settle_reservation(*one, self.intake))

    async def measure(self) -> None:
        """Export how long the queues are and how old the oldest waiting submission of each state is."""
        await self.intake.scans.counts()
        await self.intake.verifications.counts()
        for state in WAITING:
            age = await self.intake.submissions.oldest(state)
            metrics.OLDEST_AGE.labels(state.value).set(age.total_seconds() if age is not None else 0)

    async def measure_conservation(self) -> None:
        """Export whether the ledgers and the submissions, two records of what was accepted, say the same.

        Other requests go on meanwhile. An attempt is held before its submission is stored and consumed after, so the
        attempts used before the submissions are counted are not more than them, and those used or held afterwards not
        fewer; a difference that this leaves is certain.
        """
        before = await self.intake.ledgers.attempts()
        accounted = await self.intake.submissions.accounted(FORGOTTEN_AFTER)
        after = await self.intake.ledgers.attempts()
        missing = max(0, before.used - accounted)
        surplus = max(0, accounted - after.used - after.held)
        metrics.CONSERVATION_DELTA.set(missing - surplus)
        if missing or surplus:
            log.error("not_conserved", missing=missing, surplus=surplus)

    async def expire_uploads(self) -> int:
        """End uploads that got no byte for their lifetime and became no submission."""
        expired = 0
        lifetime = self.intake.settings.upload_lifetime
        for id in await self.intake.uploads.untouched_for(lifetime):
            if await self.intake.submissions.uses(id):
                await self.intake.uploads.update(id, lambda current, _now: current.keep())
                continue
            upload = await self.intake.uploads.update(id, lambda current, now: current.expire(lifetime, now))
            expired += upload.state is UploadState.EXPIRED
        return expired

    async def collect_ended(self) -> int:
        """Delete the bytes of uploads that came to nothing, once no request can be under way with them any more."""

        async def collect(upload: Upload) -> None:
            names = [found.name async for found in self.intake.objects.list(pieces_of(upload.id))]
            if not await self.intake.submissions.uses(upload.id):
                names += [verifying.dataset_key(upload.id), verifying.manifest_key(upload.id)]
            await self.intake.objects.delete(names)
            await self.intake.uploads.update(upload.id, lambda current, _now: current.mark_collected())

        ended = await self.intake.uploads.uncollected(self.intake.settings.orphan_age)
        return await each("ended_uploads", ended, collect)

    async def collect_orphans(self) -> int:
        """Delete stored pieces that no upload counts: their process died before it moved the offset.

        A piece is given time first, since one that is being written is not counted yet either.
        """
        old_before = await self.intake.submissions.now() - self.intake.settings.orphan_age
        pieces: dict[str, list[ObjectInfo]] = defaultdict(list)
        async for found in self.intake.objects.list("uploads"):
            if found.modified < old_before:
                pieces[found.name.split("/")[1]].append(found)
        deleted = 0
        for id, old in pieces.items():
            counted = await self._counted(id)
            orphans = [found.name for found in old if found.name.rpartition("/")[2] not in counted]
            await self.intake.objects.delete(orphans)
            deleted += len(orphans)
        return deleted

    async def _counted(self, id: str) -> set[str]:
        """The pieces that an upload still needs."""
        try:
            upload = await self.intake.uploads.load(id, None)
        except Missing:
            return set()
        if upload.state not in (UploadState.RECEIVING, UploadState.VERIFYING):
            return set()
        return {part.name for part in upload.parts}
