"""Hostile and broken datasets, handed in as anyone would: each ends rejected with its code, and the worker lives."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.component.ingest.stage import CSV, Stage
from tests.eventually import eventually


def zipped(*entries: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(1000))}), stream)
    return stream.getvalue()


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str, str]] = {
    "a bomb": ("d.zip", lambda: zipped(("a.csv", b"0" * (200 << 20))), "G1", "ratio_too_high"),
    "a pickle": ("model.pkl", lambda: pickle.dumps({"a": 1}), "G3", "pickle"),
    "a pickle under another name": ("data.csv", lambda: pickle.dumps({"a": [1] * 99}), "G3", "pickle"),
    "truncated Parquet": ("d.parquet", lambda: parquet()[:-20], "G3", "truncated"),
    "truncated gzip": ("d.csv.gz", lambda: gzip.compress(CSV * 1000)[:-9], "G1", "truncated"),
    "a path that climbs": ("d.zip", lambda: zipped(("../a.csv", CSV)), "G1", "unsafe_path"),
    "no data at all": ("readme.txt", lambda: b"This is no table.\n", "G3", "not_a_dataset"),
}


@pytest.mark.parametrize("which", HOSTILE)
async def test_it_is_rejected_with_its_code_and_the_next_one_is_scanned(stage: Stage, which: str) -> None:
    filename, data, gate, code = HOSTILE[which]
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge, data(), filename=filename)
    rejected = await team.until(submission["id"], "rejected", within=60)
    assert [(reason["gate"], reason["code"]) for reason in rejected["reasons"]] == [(gate, code)]
    assert all(reason["sentence"] for reason in rejected["reasons"])
    assert (await team.quota(challenge))["used_total"] == 1
    await stage.until_events(submission["id"], "received", "rejected")
    good = await team.submitted(challenge)
    await team.until(good["id"], "accepted", within=60)
    scratch = stage.folder / "scratch" / "ingest"
    await eventually(lambda: not list(scratch.glob("*/*")), what="nothing being left in the scratch folder")


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("d.csv", b""),
        ("d.csv", b"a,b\n"),
        ("d.csv", b"a,a\n1,2\n"),
        ("d.csv", b"a,b\n1,2,3\n1\n"),
        ("d.csv", b"\xff\xfe"),
    ],
)
async def test_what_is_only_poor_is_no_matter_for_the_gates(stage: Stage, filename: str, data: bytes) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge, data)
    assert (await team.until(submission["id"], "accepted", within=60))["dataset_digest"]
