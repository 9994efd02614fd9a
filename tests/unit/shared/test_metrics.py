"""What the metrics are called, and that the page about them says what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from shared import metrics
from shared.metrics_page import PAGE, page

ROOT = Path(__file__).resolve().parents[3]
USED = "\n".join(
    file.read_text("utf-8")
    for folder in ("shared", "services")
    for file in (ROOT / folder).rglob("*.py")
    if file.name != "metrics.py"
)
CONSTANTS = {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}
BOUNDED = {
    "outcome", "stage", "part", "state", "stream", "kind", "reason", "partition", "collection", "topic", "queue",
    "result", "cause", "task", "route", "method", "status", "code", "challenge", "phase", "band",
}  # fmt: skip
"""Labels whose values are named in the code, in topics.yaml or by a protocol, whatever people send;
and the few phases under way."""


def test_the_page_is_made_of_the_metrics_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make metrics`"


@pytest.mark.parametrize("name", metrics.all_metrics())
def test_every_metric_is_documented(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("constant", CONSTANTS)
def test_every_metric_is_measured_somewhere(constant: str) -> None:
    assert re.search(rf"\bmetrics\.{constant}\b", USED), f"{constant} is exported and never set"


@pytest.mark.parametrize(("name", "metric"), metrics.all_metrics().items(), ids=list(metrics.all_metrics()))
def test_names_say_their_unit_and_labels_are_bounded(name: str, metric: MetricWrapperBase) -> None:
    assert name.endswith("_total") is isinstance(metric, Counter)
    if isinstance(metric, Histogram):
        assert name.endswith("_seconds")
    assert set(metric._labelnames) <= BOUNDED


def test_a_counter_that_begins_at_zero_is_exported_before_anything_has_happened() -> None:
    metrics.begin_at_zero(metrics.SANDBOX_KILLS, ["of_this_test"])
    body, _ = metrics.exposition()
    assert b'sandbox_kills_total{cause="of_this_test"} 0.0' in body
