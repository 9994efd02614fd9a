"""The scoring worker: measures datasets in the sandbox, records scores. `python -m services.scoring.worker`."""

from __future__ import annotations

from pathlib import Path

from services.scoring import commands
from services.scoring.measuring import Measuring, RecordedMeasuring, SandboxedMeasuring
from services.scoring.score import Score
from services.scoring.settings import WorkerSettings
from services.scoring.store import MongoScores, MongoTerms
from shared.app import Service
from shared.job_loop import JobLoop
from shared.jobs import Lease
from shared.sandboxes import Bounds, Sandboxes, exit_unless_confined


def build(settings: WorkerSettings) -> Service:
    """The process, ready to run."""
    service = Service("scoring", settings)
    measuring = _measuring(service, settings)
    scores = MongoScores(service.aggregates("scores", Score))
    terms = MongoTerms(service.database["terms"])
    jobs = service.jobs("score", lease=settings.lease, attempts=settings.attempts)

    async def score(lease: Lease) -> None:
        await commands.score(
            lease, all_terms=terms, measuring=measuring, objects=service.objects, scores=scores, clock=service.clock
        )

    async def work() -> None:
        await measuring.open()
        try:
            await JobLoop(jobs, score, concurrency=settings.concurrency).run()
        finally:
            await measuring.close()

    service.background("jobs", work)
    return service


def _measuring(service: Service, settings: WorkerSettings) -> Measuring:
    if settings.recorded_result is not None:
        return RecordedMeasuring(settings.recorded_result)
    bounds = Bounds(settings.wall, settings.memory_bytes, settings.disk_bytes)
    sandboxes = Sandboxes(service.objects, _scratch(settings), bounds, at_once=settings.concurrency)
    return SandboxedMeasuring(sandboxes, threads=settings.threads)


def _scratch(settings: WorkerSettings) -> Path:
    return settings.scratch_dir / "scoring"


def main() -> None:
    """Run the worker, on a machine where nothing escapes from the sandbox."""
    settings = WorkerSettings.load_or_exit()
    if settings.recorded_result is None:
        with settings.exit_if_wrong():
            exit_unless_confined(_scratch(settings))
    build(settings).run()


if __name__ == "__main__":
    main()
