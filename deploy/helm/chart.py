"""The chart on disk: its examples, what it has copies of, and what helm makes of it."""

from __future__ import annotations

import re
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = Path(__file__).parent / "jiebang"
EXAMPLES = tuple(sorted(CHART.glob("ci/*-values.yaml")))
RENDERED = ROOT / "tests" / "chart" / "rendered"

# A chart can only read what is inside it.
COPIES = {
    ROOT / "shared" / "contracts" / "topics.yaml": CHART / "files" / "topics.yaml",
    ROOT / "deploy" / "observability" / "alerts.yaml": CHART / "files" / "alerts.yaml",
}
DASHBOARDS = ROOT / "deploy" / "observability" / "dashboards"

RELEASE, NAMESPACE = "jiebang", "competition"
_MADE_KEY = re.compile(r"(signing-key\.pem: )[A-Za-z0-9+/=]+")
_DASHBOARD = re.compile(r"^(  [a-z-]+\.json: )(.*)$", re.MULTILINE)


class ChartRefused(Exception):
    """Helm does not take the chart with these values; the message is helm's."""


def example(values: Path) -> str:
    """The name of an example, `small` of `ci/small-values.yaml`."""
    return values.name.removesuffix("-values.yaml")


def lint(helm: Path, values: Path) -> None:
    """Lints the chart with an example.

    Raises:
        ChartRefused: it has a fault.
    """
    _helm(helm, "lint", "--strict", str(CHART), "--values", str(values))


def render(helm: Path, values: Path, *sets: str) -> str:
    """What the chart makes of an example, hooks and tests too; each of `sets` is `path=value`, in JSON.

    Raises:
        ChartRefused: helm does not take it.
    """
    command = ["template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(values)]
    return _helm(helm, *command, *(f"--set-json={each}" for each in sets))


def documents(rendered: str) -> list[dict[str, Any]]:
    """The objects of a rendering."""
    return [document for document in yaml.safe_load_all(rendered) if document]


def comparable(rendered: str) -> str:
    """A rendering without the key for receipts, which is made anew each time, and with dashboards by their digest."""
    shorter = _DASHBOARD.sub(lambda match: f"{match[1]}sha256 {sha256(match[2].encode()).hexdigest()}", rendered)
    return _MADE_KEY.sub(r"\1bWFkZSBhbmV3", shorter)


def copies() -> dict[Path, bytes]:
    """What the copies inside the chart must hold: topics, alerts, dashboards."""
    wanted = {copy: source.read_bytes() for source, copy in COPIES.items()}
    return wanted | {CHART / "dashboards" / file.name: file.read_bytes() for file in sorted(DASHBOARDS.glob("*.json"))}


def _helm(helm: Path, *arguments: str) -> str:
    finished = subprocess.run([helm, *arguments], capture_output=True, text=True)
    if finished.returncode != 0:
        raise ChartRefused((finished.stderr + finished.stdout).strip())
    return finished.stdout
