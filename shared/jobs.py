"""Long work as leased jobs: a handler queues, a worker claims, and only the holder of the lease may finish.

A claim carries its attempt number; whoever comes with an older one is refused, so that a worker that was frozen or cut
off cannot overwrite what its successor did. The database's clock judges every lease.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from shared import metrics, tracing
from shared.failures import Retries, TransientError
from shared.logs import get_logger
from shared.mongo import AFTER, Collection, Database, Document, DuplicateId, translated
from shared.sweeper import each

log = get_logger(__name__)


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


_ORDER = [("priority", 1), ("turn", 1), ("queued_at", 1)]
_INDEXES: dict[JobState, list[tuple[str, int]]] = {
    JobState.QUEUED: _ORDER,
    JobState.LEASED: [("lease_until", 1)],
    JobState.FAILED: [("_id", 1), ("state", 1)],
}


class Priority(IntEnum):
    """What is claimed first; smaller is sooner."""

    DRIVEN_AGAIN = 0
    NORMAL = 10
    WHENEVER = 20


class LeaseLost(TransientError):
    """The lease has passed on: whatever this worker was doing is another's now, and its result is refused."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one attempt at a job."""

    id: str
    payload: Mapping[str, Any]
    attempt: int
    worker: str
    queued_at: datetime
    claimed_at: datetime
    traceparent: str | None = None
    team: str = ""
    spared: int = 0
    """Attempts that were given back and do not count."""
    behind_since: datetime | None = None
    """Since when the job has been waiting for an event that has not been read, and for nothing else."""

    @property
    def counted(self) -> int:
        """The attempts that count, this one among them."""
        return self.attempt - self.spared


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands, for people and for whoever has to deal with its failure."""

    id: str
    state: JobState
    payload: Mapping[str, Any]
    team: str
    priority: int
    attempt: int
    queued_at: datetime
    error: str | None = None
    worker: str | None = None
    lease_until: datetime | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs there are, and how long the oldest queued one has waited."""

    queued: int = 0
    leased: int = 0
    done: int = 0
    failed: int = 0
    oldest_queued_seconds: float = 0.0


class Jobs:
    """A queue of jobs in one collection."""

    def __init__(
        self,
        database: Database,
        queue: str,
        *,
        lease: timedelta = timedelta(seconds=60),
        attempts: int = 3,
        retries: Retries = Retries(first_wait=timedelta(seconds=1), longest_wait=timedelta(minutes=1)),  # noqa: B008
    ) -> None:
        self.queue_name = queue
        self.lease = lease
        self.attempts = attempts
        self._retries = retries
        self._jobs: Collection = database[queue]
        self._lease_ms = int(lease.total_seconds() * 1000)

    async def prepare(self) -> None:
        """Create the indexes."""
        with translated():
            # Each index holds only the jobs of one state: a job that changes its state touches two of them, not all.
            for state, keys in _INDEXES.items():
                await self._index(keys, {"state": state.value})
            await self._index([("queued_at", 1)], {"unfinished": True})
            await self._index([("team", 1)], {"unfinished": True})
            await self._jobs.create_index("unreported", sparse=True)

    async def _index(self, keys: list[tuple[str, int]], only: Document) -> None:
        await self._jobs.create_index(keys, partialFilterExpression=only)

    # --- queueing

    async def queue(
        self, id: str, payload: Mapping[str, Any], *, team: str = "", priority: int = Priority.NORMAL
    ) -> bool:
        """Queue a job unless there is one with this id, whatever its state; True if it is new.

        Its turn is the number of jobs that the team has unfinished: who hands in a hundred waits for the second one
        until everybody's first is done.
        """
        document: Document = {
            "state": JobState.QUEUED.value,
            "unfinished": True,
            "payload": dict(payload),
            "team": team,
            "priority": int(priority),
            "attempt": 0,
            "traceparent": tracing.current_traceparent(),
        }
        insert = {"$setOnInsert": document, "$currentDate": {"queued_at": True, "not_before": True}}
        try:
            with translated():
                document["turn"] = await self._jobs.count_documents({"team": team, "unfinished": True}) if team else 0
                await self._jobs.update_one({"_id": id, "state": {"$exists": False}}, insert, upsert=True)
        except DuplicateId:
            metrics.DUPLICATES.labels(self.queue_name).inc()
            return False
        return True

    async def drive_again(
        self,
        id: str,
        *,
        priority: int = Priority.DRIVEN_AGAIN,
        attempts_anew: bool = False,
        traceparent: str | None = None,
    ) -> bool:
        """Bring a queued job forward, or put a failed one back; True if there was something to do.

        A leased job is being worked on: its lease decides. With `attempts_anew` a failed job starts counting again.
        With a `traceparent` it goes on in that trace, that of whoever asked for it, and in its own otherwise.
        """
        states = [JobState.QUEUED.value, JobState.FAILED.value] if attempts_anew else [JobState.QUEUED.value]
        queued: Document = {
            "state": JobState.QUEUED.value, "unfinished": True, "priority": int(priority), "not_before": "$$NOW",
        }  # fmt: skip
        if traceparent is not None:
            queued["traceparent"] = traceparent
        if attempts_anew:
            queued["spared"] = "$attempt"
            queued["behind_since"] = "$$REMOVE"
        with translated():
            result = await self._jobs.update_one(
                {"_id": id, "state": {"$in": states}},
                [{"$set": queued}, {"$unset": ["unreported", "error", "finished_at"]}],
            )
        return bool(result.matched_count)

    async def withdraw(self, id: str) -> bool:
        """Remove a job that nobody has begun; True if it is gone."""
        with translated():
            result = await self._jobs.delete_one({"_id": id, "state": JobState.QUEUED.value})
        return bool(result.deleted_count)

    # --- working

    async def claim(self, worker: str) -> Lease | None:
        """Take the next job: by priority, then turn, then age. None if nothing is due."""
        due = {"state": JobState.QUEUED.value, "$expr": {"$lte": ["$not_before", "$$NOW"]}}
        change = [
            {
                "$set": {
                    "state": JobState.LEASED.value,
                    "attempt": {"$add": ["$attempt", 1]},
                    "worker": worker,
                    "claimed_at": "$$NOW",
                    "lease_until": {"$add": ["$$NOW", self._lease_ms]},
                }
            }
        ]
        with translated():
            job: Document | None = await self._jobs.find_one_and_update(due, change, sort=_ORDER, return_document=AFTER)
        if job is None:
            return None
        return Lease(
            id=job["_id"],
            payload=job["payload"],
            attempt=job["attempt"],
            worker=worker,
            queued_at=job["queued_at"],
            claimed_at=job["claimed_at"],
            traceparent=job.get("traceparent"),
            team=job["team"],
            spared=job.get("spared", 0),
            behind_since=job.get("behind_since"),
        )

    async def heartbeat(self, lease: Lease) -> None:
        """Hold the lease for another period.

        Raises:
            LeaseLost: it has passed on.
        """
        until = [{"$set": {"lease_until": {"$add": ["$$NOW", self._lease_ms]}}}]
        await self._guarded(lease, until)

    async def finish(self, lease: Lease) -> None:
        """The job is done; its effects are stored.

        Raises:
            LeaseLost: it has passed on.
        """
        done = {"state": JobState.DONE.value, "finished_at": "$$NOW"}
        await self._guarded(lease, [{"$set": done}, {"$unset": ["lease_until", "error", "unfinished"]}])

    async def release(self, lease: Lease, error: str, *, final: bool = False) -> JobState:
        """Give the job back after a failed attempt: queued after a wait, or failed after the last; which of them.

        Raises:
            LeaseLost: it has passed on.
        """
        over = final or lease.counted >= self.attempts
        wait = 0 if over else int(self._retries.wait(max(1, lease.counted)) * 1000)
        change: Document = {
            "state": (JobState.FAILED if over else JobState.QUEUED).value,
            "error": {"$literal": error[:500]},
            "not_before": {"$add": ["$$NOW", wait]},
        }
        if over:
            change |= {"unreported": True, "finished_at": "$$NOW"}
        gone = ["lease_until", "behind_since", *(["unfinished"] if over else [])]
        await self._guarded(lease, [{"$set": change}, {"$unset": gone}])
        return JobState.FAILED if over else JobState.QUEUED

    async def put_back(self, lease: Lease, wait: timedelta = timedelta(0), *, behind: bool = False) -> None:
        """Give the job back untouched, because this worker stops or something else is late: counts no attempt.

        With `behind` an event is missing that has not been read, and the job remembers since when.

        The attempt number is a fence and never goes down; the job is allowed one more instead.

        Raises:
            LeaseLost: it has passed on.
        """
        change: Document = {
            "state": JobState.QUEUED.value,
            "spared": {"$add": [{"$ifNull": ["$spared", 0]}, 1]},
            "not_before": {"$add": ["$$NOW", int(wait.total_seconds() * 1000)]},
        }
        if behind:
            change["behind_since"] = {"$ifNull": ["$behind_since", "$$NOW"]}
        await self._guarded(lease, [{"$set": change}, {"$unset": ["lease_until"]}])

    async def _guarded(self, lease: Lease, change: list[Document]) -> None:
        held = {"_id": lease.id, "state": JobState.LEASED.value, "attempt": lease.attempt, "worker": lease.worker}
        with translated():
            result = await self._jobs.update_one(held, change)
        if not result.matched_count:
            metrics.LEASES_LOST.labels(self.queue_name).inc()
            raise LeaseLost(f"the lease on {lease.id} (attempt {lease.attempt}) has passed on")

    # --- what a sweeper does

    async def expire(self) -> int:
        """Take back the jobs whose lease ran out: queued again, or failed after the last attempt; how many."""
        over = {"state": JobState.LEASED.value, "$expr": {"$lt": ["$lease_until", "$$NOW"]}}
        last = {"$gte": [{"$subtract": ["$attempt", {"$ifNull": ["$spared", 0]}]}, self.attempts]}
        change: list[Document] = [
            {
                "$set": {
                    "state": {"$cond": [last, JobState.FAILED.value, JobState.QUEUED.value]},
                    "unreported": {"$cond": [last, True, "$$REMOVE"]},
                    "unfinished": {"$cond": [last, "$$REMOVE", True]},
                    "finished_at": {"$cond": [last, "$$NOW", "$$REMOVE"]},
                    "not_before": "$$NOW",
                    "error": "the worker did not answer for the length of its lease",
                }
            },
            {"$unset": ["lease_until"]},
        ]
        with translated():
            result = await self._jobs.update_many(over, change)
        if result.modified_count:
            metrics.JOBS_ENDED.labels(self.queue_name, "expired").inc(result.modified_count)
            log.warning("leases_expired", queue=self.queue_name, jobs=result.modified_count)
        return int(result.modified_count)

    async def report_failures(self, report: Callable[[Job], Awaitable[None]]) -> int:
        """Tell `report` about each failed job, once it returns never again; how many.

        `report` may be told twice if a process dies in between, so its effect is keyed by the job.
        """
        with translated():
            failed = [
                _job(document) async for document in self._jobs.find({"unreported": True}).sort("_id", 1).limit(100)
            ]

        async def tell(job: Job) -> None:
            await report(job)
            with translated():
                await self._jobs.update_one(
                    {"_id": job.id, "state": JobState.FAILED.value, "attempt": job.attempt},
                    {"$unset": {"unreported": ""}},
                )

        return await each(f"failures of {self.queue_name}", failed, tell)

    # --- what people ask

    async def find(self, id: str) -> Job | None:
        """A job as it stands, or None."""
        with translated():
            document = await self._jobs.find_one({"_id": id})
        return None if document is None else _job(document)

    async def counts(self) -> Counts:
        """How many jobs there are by state, and the age of the oldest queued one; exported as metrics too."""
        with translated():
            # By hint: without one the whole collection is read, though the index holds just these.
            queued, leased, failed = [
                await self._jobs.count_documents({"state": state.value}, hint=_INDEXES[state])
                for state in (JobState.QUEUED, JobState.LEASED, JobState.FAILED)
            ]
            done = max(0, await self._jobs.estimated_document_count() - queued - leased - failed)
            oldest = 0.0
            ages: list[Document] = [
                {"$match": {"state": JobState.QUEUED.value, "unfinished": True}},
                {"$sort": {"queued_at": 1}},
                {"$limit": 1},
                {"$project": {"age": {"$subtract": ["$$NOW", "$queued_at"]}}},
            ]
            async for row in self._jobs.aggregate(ages):
                oldest = row["age"] / 1000
        counts = Counts(queued, leased, done, failed, oldest_queued_seconds=oldest)
        for state in JobState:
            metrics.JOBS.labels(self.queue_name, state.value).set(getattr(counts, state.value))
        metrics.JOB_OLDEST_AGE.labels(self.queue_name).set(counts.oldest_queued_seconds)
        return counts

    async def measure(self) -> None:
        """Export how long the queue is and how long its oldest job has waited."""
        await self.counts()

    async def list(self, state: JobState | None = None, *, limit: int = 100, after: str = "") -> list[Job]:
        """Jobs by id, for operators."""
        query: Document = {"_id": {"$gt": after}} if after else {}
        if state is not None:
            query["state"] = state.value
        with translated():
            return [_job(document) async for document in self._jobs.find(query).sort("_id", 1).limit(limit)]


def _job(document: Mapping[str, Any]) -> Job:
    return Job(
        id=document["_id"],
        state=JobState(document["state"]),
        payload=document["payload"],
        team=document["team"],
        priority=document["priority"],
        attempt=document["attempt"],
        queued_at=document["queued_at"],
        error=document.get("error"),
        worker=document.get("worker"),
        lease_until=document.get("lease_until"),
        traceparent=document.get("traceparent"),
    )
