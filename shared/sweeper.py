"""Periodic tasks that every replica runs: no leader, so each task must be harmless when run twice at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from shared import metrics
from shared.failures import DependencyDown
from shared.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One periodic task. `task` returns how much it found to do, for the log."""

    name: str
    every: timedelta
    task: Callable[[], Awaitable[int | None]]


async def run(sweep: Sweep) -> None:
    """Run a task until cancelled, with a jitter of a fifth so that replicas do not march in step.

    A failure is logged and counted, and the task is run again at its time.
    """
    period = sweep.every.total_seconds()
    while True:
        await asyncio.sleep(period * random.uniform(0.8, 1.2))
        try:
            found = await sweep.task()
            if found:
                log.info("swept", task=sweep.name, found=found)
        except DependencyDown as error:
            metrics.SWEEPS_FAILED.labels(sweep.name).inc()
            log.warning("sweep_failed", task=sweep.name, error=str(error))
        except Exception as error:  # one bad document must not end all sweeping
            metrics.SWEEPS_FAILED.labels(sweep.name).inc()
            log.error("sweep_failed", task=sweep.name, exc_info=error)
