"""What workers leave in the scratch folder when they are killed, and who removes it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from jiebang.sandbox import Outcome, OutcomeStatus
from shared.objects import Objects
from shared.sandboxes import Bounds, Sandboxes
from tests.eventually import eventually


@pytest.mark.parametrize(("worker", "name"), [("scoring.worker", "scoring"), ("ingest.scan_worker", "ingest")])
async def test_a_self_test_that_was_killed_is_cleared_away_by_the_next_worker(
    tmp_path: Path, worker: str, name: str
) -> None:
    # The servers that the worker would go to after its self-test.
    away = {"JIEBANG_KAFKA_BOOTSTRAP": "127.0.0.1:1", "JIEBANG_MONGO_URI": "mongodb://127.0.0.1:1"}
    places = {"JIEBANG_SCRATCH_DIR": str(tmp_path / "scratch"), "TMPDIR": str(tmp_path)}
    killed = subprocess.Popen(  # noqa: ASYNC220  (killed by its pid below)
        [sys.executable, "-m", f"services.{worker}"], env={**os.environ, **away, **places}, stderr=subprocess.DEVNULL
    )
    own = tmp_path / "scratch" / name / str(killed.pid)

    async def begun() -> bool:
        return bool(own.is_dir() and os.listdir(own))

    try:
        await eventually(begun, every=0.01, what="the self-test")
    finally:
        killed.kill()
        killed.wait()
    (left,) = os.listdir(own)
    assert left.startswith("jiebang-self-test-")
    objects = Objects((tmp_path / "objects").as_uri())
    next_worker = Sandboxes(objects, own.parent, Bounds(timedelta(seconds=1), 1 << 30, 1 << 30), at_once=0)
    await next_worker.open()
    assert os.listdir(own.parent) == [str(os.getpid())]
    await next_worker.close()


async def test_a_child_that_writes_more_than_its_bound_is_stopped(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text("a,b\n" + "1,2\n" * 1_000_000)
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(table, "data.csv")
    objects = Objects((tmp_path / "objects").as_uri())
    await objects.put("datasets/upl_1/manifest.json", b'{"filename": "data.tar"}')
    await objects.put("datasets/upl_1/dataset", (tmp_path / "data.tar").read_bytes())

    async def ending(disk_bytes: int) -> Outcome:
        bounds = Bounds(timedelta(seconds=60), 2 << 30, disk_bytes)
        sandboxes = Sandboxes(objects, tmp_path / "scratch", bounds, at_once=1)
        await sandboxes.open()
        try:
            return await sandboxes.run("scan", "upl_1", {}, lambda outcome, _: outcome)
        finally:
            await sandboxes.close()

    assert (await ending(1 << 30)).status is OutcomeStatus.DONE
    stopped = await ending(1 << 20)
    assert stopped.status is OutcomeStatus.REFUSED
    assert "wrote" in stopped.detail
