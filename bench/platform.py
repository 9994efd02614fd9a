"""The platform from upload to rank: cost and throughput, latency, uploads, start and memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

import jiebang
from bench.load import Load, command, dataset
from bench.measure import BenchFailed, Sheet, megabytes
from deploy.local.keys import issue_keys
from deploy.local.platform import Platform
from jiebang.client import Client
from jiebang.packing import Package

DEMAND = {
    "types": {"station": "text", "reading": "decimal", "visits": "integer", "grade": "text"},
    "key": ["station"],
    "label": "grade",
    "records": 20,
}
TEAMS = 500
"""As many as a large challenge has: a team makes a few dozen attempts, not thousands."""
_TICKS = os.sysconf("SC_CLK_TCK")
_SERVERS = {"kafka", "mongo"}


@asynccontextmanager
async def running(settings: dict[str, str] | None = None) -> AsyncIterator[Platform]:
    """A platform of the benchmark's own, from nothing, for the length of a block."""
    state = Path(tempfile.mkdtemp(prefix="jiebang-bench-"))
    platform = Platform(state, settings=settings, say=lambda line: None, restart=False)
    await platform.start()
    try:
        yield platform
    finally:
        await platform.stop()
        shutil.rmtree(state, ignore_errors=True)


async def competition(platform: Platform) -> Load:
    """A posted challenge with registered teams."""
    keys = await issue_keys(platform)
    now = datetime.now(UTC)
    phase = {
        "name": "preliminary",
        "starts_at": (now - timedelta(minutes=1)).isoformat(),
        "ends_at": (now + timedelta(days=1)).isoformat(),
        "leaderboard": "public",
    }
    challenge = {
        "title": {"zh": "压测", "en": "Benchmark"},
        "sector": "energy",
        "demand": DEMAND,
        "rubric": "core-0",
        "phases": [phase],
        "quota": {"per_day": 100_000, "total": 100_000},
    }
    teams = []
    async with httpx.AsyncClient(base_url=platform.url, timeout=30, trust_env=False) as http:

        async def post(path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
            once = hashlib.sha256(f"{path}{json.dumps(body)}".encode()).hexdigest()
            answer = await http.post(
                path, json=body, headers={"Authorization": f"Bearer {key}", "Idempotency-Key": once}
            )
            if answer.status_code != 201:
                raise BenchFailed(f"POST {path}: {answer.status_code} {answer.text}")
            made: dict[str, Any] = answer.json()
            return made

        posted = (await post("/v1/challenges", challenge, keys["sponsor"]))["id"]
        for number in range(TEAMS):
            made = await post("/v1/teams", {"name": {"zh": f"队{number}"}, "organisation": "bench"}, keys["organiser"])
            await post(f"/v1/challenges/{posted}/registrations", {"team": made["team"]["id"]}, keys["organiser"])
            teams.append(made["key"])
        for key in teams:  # ingest knows of a registration a moment later
            while True:
                asked = await http.get(f"/v1/quota?challenge={posted}", headers={"Authorization": f"Bearer {key}"})
                if asked.status_code == 200:
                    break
                await asyncio.sleep(0.1)
    return Load(platform.url, posted, tuple(teams), 0)


async def _play(load: Load, already: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(*command(load, already), stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode != 0:
        raise BenchFailed("the load could not be played; its errors are above")
    figures: dict[str, Any] = json.loads(printed)
    return figures


def _cpu(platform: Platform) -> dict[str, float]:
    """CPU seconds of every part so far, the children that it waited for included."""
    spent = {}
    for name, part in platform.parts.items():
        fields = Path(f"/proc/{part.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        spent[name] = sum(int(field) for field in fields[11:15]) / _TICKS
    return spent


def _memory(platform: Platform) -> int:
    """What all parts hold of memory, shared pages counted once (PSS), children included, in bytes."""
    total = 0
    pids = [part.process.pid for part in platform.parts.values()]
    while pids:
        pid = pids.pop()
        pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    return total


def _recorded(folder: Path) -> dict[str, str]:
    """Settings that replace scanning and measuring by a recorded answer of the engine over one of the datasets."""
    sample = folder / "readings.csv"
    sample.write_bytes(dataset(0))
    report = jiebang.score(sample, demand=DEMAND)
    scan = jiebang.scan(sample)
    (folder / "score.json").write_text(json.dumps(report.as_dict()))
    (folder / "scan.json").write_text(json.dumps(scan.as_dict()))
    return {
        "JIEBANG_BENCH": "1",
        "JIEBANG_SCORING_WORKER_RECORDED_RESULT": str(folder / "score.json"),
        "JIEBANG_INGEST_SCAN_RECORDED_RESULT": str(folder / "scan.json"),
    }


async def cost(count: int) -> None:
    """CPU per submission early and late, and submissions a second, beside a bare relay on the same broker."""
    folder = Path(tempfile.mkdtemp(prefix="jiebang-bench-"))
    async with running(_recorded(folder)) as platform:
        load = await competition(platform)
        relay = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.relay", platform.kafka_bootstrap, "2000"),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await relay.communicate()
        rival = json.loads(printed)
        await _play(Load(load.url, load.challenge, load.keys, 200), 0)
        done = 200
        windows: list[tuple[int, float, float, float]] = []
        parts: dict[str, float] = {}
        for size in (800, count - 2_000, 1_000):
            before = _cpu(platform)
            figures = await _play(Load(load.url, load.challenge, load.keys, size), done)
            spent = {name: now - before[name] for name, now in _cpu(platform).items()}
            services = sum(seconds for name, seconds in spent.items() if name not in _SERVERS)
            parts = {name: seconds / size for name, seconds in spent.items()}
            windows.append((done, size / figures["seconds"], services / size, sum(spent.values()) / size))
            done += size
        sheet = Sheet(
            f"Platform, small submissions from upload to rank, measuring replaced by a recorded result, {done:,} in all"
        )
        _, early_speed, early, early_all = windows[0]
        _, speed, _, _ = windows[1]
        _, _, late, _ = windows[2]
        bare = "aiokafka relay, 5 hops"
        sheet.row(
            "submissions a second",
            f"{speed:.0f}",
            bare,
            f"{rival['per_second']:.0f}",
            speed / rival["per_second"],
            "≥ 50",
        )
        sheet.row(
            "  among the first 1,000",
            f"{early_speed:.0f}",
            bare,
            f"{rival['per_second']:.0f}",
            early_speed / rival["per_second"],
        )
        sheet.row(
            "CPU ms a submission, all services",
            f"{early * 1e3:.1f}",
            bare,
            f"{rival['cpu_each'] * 1e3:.1f}",
            early / rival["cpu_each"],
        )
        sheet.row(
            "  with Kafka and MongoDB",
            f"{early_all * 1e3:.1f}",
            bare,
            f"{rival['cpu_each'] * 1e3:.1f}",
            early_all / rival["cpu_each"],
        )
        sheet.row(
            f"  after {windows[2][0]:,}",
            f"{late * 1e3:.1f}",
            "among the first 1,000",
            f"{early * 1e3:.1f}",
            late / early,
            "≤ 1.1",
        )
        for name, seconds in sorted(parts.items(), key=lambda part: -part[1]):
            sheet.row(f"    of it {name}", f"{seconds * 1e3:.1f}")
        sheet.print()
    shutil.rmtree(folder)


async def latency(seconds: int) -> None:
    """Real scanning and measuring: from the upload's last byte to the rank, and what starting costs."""
    began = time.perf_counter()
    async with running() as platform:
        ready = time.perf_counter() - began
        load = await competition(platform)
        sheet = Sheet("Platform, real measuring, from upload finished to rank visible (seconds)")
        already = 0
        await _play(Load(load.url, load.challenge, load.keys, 5, 1.0), already)
        already += 5
        for rate in (1.0, 5.0):
            count = int(rate * seconds)
            figures = await _play(Load(load.url, load.challenge, load.keys, count, rate), already)
            already += count
            cuts = statistics.quantiles(figures["latencies"], n=100, method="inclusive")
            sheet.row(f"{rate:.0f} a second: p50", f"{cuts[49]:.2f}", aim="< 1")
            sheet.row(f"{rate:.0f} a second: p99", f"{cuts[98]:.2f}", aim="< 5")
        sheet.row("start to ready, from nothing", f"{ready:.1f}", aim="≤ 25")
        sheet.row("memory of all processes (PSS)", megabytes(_memory(platform)), aim="< 2,000 MB")
        sheet.print()


async def upload(folder: Path, size: int) -> None:
    """A large upload through the API beside `cp` and `sha256sum` of the same file."""
    file = folder / f"upload-{size}.bin"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for number in range(size // (1 << 20)):
                out.write(hashlib.shake_128(number.to_bytes(4, "big")).digest(1 << 20))
    digest = hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
    async with running() as platform:
        load = await competition(platform)
        before = _peak(platform, "ingest")
        times = []
        for _ in range(3):
            began = time.perf_counter()
            await asyncio.to_thread(_send, platform.url, file, digest, load.keys[0])
            times.append(time.perf_counter() - began)
        plain = []
        for _ in range(3):
            began = time.perf_counter()
            await _run("cp", str(file), str(platform.state / "copy.bin"))
            await _run("sha256sum", str(platform.state / "copy.bin"))
            plain.append(time.perf_counter() - began)
        took, rival = statistics.median(times), statistics.median(plain)
        sheet = Sheet(f"Upload of {megabytes(file.stat().st_size)} through the API until verified")
        length = file.stat().st_size / 1e6
        sheet.row(
            "MB a second", f"{length / took:.0f}", "cp + sha256sum", f"{length / rival:.0f}", rival / took, "≥ 0.70"
        )
        sheet.row("peak memory of the intake", megabytes(_peak(platform, "ingest")), "before it", megabytes(before))
        sheet.print()


def _send(url: str, file: Path, digest: str, key: str) -> None:
    """Upload as the command does, and wait until the platform has verified the digest."""
    with Client(url, key) as client:
        upload = client.upload(Package(file), digest)
        while (state := client.get(f"/v1/uploads/{upload}")["state"]) != "verified":
            if state == "refused":
                raise BenchFailed(f"the upload {upload} was refused")
            time.sleep(0.02)


async def _run(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait() != 0:
        raise BenchFailed(" ".join(words))


def _peak(platform: Platform, name: str) -> int:
    status = Path(f"/proc/{platform.process(name).pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024
