"""Periodic tasks: what one bad document may hold up, and what it may not."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import pytest

from shared import metrics
from shared.failures import DependencyDown, TransientError
from shared.sweeper import Sweep, each, run


async def test_one_that_fails_is_counted_and_holds_up_none_behind_it() -> None:
    done: list[str] = []

    async def act(one: str) -> None:
        if one == "bad":
            raise TransientError("always")
        done.append(one)

    failed = metrics.SWEEPS_FAILED.labels("a task")._value.get()
    assert await each("a task", ["first", "bad", "last"], act) == 2
    assert done == ["first", "last"]
    assert metrics.SWEEPS_FAILED.labels("a task")._value.get() == failed + 1


async def test_a_dependency_that_is_away_ends_the_sweep() -> None:
    asked: list[str] = []

    async def act(one: str) -> None:
        asked.append(one)
        raise DependencyDown("mongodb")

    with pytest.raises(DependencyDown):
        await each("a task", ["first", "second"], act)
    assert asked == ["first"]


async def test_a_task_that_must_not_wait_runs_as_soon_as_it_is_begun() -> None:
    ran = asyncio.Event()

    async def task() -> int:
        ran.set()
        return 0

    sweeping = asyncio.ensure_future(run(Sweep("at once", timedelta(hours=1), task, at_once=True)))
    try:
        await asyncio.wait_for(ran.wait(), 30)
    finally:
        sweeping.cancel()


async def test_a_task_that_takes_a_cancellation_for_its_own_ends_the_sweeping_all_the_same() -> None:
    began = asyncio.Event()

    async def task() -> int:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return 0

    sweeping = asyncio.ensure_future(run(Sweep("swallows", timedelta(hours=1), task, at_once=True)))
    await asyncio.wait_for(began.wait(), 30)
    sweeping.cancel()
    done, _ = await asyncio.wait({sweeping}, timeout=30)
    assert done, "it sleeps for an hour"
