"""Settings of scoring: the API process and its worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import model_validator

from jiebang.sandbox.forkserver import DEFAULT_DISK_BYTES
from shared.settings import Duration, Settings

GIB = 1 << 30


class ScoringSettings(Settings, process="scoring"):
    """Settings of the API, its handlers and its sweeper."""

    lease: Duration = timedelta(seconds=60)
    """How long a job is a worker's without a sign of life."""
    attempts: int = 3
    """How often a job is attempted, when workers die over it, before the scoring has failed."""
    sweep_every: Duration = timedelta(seconds=2)
    """How often a replica looks for jobs whose worker died, and for jobs that failed."""
    issuer: Path | None = None
    """Folder with the keys of certificates, as `jiebang certificate issuer` makes it; without one none is issued."""


class WorkerSettings(ScoringSettings, process="scoring_worker"):
    """Settings of the worker."""

    concurrency: int = 2
    """How many datasets are measured at once."""
    threads: int | None = None
    """How many threads one measuring may use; by default as many as the machine has cores."""
    memory_bytes: int = 3 * GIB
    """How much memory one measuring may use before its process is killed."""
    disk_bytes: int = DEFAULT_DISK_BYTES
    """How many bytes one measuring may have written in its scratch folder before it is stopped."""
    wall: Duration = timedelta(minutes=30)
    """How long one measuring may take before its process is killed."""
    recorded_result: Path | None = None
    """A report to give to every dataset instead of measuring it; only a benchmark of the platform may."""

    @model_validator(mode="after")
    def _recorded_for_a_benchmark_only(self) -> Self:
        if self.recorded_result is not None and not self.bench:
            raise ValueError("a recorded result replaces measuring: only with JIEBANG_BENCH=1")
        return self
