"""The dashboards that are committed: made of the code, of metrics that exist, and none of them forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlparse

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from deploy.observability.generate import rendered
from deploy.observability.queries import FOLDER, PanelQuery, queries, without_data
from shared import metrics

FILES = sorted(FOLDER.glob("*.json"))
QUERIES = list(queries())
RULES = yaml.safe_load((FOLDER.parent / "alerts.yaml").read_text("utf-8"))
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
OF_PROMETHEUS = {"up", "ALERTS"}
OF_THE_CLIENT_LIBRARY = {
    "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
    "process_max_fds", "python_gc_collections_total",
}  # fmt: skip
GIVEN_LABELS = {"job", "instance", "le"}


def series_of(name: str, metric: MetricWrapperBase) -> set[str]:
    return {f"{name}_bucket", f"{name}_count", f"{name}_sum"} if isinstance(metric, Histogram) else {name}


LABELS = {
    series: set(metric._labelnames)
    for name, metric in metrics.all_metrics().items()
    for series in series_of(name, metric)
}


def nodes(expression: promql_parser.Expr) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(expression, lambda node: found.append(node))
    return found


def selectors(expression: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


def parsed(query: PanelQuery) -> promql_parser.Expr:
    return promql_parser.parse(query.filled_in())


def by_dashboard(path: Any) -> str:
    return str(path.stem)


def by_panel(query: PanelQuery) -> str:
    return f"{query.dashboard}, {query.panel}"


def test_the_files_are_what_the_code_makes() -> None:
    assert {path: path.read_text("utf-8") for path in FILES} == rendered(), "run `make dashboards`"


@pytest.mark.parametrize("path", FILES, ids=by_dashboard)
def test_every_file_is_a_dashboard_to_grafanas_own_model(path: Any) -> None:
    written = json.loads(path.read_text("utf-8"))
    read = Dashboard.from_json(written)
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == written


@pytest.mark.parametrize("path", FILES, ids=by_dashboard)
def test_panels_have_room_and_say_what_they_show(path: Any) -> None:
    panels = json.loads(path.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    shown = [panel for panel in panels if panel["type"] != "row"]
    assert all(panel["title"] and panel["description"] and panel["targets"] for panel in shown)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, f"{one} and {other} overlap"


@pytest.mark.parametrize("query", QUERIES, ids=by_panel)
def test_every_query_asks_for_metrics_and_labels_that_exist(query: PanelQuery) -> None:
    found = selectors(parsed(query))
    assert found, query.written
    for selector in found:
        assert selector.name in LABELS.keys() | RECORDED | OF_PROMETHEUS | OF_THE_CLIENT_LIBRARY
        asked = {matcher.name for matcher in selector.matchers.matchers}
        assert selector.name not in LABELS or asked <= LABELS[selector.name] | GIVEN_LABELS


@pytest.mark.parametrize("query", QUERIES, ids=by_panel)
def test_every_query_groups_by_labels_that_its_metrics_have(query: PanelQuery) -> None:
    for node in nodes(parsed(query)):
        if not isinstance(node, promql_parser.AggregateExpr) or node.modifier is None:
            continue
        for selector in selectors(node.expr):
            if selector.name in LABELS:
                assert set(node.modifier.labels) <= LABELS[selector.name] | GIVEN_LABELS


@pytest.mark.parametrize("query", QUERIES, ids=by_panel)
def test_only_what_counts_up_is_shown_as_a_rate(query: PanelQuery) -> None:
    count_up = {
        series
        for name, metric in metrics.all_metrics().items()
        if isinstance(metric, Counter | Histogram)
        for series in series_of(name, metric)
    }
    for node in nodes(parsed(query)):
        if isinstance(node, promql_parser.Call) and node.func.name in ("rate", "increase"):
            (rated,) = [selector.name for argument in node.args for selector in selectors(argument)]
            assert rated in count_up | OF_THE_CLIENT_LIBRARY


@pytest.mark.parametrize("name", metrics.all_metrics())
def test_every_metric_is_on_a_dashboard(name: str) -> None:
    shown = {selector.name for query in QUERIES for selector in selectors(parsed(query))}
    assert series_of(name, metrics.all_metrics()[name]) & shown


class _Answers(BaseHTTPRequestHandler):
    """A Prometheus with numbers for some metrics, NaN for others, and nothing for the rest."""

    values: dict[str, str]

    def do_GET(self) -> None:
        expression = parse_qs(urlparse(self.path).query)["query"][0]
        known = [value for name, value in self.values.items() if name in expression]
        result = [{"metric": {}, "values": [[0, value]]} for value in known]
        body = json.dumps({"status": "success", "data": {"result": result}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus() -> Iterator[tuple[str, dict[str, str]]]:
    values: dict[str, str] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"values": values}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", values
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_query_without_a_number_is_told(prometheus: tuple[str, dict[str, str]]) -> None:
    url, values = prometheus
    assert len(without_data(url, since=0, until=60)) == len(QUERIES)
    values["deliveries_pending"] = "NaN"
    values["deliveries_overdue"] = "0"
    missing = without_data(url, since=0, until=60)
    told = {line for line in missing if "deliveries_overdue" in line}
    assert not told, "0 is a number"
    assert any("deliveries_pending" in line for line in missing), "NaN is none"
