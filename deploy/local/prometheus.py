"""A real Prometheus beside the local platform: it asks every process for its metrics and evaluates the alerts."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.local.ports import stored_port
from deploy.local.process import Process, StartFailed
from deploy.local.services import HttpPart

RULES = Path(__file__).resolve().parent.parent / "observability" / "alerts.yaml"
VARIABLE = "JIEBANG_PROMETHEUS"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SCRAPE_SECONDS = 5
_DURATION = re.compile(r"([0-9]+)([smhd])")


@dataclass(frozen=True)
class Target:
    """A process to be asked for its metrics: the row of the table it is one of, its own name, and its internal port."""

    job: str
    instance: str
    port: int


def find_prometheus() -> Path:
    """The program: `JIEBANG_PROMETHEUS`, else `prometheus` in the search path.

    Raises:
        StartFailed: there is none; the message says how to get one.
    """
    given = os.environ.get(VARIABLE)
    found = shutil.which(given or "prometheus")
    if found is None:
        raise StartFailed(
            f"{VARIABLE}={given} is not a program" if given
            else f"Prometheus is not on this machine: `apt-get install prometheus` brings it, or name one in {VARIABLE}"
        )  # fmt: skip
    return Path(found)


def scrape_seconds(time_factor: float) -> float:
    """How often each process is asked, and the rules are evaluated."""
    return max(1.0, _SCRAPE_SECONDS * time_factor)


def scaled_rules(rules: Mapping[str, Any], time_factor: float) -> dict[str, Any]:
    """The rules with every `for` and every range multiplied by `time_factor`, so that a rehearsal takes minutes.

    Limits stay as they are. A range is never shorter than four scrapes, since an increase needs two samples in it.
    """
    least = 4 * scrape_seconds(time_factor)

    def scaled(duration: re.Match[str], least: float) -> str:
        seconds = max(int(duration[1]) * _UNITS[duration[2]] * time_factor, least)
        return f"{round(seconds * 1000)}ms"

    def rule(given: Mapping[str, Any]) -> dict[str, Any]:
        made = dict(given)
        if "for" in made:
            made["for"] = _DURATION.sub(lambda found: scaled(found, 0), made["for"])
        made["expr"] = re.sub(rf"(?<=\[){_DURATION.pattern}(?=\])", lambda found: scaled(found, least), made["expr"])
        return made

    return {"groups": [{**group, "rules": [rule(each) for each in group["rules"]]} for group in rules["groups"]]}


def write_targets(state: Path, targets: Iterable[Target]) -> None:
    """Tells a Prometheus, also one that runs already, whom to ask."""
    lines = [
        {"targets": [f"127.0.0.1:{target.port}"], "labels": {"job": target.job, "instance": target.instance}}
        for target in targets
    ]
    file = state / "prometheus" / "targets.json"
    file.parent.mkdir(exist_ok=True)
    written = file.with_suffix(".new")
    written.write_text(json.dumps(lines, indent=2) + "\n")
    written.replace(file)


def prometheus_part(state: Path, *, time_factor: float = 1.0) -> HttpPart:
    """The Prometheus of a platform, with the alerts loaded.

    Raises:
        StartFailed: the program is not on this machine.
    """
    program = find_prometheus()
    folder = state / "prometheus"
    folder.mkdir(exist_ok=True)
    port = stored_port(state, "prometheus")
    rules = yaml.safe_load(RULES.read_text("utf-8"))
    (folder / "alerts.yaml").write_text(yaml.safe_dump(scaled_rules(rules, time_factor), sort_keys=False))
    every = f"{round(scrape_seconds(time_factor) * 1000)}ms"
    configuration = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "jiebang", "file_sd_configs": [{"files": ["targets.json"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    command: list[str | Path] = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=7d",
        "--enable-feature=exemplar-storage",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    process = Process("prometheus", command, log=state / "logs" / "prometheus.log")
    return HttpPart(process, (port,), f"http://127.0.0.1:{port}/-/ready")
