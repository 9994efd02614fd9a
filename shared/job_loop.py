"""The loop of a worker: claim a job, keep its lease while it is worked on, say how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from shared import metrics, tracing
from shared.failures import DependencyDown, PermanentError, ProjectionBehind, Retries
from shared.jobs import Jobs, Lease, LeaseLost
from shared.logs import bound_contextvars, get_logger

log = get_logger(__name__)

PATIENCE = timedelta(seconds=1)
"""How long a job waits for an event that has not been read yet."""

RESULTS = ("done", "failed", "attempt_failed", "put_back", "lease_lost", "expired")
"""How an attempt at a job can end."""

Work = Callable[[Lease], Awaitable[None]]
"""Does one attempt. Its effects are keyed by the job, so that doing it twice does it once; what it raises decides."""


@dataclass(slots=True)
class JobLoop:
    """A worker: claims jobs one after the other, keeps their leases, and says how each ended.

    What `work` raises decides: `PermanentError` fails the job at once, `DependencyDown` puts it back uncounted, and so
    does `ProjectionBehind` for as long as `longest_behind`, then fails it; `LeaseLost` lets it go, anything else costs
    an attempt.
    """

    jobs: Jobs
    work: Work
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    concurrency: int = 1
    longest_behind: timedelta = Retries().longest_behind
    shortest_pause: float = 0.02
    longest_pause: float = 0.25

    def __post_init__(self) -> None:
        """Export what happens at this queue before anything has happened."""
        name = self.jobs.queue_name
        metrics.begin_at_zero(metrics.JOBS_ENDED, *((name, result) for result in RESULTS))
        metrics.begin_at_zero(metrics.LEASES_LOST, [name])

    async def run(self) -> None:
        """Work until cancelled. A job under way is then given back uncounted."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.concurrency):
                group.create_task(self._claim_and_work(f"{self.worker}.{number}"))

    async def _claim_and_work(self, worker: str) -> None:
        pause = self.shortest_pause
        while True:
            try:
                lease = await self.jobs.claim(worker)
                if lease is None:
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, self.longest_pause)
                    continue
                pause = self.shortest_pause
                await self._attempt(lease)
            except DependencyDown as error:
                log.warning("worker_waits", queue=self.jobs.queue_name, error=str(error))
                await asyncio.sleep(1)

    async def _attempt(self, lease: Lease) -> None:
        begun = time.monotonic()
        name = self.jobs.queue_name
        waited = (lease.claimed_at - lease.queued_at).total_seconds()
        if lease.attempt == 1:
            metrics.STAGE.labels(name, "waiting").observe(max(0.0, waited))
        with (
            bound_contextvars(job=lease.id, attempt=lease.attempt),
            tracing.span(f"job {name}", traceparent=lease.traceparent),
        ):
            try:
                await self._hold_and_work(lease)
                await self.jobs.finish(lease)
                result = "done"
                metrics.STAGE.labels(name, "work").observe(time.monotonic() - begun)
            except LeaseLost as error:
                log.warning("lease_lost", queue=name, error=str(error))
                result = "lease_lost"
            except DependencyDown as error:
                log.warning("job_put_back", queue=name, error=str(error))
                with contextlib.suppress(LeaseLost):
                    await self.jobs.put_back(lease)
                metrics.JOBS_ENDED.labels(name, "put_back").inc()
                raise
            except ProjectionBehind as error:
                result = await self._wait_for_projection(lease, error)
            except asyncio.CancelledError:
                with contextlib.suppress(LeaseLost, DependencyDown):
                    await self.jobs.put_back(lease)
                raise
            except Exception as error:
                final = isinstance(error, PermanentError)
                log.error("job_attempt_failed", queue=name, final=final, error=repr(error), exc_info=error)
                with contextlib.suppress(LeaseLost):
                    await self.jobs.release(lease, repr(error), final=final)
                result = "failed" if final else "attempt_failed"
            metrics.JOBS_ENDED.labels(name, result).inc()
            metrics.JOB_SECONDS.labels(name).observe(time.monotonic() - begun)

    async def _wait_for_projection(self, lease: Lease, error: ProjectionBehind) -> str:
        """Come back to the job later, or fail it after all this time: the event it needs may be lost."""
        name = self.jobs.queue_name
        with contextlib.suppress(LeaseLost):
            if lease.behind_since is None or lease.claimed_at - lease.behind_since < self.longest_behind:
                log.info("job_put_back", queue=name, error=str(error))
                await self.jobs.put_back(lease, PATIENCE, behind=True)
                return "put_back"
            log.error("job_projection_behind", queue=name, since=lease.behind_since, error=repr(error))
            await self.jobs.release(lease, repr(error), final=True)
        return "failed"

    async def _hold_and_work(self, lease: Lease) -> None:
        """Do the work and keep the lease; if the lease is lost the work is cancelled."""
        work = asyncio.ensure_future(self.work(lease))
        holding = asyncio.ensure_future(self._hold(lease))
        try:
            await asyncio.wait({work, holding}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                holding.result()
        finally:
            for task in (work, holding):
                task.cancel()
            await asyncio.gather(work, holding, return_exceptions=True)

    async def _hold(self, lease: Lease) -> None:
        period = self.jobs.lease.total_seconds() / 4
        while True:
            await asyncio.sleep(period)
            # A database that is away costs the lease only if it stays away for all of it.
            with contextlib.suppress(DependencyDown):
                await self.jobs.heartbeat(lease)
