"""Settings of the intake: the API process and the scan worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import model_validator

from jiebang.sandbox.forkserver import DEFAULT_DISK_BYTES
from services.ingest.submission import Deadlines
from shared.contracts.board import LATE
from shared.settings import Duration, Settings

GIB = 1 << 30


class IngestSettings(Settings, process="ingest"):
    """Settings of the API, its handlers and its sweeper."""

    upload_max_bytes: int = 20 * GIB
    """The largest upload there may be; a challenge usually allows less."""
    upload_lifetime: Duration = timedelta(hours=24)
    """How long an upload lives without another byte or a submission."""
    body_timeout: Duration = timedelta(seconds=60)
    """How long the body of an upload may pause before the connection is given up."""
    unsubmitted_uploads: int = 50
    """How many uploads one team may have that no submission was made of."""
    unsubmitted_bytes: int = 100 * GIB
    """How many bytes they may have in all, those announced and not yet sent among them."""
    late: Duration = LATE
    """How long after its phase's end an upload that was complete in time may still be submitted."""
    verify_wait: Duration = timedelta(seconds=20)
    """How long a submission waits for its upload to be verified before it asks the client to come back."""
    reservation_lifetime: Duration = timedelta(minutes=10)
    """After this long a held attempt is committed or let go, by whether its submission exists."""
    orphan_age: Duration = timedelta(hours=1)
    """How old stored bytes that no document speaks of must be before they are deleted."""
    lease: Duration = timedelta(seconds=60)
    """How long a worker that no longer answers keeps its job."""
    scan_deadline: Duration = timedelta(minutes=15)
    """How long a submission may wait for its scan before it is driven again."""
    score_deadline: Duration = timedelta(minutes=60)
    """How long it may wait for its score."""
    rank_deadline: Duration = timedelta(minutes=10)
    """How long it may wait for its rank."""
    drives: int = 3
    """How often a stage past its deadline is driven again, each time with the same patience, before we give up."""
    sweep_every: Duration = timedelta(seconds=5)
    """How often a replica looks for what has passed its deadline."""
    collect_every: Duration = timedelta(minutes=10)
    """How often a replica looks for stored bytes that nobody needs."""

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of the stages."""
        return Deadlines(self.scan_deadline, self.score_deadline, self.rank_deadline, self.drives)


class ScanSettings(IngestSettings, process="ingest_scan"):
    """Settings of the scan worker, which shares the deadlines of the API."""

    recorded_result: Path | None = None
    """A recorded answer of the engine to use instead of scanning; only a benchmark may."""
    wall: Duration = timedelta(minutes=10)
    """How long one scan may take before its process is killed."""
    memory_bytes: int = 3 * GIB
    """How much memory one scan may use before its process is killed."""
    disk_bytes: int = DEFAULT_DISK_BYTES
    """How many bytes one scan may have written in its scratch folder, unpacked files say, before it is stopped."""
    at_once: int = 1
    """How many scans this process works on at once."""

    @model_validator(mode="after")
    def _recorded_only_for_a_benchmark(self) -> Self:
        if self.recorded_result is not None and not self.bench:
            raise ValueError("a recorded result replaces scanning; only a benchmark (JIEBANG_BENCH=1) may use one")
        return self
