"""Periodic tasks that every replica runs: no leader, so each task must be harmless when run twice at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from shared import metrics
from shared.failures import DependencyDown
from shared.logs import get_logger

log = get_logger(__name__)

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Sweep:
    """One periodic task. `task` returns how much it found to do, for the log; `at_once` begins it without a wait."""

    name: str
    every: timedelta
    task: Callable[[], Awaitable[int | None]]
    at_once: bool = False


async def run(sweep: Sweep) -> None:
    """Run a task until cancelled, with a jitter of a fifth so that replicas do not march in step.

    A failure is logged and counted, and the task is run again at its time.
    """
    period = sweep.every.total_seconds()
    metrics.begin_at_zero(metrics.SWEEPS_FAILED, [sweep.name])
    wait = 0.0 if sweep.at_once else period * random.uniform(0.8, 1.2)
    this = asyncio.current_task()
    assert this is not None
    # aiokafka takes a cancellation that reaches it while it stops a client for one of its own, and goes on: then this
    # task would be waited for until the grace is over.
    while not this.cancelling():
        await asyncio.sleep(wait)
        wait = period * random.uniform(0.8, 1.2)
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


async def each(task: str, found: Iterable[Found], act: Callable[[Found], Awaitable[object]]) -> int:
    """Deal with each thing that a task found; how many. One that fails is logged, counted and left to the next sweep.

    What waits longest is found first, so a thing that fails every time would otherwise hold up all behind it for ever.

    Raises:
        DependencyDown: the others would fare no better.
    """
    dealt_with = 0
    for one in found:
        try:
            await act(one)
            dealt_with += 1
        except DependencyDown:
            raise
        except Exception as error:  # whatever is wrong with one, the rest is due
            metrics.SWEEPS_FAILED.labels(task).inc()
            log.error("sweep_left_one", task=task, exc_info=error)
    return dealt_with
