"""The whole engine, confined: the same report as outside."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import palmerpenguins
import pytest

import jiebang
from jiebang.sandbox import ForkServer, Job, Outcome, OutcomeStatus, read_output

PENGUINS = Path(palmerpenguins.__file__).parent / "data" / "penguins.csv"
DECLARATION = {"label": "species", "key": ["species"]}


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


def judged(server: ForkServer, kind: str, dataset: Path, output: Path, **arguments: object) -> Outcome:
    output.mkdir()
    return server.run(Job(kind, dataset, output, arguments), wall_seconds=60, memory_bytes=2_000_000_000)


def test_a_confined_report_equals_one_made_outside(server: ForkServer, tmp_path: Path) -> None:
    outcome = judged(server, "score", PENGUINS, tmp_path / "output", declaration=DECLARATION)
    assert outcome.status is OutcomeStatus.DONE
    assert outcome.result == json.loads(jiebang.score(PENGUINS, declare=DECLARATION).to_json())
    page = read_output(tmp_path / "output", "report.html", limit=1_000_000)
    assert page is not None
    assert b"penguins.csv" in page


def test_a_challenge_and_its_own_rubric_are_judged_confined(server: ForkServer, tmp_path: Path) -> None:
    rubric = {
        "id": "alone",
        "version": 1,
        "dimensions": {"x": {"weight": 1, "measures": {"COM-1": {"floor": 0, "target": 1}}}},
    }
    outcome = judged(
        server, "score", PENGUINS, tmp_path / "output", demand={"types": {"sex": "text"}}, rubric=rubric, threads=1
    )
    assert outcome.status is OutcomeStatus.DONE
    assert outcome.result["challenge"] is True
    assert [(one["num"], one["den"]) for one in outcome.result["measures"] if one["id"] == "COM-1"] == [(333, 344)]


def test_every_kind_of_file_opens_confined(server: ForkServer, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    text = "日期,值\n2026-01-01,1\n2026-01-02,2\n"
    (folder / "a.csv").write_text(text, encoding="gb18030")
    (folder / "b.csv.gz").write_bytes(gzip.compress(text.encode("utf-16")))
    (folder / "c.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"y": [1, 2]}), folder / "d.parquet", compression="zstd")
    archive = tmp_path / "data.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "data")
    outcome = judged(server, "score", archive, tmp_path / "output")
    assert outcome.status is OutcomeStatus.DONE, outcome.detail
    assert outcome.result["total"] is not None
    assert outcome.result["dataset"]["records"] == 8


def test_the_gates_alone_run_confined(server: ForkServer, tmp_path: Path) -> None:
    outcome = judged(server, "scan", PENGUINS, tmp_path / "output")
    assert outcome.status is OutcomeStatus.DONE
    assert outcome.result["passed"] is True


def test_a_dataset_that_is_none_is_refused_with_a_reason(server: ForkServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    outcome = judged(server, "scan", empty, tmp_path / "output")
    assert outcome.status is OutcomeStatus.REFUSED
    assert outcome.result["code"]
    assert outcome.result["detail"]
