"""The queries of the dashboards, read from the files that Grafana reads, and whether a Prometheus has data for them.

`python -m deploy.observability.queries http://127.0.0.1:9090` asks one about its last hour.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).resolve().parent / "dashboards"

_POINTS = 200


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of a panel, as it is written there."""

    dashboard: str
    panel: str
    written: str

    def filled_in(self, window: str = "5m", span: str = "1h") -> str:
        """The query as Grafana sends it: rates over `window`, sums over the `span` looked at, nothing picked out."""
        return self.written.replace("$__rate_interval", window).replace("$__range", span).replace("$challenge", ".*")


def queries(folder: Path = FOLDER) -> Iterator[PanelQuery]:
    """Every query of every panel."""
    for file in sorted(folder.glob("*.json")):
        page = json.loads(file.read_text("utf-8"))
        for panel in page["panels"]:
            for target in panel.get("targets", ()):
                yield PanelQuery(file.stem, panel["title"], target["expr"])


def without_data(prometheus: str, *, since: float, until: float | None = None, window: str = "5m") -> list[str]:
    """The queries for which a Prometheus has no number in that time, with the reason; empty if all is there.

    Raises:
        httpx.HTTPError: the Prometheus does not answer.
    """
    end = until if until is not None else time.time()
    step = max(1.0, (end - since) / _POINTS)
    span = f"{max(1, round(end - since))}s"
    missing: list[str] = []
    with httpx.Client(base_url=prometheus, timeout=30, trust_env=False) as client:
        for query in queries():
            asked = httpx.QueryParams(query=query.filled_in(window, span), start=since, end=end, step=step)
            answer = client.get("/api/v1/query_range", params=asked).json()
            if answer["status"] != "success":
                missing.append(f"{query.dashboard}, {query.panel}: {answer['error']}: {query.written}")
            elif not _has_a_number(answer["data"]["result"]):
                missing.append(f"{query.dashboard}, {query.panel}: no data: {query.written}")
    return missing


def _has_a_number(series: list[dict[str, Any]]) -> bool:
    return any(math.isfinite(float(value)) for one in series for _, value in one["values"])


def main() -> None:
    """Print the queries without data; exit code 1 if there are any."""
    parser = argparse.ArgumentParser(description="Ask a Prometheus for the data of every panel of the dashboards.")
    parser.add_argument("prometheus", help="its address")
    parser.add_argument("--minutes", type=float, default=60, help="how far back to look")
    options = parser.parse_args()
    missing = without_data(options.prometheus, since=time.time() - 60 * options.minutes)
    asked = sum(1 for _ in queries())
    sys.stdout.write("".join(f"{line}\n" for line in missing) + f"{asked - len(missing)} of {asked} have data\n")
    raise SystemExit(1 if missing else 0)


if __name__ == "__main__":
    main()
