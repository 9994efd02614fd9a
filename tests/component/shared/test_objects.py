"""The object store in a local directory: whole or not there, and told apart from being away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.failures import DependencyDown
from shared.objects import ObjectMissing, Objects


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(f"file://{tmp_path / 'objects'}")


async def test_an_object_is_stored_read_and_removed(objects: Objects) -> None:
    await objects.put("uploads/upl_1/0-a", b"0123456789")
    assert await objects.get("uploads/upl_1/0-a") == b"0123456789"
    info = await objects.info("uploads/upl_1/0-a")
    assert info is not None
    assert info.bytes == 10
    await objects.delete(["uploads/upl_1/0-a", "uploads/upl_1/none"])
    assert await objects.info("uploads/upl_1/0-a") is None
    with pytest.raises(ObjectMissing):
        await objects.get("uploads/upl_1/0-a")


async def test_a_stream_is_stored_whole_or_not_at_all(objects: Objects) -> None:
    async def pieces(fail: bool) -> AsyncIterator[bytes]:
        for number in range(12):
            if fail and number == 9:
                raise ConnectionResetError("the sender is gone")
            yield bytes([number]) * 1_000_000

    with pytest.raises((DependencyDown, ConnectionResetError)):
        await objects.put("uploads/upl_1/0-a", pieces(fail=True))
    assert await objects.info("uploads/upl_1/0-a") is None
    await objects.put("uploads/upl_1/0-b", pieces(fail=False))
    assert [info.bytes async for info in objects.list("uploads/upl_1")] == [12_000_000]
    got = b"".join([piece async for piece in objects.stream("uploads/upl_1/0-b")])
    assert got == b"".join(bytes([number]) * 1_000_000 for number in range(12))


async def test_parts_become_one_object_with_the_digest_of_all_their_bytes(objects: Objects, tmp_path: Path) -> None:
    parts = [bytes([number]) * (3_000_000 + number) for number in range(5)]
    for number, part in enumerate(parts):
        await objects.put(f"uploads/upl_1/{number}", part)
    composed = await objects.compose([f"uploads/upl_1/{number}" for number in range(5)], "datasets/upl_1/dataset")
    whole = b"".join(parts)
    assert (composed.bytes, composed.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    await objects.fetch("datasets/upl_1/dataset", tmp_path / "copy")
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).hexdigest() == composed.sha256


async def test_nothing_is_composed_if_a_part_is_missing(objects: Objects) -> None:
    await objects.put("uploads/upl_1/0", b"a")
    with pytest.raises((ObjectMissing, DependencyDown)):
        await objects.compose(["uploads/upl_1/0", "uploads/upl_1/1"], "datasets/upl_1/dataset")
    assert await objects.info("datasets/upl_1/dataset") is None


async def test_no_parts_are_an_empty_object(objects: Objects) -> None:
    assert (await objects.compose([], "datasets/upl_1/dataset")).bytes == 0
    assert await objects.get("datasets/upl_1/dataset") == b""


async def test_two_writers_of_one_name_leave_one_whole_object(objects: Objects) -> None:
    bodies = [bytes([number]) * 2_000_000 for number in range(8)]
    await asyncio.gather(*(objects.put("reports/sub_1/report.json", body) for body in bodies))
    assert await objects.get("reports/sub_1/report.json") in bodies


async def test_a_store_that_cannot_be_reached_is_a_dependency_that_is_down(tmp_path: Path) -> None:
    objects = Objects(f"file://{tmp_path / 'objects'}")
    (tmp_path / "objects" / "blocked").write_text("a file where a folder should be")
    with pytest.raises(DependencyDown):
        await objects.put("blocked/object", b"x")
