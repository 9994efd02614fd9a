"""`python -m deploy.helm.sizing`: the pods, CPU, memory and disk that a competition needs, and values that say so.

The costs are those of docs/performance.md, measured on one machine. What a dataset costs depends on the dataset: give
the CPU seconds of one of yours (`time jiebang scan FILE`, `time jiebang score FILE`: user and sys).
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from deploy.helm.chart import CHART

DAY = 86_400
MIB, GIB = 1 << 20, 1 << 30

CPU_MS = {
    "board": 0.5,
    "ingest": 19.5,
    "ingest-scan": 5.8,
    "scoring": 4.5,
    "scoring-worker": 5.9,
    "ranking": 9.1,
    "notify": 8.6,
    "notify-worker": 3.0,
    "MongoDB": 25.2,
    "Kafka": 7.9,
}
"""CPU milliseconds of one submission, the 19,000th, without its bytes; that of the notify worker is for each webhook.

Of the board and the notify worker nothing was measured: they have little to do.
"""

UPLOAD_SECONDS = 0.9
"""CPU seconds of ingest for each 100 MB that it takes, reads back and hashes."""

DATASET_SECONDS = {"scan": 4.2, "score": 4.2}
"""CPU seconds for each 100 MB of a dataset. A scan reads what a score reads."""
CHILD_SECONDS = 0.12
"""From fork to result, whatever the dataset."""

DATABASE_BYTES = 16_000
"""Documents and indexes of one submission."""
DELIVERY_BYTES = 5_000
"""… and of one webhook."""
RECORD_BYTES = 6_000
"""Events of one submission, in each copy."""
REPORT_BYTES = 60_000
"""Report, page and scan of one submission."""

BUSY = 0.6
"""What share of its CPU a pod may use in the worst hour."""
PARTITIONS = 12
OWN_MEMORY = 512 * MIB

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 1 << 10, "MiB": MIB, "GiB": GIB, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True)
class Load:
    """What a competition asks of the platform."""

    submissions_per_day: float
    dataset_bytes: int
    largest_bytes: int
    days: float = 30
    webhooks: float = 1
    """Webhooks for each submission: subscriptions that want its score."""
    worst_hour: float = 0.25
    """The share of a day's submissions that come in its worst hour: at a phase's end."""
    scan_seconds: float | None = None
    score_seconds: float | None = None

    @property
    def per_second(self) -> float:
        """Submissions a second in the worst hour."""
        return self.submissions_per_day * self.worst_hour / 3600

    def dataset_seconds(self, stage: str) -> float:
        """CPU seconds of one scan or score."""
        given = self.scan_seconds if stage == "scan" else self.score_seconds
        if given is not None:
            return given
        return CHILD_SECONDS + DATASET_SECONDS[stage] * self.dataset_bytes / 100e6


@dataclass(frozen=True, slots=True)
class Pods:
    """How many of one process, and what each asks for."""

    replicas: int
    cores: float
    memory: int
    scratch: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the competition needs."""

    pods: dict[str, Pods]
    disk_bytes: int
    """What one child may write."""
    memory_bytes: int
    """What one child may use of memory."""
    database: int
    database_cores: float
    broker: int
    broker_cores: float
    objects: int

    @property
    def cores(self) -> float:
        """Cores of all pods."""
        return sum(each.replicas * each.cores for each in self.pods.values())


def plan(load: Load) -> Plan:
    """What a load needs, so that the worst hour is worked off within it."""
    rate, count = load.per_second, load.submissions_per_day * load.days
    memory = GIB if load.largest_bytes <= 100e6 else 3 * GIB
    disk = max(2 * 10**9, 10 * load.largest_bytes)
    pods = {
        "board": _api(rate * CPU_MS["board"] / 1000, 384 * MIB),
        "ingest": _api(
            rate * (CPU_MS["ingest"] / 1000 + UPLOAD_SECONDS * load.dataset_bytes / 100e6), GIB, most=PARTITIONS
        ),
        "scoring": _api(rate * CPU_MS["scoring"] / 1000, 512 * MIB, most=PARTITIONS),
        "ranking": _api(rate * CPU_MS["ranking"] / 1000, 768 * MIB, most=PARTITIONS),
        "notify": _api(rate * CPU_MS["notify"] / 1000, 512 * MIB, most=PARTITIONS),
        "notify-worker": _api(rate * load.webhooks * CPU_MS["notify-worker"] / 1000, 384 * MIB),
        "ingest-scan": _worker(rate, load, "scan", at_once=1, memory=memory, disk=disk),
        "scoring-worker": _worker(rate, load, "score", at_once=2, memory=memory, disk=disk),
    }
    return Plan(
        pods=pods,
        disk_bytes=disk,
        memory_bytes=memory,
        database=math.ceil(count * (DATABASE_BYTES + load.webhooks * DELIVERY_BYTES) * 2),
        database_cores=_up(rate * CPU_MS["MongoDB"] / 1000 / BUSY, 0.5),
        # Twice, since brokers need room to move.
        broker=math.ceil(count * RECORD_BYTES * 2),
        broker_cores=_up(rate * CPU_MS["Kafka"] / 1000 / BUSY, 0.5),
        objects=math.ceil(count * (load.dataset_bytes + REPORT_BYTES) * 1.2),
    )


def _api(cores: float, memory: int, *, most: int | None = None) -> Pods:
    """Two at least, so that one may be away; at most one for each partition, each as large as is left then."""
    needed = cores / BUSY
    replicas = max(2, math.ceil(needed))
    if most is not None:
        replicas = min(replicas, most)
    return Pods(replicas, max(0.1, _up(needed / replicas, 0.05)), memory)


def _worker(rate: float, load: Load, stage: str, *, at_once: int, memory: int, disk: int) -> Pods:
    process = "ingest-scan" if stage == "scan" else "scoring-worker"
    needed = rate * (load.dataset_seconds(stage) + CPU_MS[process] / 1000) / BUSY
    replicas = max(2, math.ceil(needed / at_once))
    return Pods(
        replicas,
        float(at_once),
        at_once * memory + OWN_MEMORY,
        at_once * (load.largest_bytes + disk) + GIB,
    )


def _up(value: float, step: float) -> float:
    return round(math.ceil(value / step - 1e-9) * step, 3)


def values(load: Load, needed: Plan) -> dict[str, Any]:
    """Values of the chart that ask for what is needed; servers outside of it are asked for by whoever runs them."""
    services: dict[str, Any] = {}
    for name, pods in needed.pods.items():
        cpu = f"{pods.cores * 1000:.0f}m"
        resources: dict[str, Any] = {
            "requests": {"cpu": cpu, "memory": _binary(pods.memory if pods.scratch else pods.memory // 2)},
            "limits": {"memory": _binary(pods.memory)},
        }
        services[name] = {"replicas": pods.replicas, "resources": resources}
        if pods.scratch:
            services[name]["scratchSize"] = _binary(pods.scratch)
            resources["requests"]["ephemeral-storage"] = _binary(pods.scratch)
    services["scoring-worker"]["resources"]["limits"]["cpu"] = services["scoring-worker"]["resources"]["requests"][
        "cpu"
    ]
    bounds = {"MEMORY_BYTES": needed.memory_bytes, "DISK_BYTES": needed.disk_bytes}
    services["ingest"]["settings"] = {"UPLOAD_MAX_BYTES": load.largest_bytes}
    services["ingest-scan"]["settings"] = {"AT_ONCE": 1, **bounds}
    services["scoring-worker"]["settings"] = {"CONCURRENCY": 2, **bounds}
    return {
        "services": services,
        "kafka": {"strimzi": {"storage": {"size": _binary(max(needed.broker, GIB))}}},
        "mongodb": {"trial": {"storage": {"size": _binary(max(needed.database, GIB))}}},
        "objects": {"volume": {"size": _binary(max(needed.objects, GIB))}},
    }


def _binary(count: int) -> str:
    """A quantity of Kubernetes, rounded up."""
    return f"{math.ceil(count / GIB)}Gi" if count > 4 * GIB else f"{math.ceil(count / MIB)}Mi"


def table(load: Load, needed: Plan) -> str:
    """The plan for people."""
    lines = [
        f"{load.submissions_per_day:g} submissions a day, {load.per_second * 3600:g} of them in the worst hour "
        f"({load.per_second:.2f} a second)",
        f"CPU of a dataset: scan {load.dataset_seconds('scan'):.2f} s, score {load.dataset_seconds('score'):.2f} s",
        "",
        f"{'process':<15} {'pods':>4} {'cores each':>11} {'memory each':>12} {'scratch each':>13}",
    ]
    for name, pods in needed.pods.items():
        scratch = _binary(pods.scratch) if pods.scratch else "-"
        lines.append(f"{name:<15} {pods.replicas:>4} {pods.cores:>11.2f} {_binary(pods.memory):>12} {scratch:>13}")
    lines += [
        f"{'all':<15} {sum(each.replicas for each in needed.pods.values()):>4} {needed.cores:>11.2f} in all",
        "",
        f"after {load.days:g} days: objects {_binary(needed.objects)}, "
        f"database {_binary(needed.database)} on each member, Kafka {_binary(needed.broker)} on each broker",
        f"in the worst hour: {needed.database_cores:g} cores for MongoDB's primary, {needed.broker_cores:g} for Kafka",
    ]
    return "\n".join(lines)


def size(text: str) -> int:
    """A number of bytes: `50 MB`, `2GiB`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 800kB, 50MB or 2GiB")
    return math.ceil(float(match[1]) * _UNITS[match[2]])


def _positive(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError("a number above 0")
    return value


def main(arguments: Iterable[str] | None = None) -> int:
    """Print the plan and its values."""
    parser = argparse.ArgumentParser(prog="python -m deploy.helm.sizing", description=__doc__)
    parser.add_argument("--submissions-per-day", type=_positive, required=True)
    parser.add_argument("--dataset-size", type=size, required=True, help="of a usual dataset: 50MB")
    parser.add_argument("--largest", type=size, help="the largest dataset there may be [default: the usual one]")
    parser.add_argument("--days", type=_positive, default=30, help="how long the competition lasts [default: 30]")
    parser.add_argument("--webhooks", type=_positive, default=1, help="for each submission [default: 1]")
    parser.add_argument(
        "--worst-hour", type=_positive, default=0.25, help="share of a day's submissions in one hour [default: 0.25]"
    )
    parser.add_argument("--scan-seconds", type=_positive, help="CPU seconds of one scan, as you have measured")
    parser.add_argument("--score-seconds", type=_positive, help="CPU seconds of one score, as you have measured")
    parser.add_argument("--yaml", action="store_true", help="print the values alone")
    given = parser.parse_args(None if arguments is None else list(arguments))
    load = Load(
        given.submissions_per_day,
        given.dataset_size,
        max(given.dataset_size, given.largest or 0),
        given.days,
        given.webhooks,
        given.worst_hour,
        given.scan_seconds,
        given.score_seconds,
    )
    needed = plan(load)
    written = yaml.safe_dump(values(load, needed), sort_keys=False)
    if given.yaml:
        sys.stdout.write(written)
    else:
        sys.stdout.write(
            f"{table(load, needed)}\n\nvalues for {CHART.name} ({CHART.parent.name}/{CHART.name}):\n{written}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
