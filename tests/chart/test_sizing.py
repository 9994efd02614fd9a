"""The sizing of a competition: the worst hour fits, and the chart takes the values as they are."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from deploy.helm import sizing
from deploy.helm.chart import CHART, documents, render
from deploy.helm.schema import build
from deploy.helm.sizing import Load, plan, values
from services.ingest.settings import ScanSettings
from services.scoring.settings import WorkerSettings

LOADS = st.builds(
    Load,
    submissions_per_day=st.floats(1, 200_000),
    dataset_bytes=st.integers(1_000, 5 * 10**9),
    largest_bytes=st.integers(5 * 10**9, 20 * 10**9),
    days=st.floats(1, 400),
    webhooks=st.floats(0.1, 50),
    worst_hour=st.floats(0.04, 1),
)


def printed(arguments: Sequence[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert sizing.main(arguments) == 0
    return out.getvalue()


@settings(max_examples=200, deadline=None)
@given(LOADS)
def test_the_worst_hour_is_worked_off_within_it(load: Load) -> None:
    pods = plan(load).pods
    for name, needed in {
        "ingest-scan": load.dataset_seconds("scan"),
        "scoring-worker": load.dataset_seconds("score"),
        "ranking": sizing.CPU_MS["ranking"] / 1000,
        "ingest": sizing.CPU_MS["ingest"] / 1000,
        "notify-worker": load.webhooks * sizing.CPU_MS["notify-worker"] / 1000,
    }.items():
        assert pods[name].replicas * pods[name].cores * sizing.BUSY >= load.per_second * needed * 0.999
    assert all(each.replicas >= 2 for each in pods.values())
    assert all(pods[name].replicas <= 12 for name in ("ingest", "scoring", "ranking", "notify"))


@settings(max_examples=200, deadline=None)
@given(LOADS, st.floats(1, 10))
def test_more_asks_for_no_less(load: Load, times: float) -> None:
    more = Load(
        load.submissions_per_day * times, load.dataset_bytes, load.largest_bytes, load.days, load.webhooks,
        load.worst_hour,
    )  # fmt: skip
    assert plan(more).cores >= plan(load).cores
    assert plan(more).objects >= plan(load).objects


@settings(max_examples=200, deadline=None)
@given(LOADS)
def test_the_schema_of_the_chart_takes_the_values(load: Load) -> None:
    written = yaml.safe_load(yaml.safe_dump(values(load, plan(load))))
    assert [error.message for error in Draft7Validator(build()).iter_errors(written)] == []


@pytest.mark.parametrize("dataset", [["1MB"], ["50MB", "--largest", "2GB"], ["3GiB", "--score-seconds", "90"]])
def test_the_chart_renders_with_the_values(helm: Path, tmp_path: Path, dataset: list[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(printed(["--submissions-per-day", "3000", "--dataset-size", *dataset, "--yaml"]))
    given = yaml.safe_load(file.read_text())
    made = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each
        for each in documents(render(helm, file))
        if each["kind"] == "Deployment"
    }
    for name, wanted in given["services"].items():
        assert made[name]["spec"]["replicas"] == wanted["replicas"]
        _holds_its_children(name, made[name]["spec"]["template"]["spec"], wanted, given)


def _holds_its_children(name: str, pod: dict[str, Any], wanted: dict[str, Any], all_of_it: dict[str, Any]) -> None:
    if name not in ("ingest-scan", "scoring-worker"):
        return
    settings_of = ScanSettings if name == "ingest-scan" else WorkerSettings
    prefix = f"JIEBANG_{settings_of.process.upper()}_"
    given = settings_of.load({f"{prefix}{key}": str(value) for key, value in wanted["settings"].items()})
    at_once = given.at_once if isinstance(given, ScanSettings) else given.concurrency  # type: ignore[attr-defined]
    largest = all_of_it["services"]["ingest"]["settings"]["UPLOAD_MAX_BYTES"]
    (scratch,) = [each["emptyDir"]["sizeLimit"] for each in pod["volumes"] if each["name"] == "scratch"]
    assert _bytes(scratch) >= at_once * (largest + given.disk_bytes)  # type: ignore[attr-defined]
    limit = pod["containers"][0]["resources"]["limits"]["memory"]
    assert _bytes(limit) >= at_once * given.memory_bytes + (512 << 20)  # type: ignore[attr-defined]


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) << {"Mi": 20, "Gi": 30}[quantity[-2:]]


def test_the_table_says_what_it_rests_on() -> None:
    words = printed(["--submissions-per-day", "2000", "--dataset-size", "50MB"])
    assert "500 of them in the worst hour" in words
    assert "score 2.22 s" in words
    assert CHART.name in words


@pytest.mark.parametrize("wrong", [["--dataset-size", "50"], ["--dataset-size", "50MB", "--days", "0"]])
def test_what_is_no_size_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        sizing.main(["--submissions-per-day", "10", *wrong])
    assert left.value.code == 2
    capsys.readouterr()
