"""Writes `docs/metrics.md` from `shared/metrics.py`: `python -m shared.metrics_page`."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from shared import metrics

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"

_INTRODUCTION = """\
# Metrics

Written by `make metrics` from `shared/metrics.py`, where every metric of the platform is named; a test fails when the
two differ.

Every process serves them on its internal port under `/metrics`, in the text format of Prometheus or, for who accepts
it, in OpenMetrics, where a slow submission carries an exemplar with its id and its trace. No label grows with the
number of teams, submissions or endpoints. A counter that tells of failures is exported from the start as 0, so that its
first increase is seen. A process exports metrics without labels even where they are another's business: they are 0
there, and take no part in a sum or a maximum.

The alerts on them are in `deploy/observability/alerts.yaml`; each has a page in [runbooks](runbooks/).
`make dev OPTIONS=--prometheus` runs a Prometheus with these alerts beside the platform of this machine. `make observe`
rehearses them: with the demo alone all are quiet, then three faults call one alert each. For that the length of every
`for` and every range is multiplied by a factor (`OPTIONS="--time-factor 0.1"`); the limits stay as they are.

Dashboards for Grafana are in `deploy/observability/dashboards`: overview, stages, Kafka consumers, dead letters,
deliveries, uploads and security, runtime, and the competition. `make dashboards` writes them from
`deploy/observability/catalogue.py`; a metric that is on none of them fails a test. `make observe` demands a number for
each of their queries, and `python -m deploy.observability.queries http://127.0.0.1:9090` asks any other Prometheus.
"""


def page() -> str:
    """The whole page."""
    known = {id(metric): (name, metric) for name, metric in metrics.all_metrics().items()}
    parts = [_INTRODUCTION]
    for line in Path(metrics.__file__).read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"# ([A-Z].*)\.", line):
            parts.append(f"\n## {heading[1]}\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n")
        elif made := re.match(r"([A-Z_]+) = (?:Counter|Gauge|Histogram)\(", line):
            name, metric = known.pop(id(getattr(metrics, made[1])))
            parts.append(_row(name, metric))
    if known:
        raise AssertionError(f"not found in the source: {sorted(name for name, _ in known.values())}")
    return "".join(parts)


def _row(name: str, metric: MetricWrapperBase) -> str:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "–"
    kind = type(metric).__name__.lower()
    bounds = f" Buckets up to {metric._kwargs['buckets'][-1]} s." if isinstance(metric, Histogram) else ""
    return f"| `{name}` | {kind} | {labels} | {metric._documentation}{bounds} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
