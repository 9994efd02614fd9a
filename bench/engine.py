"""The engine over a dirty CSV and its Parquet twin, beside DuckDB's plain conversion and hand-written SQL."""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from bench import dirty
from bench.load import dataset
from bench.measure import BenchFailed, Cost, Sheet, median_of, megabytes, python, run
from jiebang.sandbox import ForkServer, Job, OutcomeStatus

_SCORE = """
import json, sys, jiebang
report = jiebang.score(sys.argv[1], label='status', key=['record'], threads=2, memory=int(sys.argv[2]) or None)
print(json.dumps({m.id: [m.num, m.den] for m in report.combined.values()}))
"""
_SCORE_ANY = """
import sys, jiebang
print(jiebang.score(sys.argv[1], threads=2).total)
"""
_CONVERT = """
import sys, duckdb
from bench.dirty import COLUMNS
db = duckdb.connect()
db.execute("SET threads = 2")
db.execute("SET enable_progress_bar = false")
names = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
db.execute(f"COPY (SELECT * FROM read_csv('{sys.argv[1]}', columns={{{names}}}, auto_detect=false, header=true,"
           " delim=',', quote='\\"', escape='\\"', ignore_errors=true)) TO '" + sys.argv[2] + "' (FORMAT parquet, COMPRESSION zstd)")
"""
_BY_HAND = "import json, sys; from bench.by_hand import measure; print(json.dumps(measure(sys.argv[1])))"


RUNS = 3
"""Single runs differ by a tenth, and a ratio of two by a fifth: the median of three is told."""


def _score(path: Path, memory: int = 0) -> tuple[Cost, dict[str, list[int | None]]]:
    cost, printed = median_of(RUNS, python(_SCORE, str(path), str(memory)))
    return cost, json.loads(printed)


def _twin(csv: Path) -> Path:
    """The Parquet twin: the same cells, all text, without the ragged records."""
    twin = csv.with_suffix(".parquet")
    if not twin.exists():
        run(python(_CONVERT, str(csv), str(twin)))
    return twin


def large(folder: Path, size: int) -> None:
    """One dirty CSV of `size` bytes and its twin: CPU beside the conversion and SQL by hand, memory, equality."""
    csv = dirty.write(folder / f"dirty-{size // 1_000_000}mb.csv", dirty.rows_for(size))
    converted = folder / "converted.parquet"
    conversion, _ = median_of(RUNS, python(_CONVERT, str(csv), str(converted)))
    converted.unlink()
    by_hand, printed = run(python(_BY_HAND, str(csv)))
    expected = json.loads(printed)
    scored, integers = _score(csv)
    lean, lean_integers = _score(csv, 1_000_000_000)
    twin_cost, twin_integers = _score(_twin(csv))
    for name, ratio in expected.items():
        if name != "BAL-1" and integers[name] != ratio:
            raise BenchFailed(f"{name}: the engine says {integers[name]}, SQL by hand says {ratio}")
    if lean_integers != integers:
        raise BenchFailed("the integers depend on the memory that the engine was given")
    differing = [name for name in integers if name != "FMT-1" and integers[name] != twin_integers[name]]
    if differing:
        raise BenchFailed(f"CSV and Parquet disagree on {', '.join(differing)}")
    sheet = Sheet(
        f"Engine, dirty table of {megabytes(csv.stat().st_size)}, 12 columns, core-0, 2 threads (CPU seconds, whole process, medians of {RUNS})"
    )
    zstd = "DuckDB CSV → Parquet zstd"
    sheet.row("score the CSV", f"{scored.cpu:.1f}", zstd, f"{conversion.cpu:.1f}", scored.cpu / conversion.cpu, "≤ 2.0")
    sheet.row(
        "score the CSV", f"{scored.cpu:.1f}", "SQL by hand", f"{by_hand.cpu:.1f}", scored.cpu / by_hand.cpu, "≤ 0.5"
    )
    sheet.row(
        "score the Parquet twin",
        f"{twin_cost.cpu:.1f}",
        zstd,
        f"{conversion.cpu:.1f}",
        twin_cost.cpu / conversion.cpu,
        "≤ 2.0",
    )
    sheet.row(
        "score the CSV, told 1 GB", f"{lean.cpu:.1f}", zstd, f"{conversion.cpu:.1f}", lean.cpu / conversion.cpu, "≤ 2.0"
    )
    sheet.row(
        "peak memory",
        megabytes(scored.peak),
        "SQL by hand",
        megabytes(by_hand.peak),
        scored.peak / by_hand.peak,
        "< 2,700 MB",
    )
    sheet.row(
        "peak memory, told 1 GB",
        megabytes(lean.peak),
        "SQL by hand",
        megabytes(by_hand.peak),
        lean.peak / by_hand.peak,
        "< 1,500 MB",
    )
    sheet.print()


def growth(folder: Path, sizes: tuple[int, ...]) -> None:
    """CPU seconds per 100 MB from small to large: a straight line stays equal."""
    sheet = Sheet("Engine, growth with the size of the CSV (CPU seconds per 100 MB)")
    first: float | None = None
    for size in sizes:
        csv = dirty.write(folder / f"dirty-{size // 1_000_000}mb.csv", dirty.rows_for(size))
        cost, _ = _score(csv)
        each = cost.cpu / (csv.stat().st_size / 1e8)
        first = first or each
        sheet.row(
            megabytes(csv.stat().st_size), f"{each:.2f}", megabytes(sizes[0]), f"{first:.2f}", each / first, "≤ 1.2"
        )
        sheet.row("  peak memory", megabytes(cost.peak))
    sheet.print()


def shapes(folder: Path) -> None:
    """A wide table, JSON lines, and a small file."""
    sheet = Sheet("Engine, other shapes (CPU seconds, whole process)")
    wide = folder / "wide.csv"
    if not wide.exists():
        source = random.Random(7)
        with wide.open("w") as file:
            file.write(",".join(f"c{index}" for index in range(500)) + "\n")
            for _ in range(20_000):
                file.write(",".join(str(source.randrange(10_000)) for _ in range(500)) + "\n")
    cost, _ = run(python(_SCORE_ANY, str(wide)))
    summary, _ = run(python(f"import duckdb; duckdb.sql(\"SUMMARIZE SELECT * FROM read_csv('{wide}')\").fetchall()"))
    sheet.row(
        "500 columns × 20,000 rows",
        f"{cost.cpu:.1f}",
        "DuckDB SUMMARIZE",
        f"{summary.cpu:.1f}",
        cost.cpu / summary.cpu,
        "≤ 10 s",
    )
    lines = folder / "lines.jsonl"
    if not lines.exists():
        rows = dirty.rows_for(200_000_000)
        source_csv = dirty.write(folder / "dirty-200mb.csv", rows)
        with duckdb.connect() as db:
            db.execute(f"COPY (SELECT * FROM '{_twin(source_csv)}') TO '{lines}' (FORMAT json)")
    cost, _ = run(python(_SCORE_ANY, str(lines)))
    plain, _ = run(python("import json, sys\nfor line in open(sys.argv[1], 'rb'): json.loads(line)", str(lines)))
    size = lines.stat().st_size
    sheet.row(
        f"JSON lines, {megabytes(size)} (MB per CPU second)",
        f"{size / 1e6 / cost.cpu:.0f}",
        "json.loads of each line alone",
        f"{size / 1e6 / plain.cpu:.0f}",
        plain.cpu / cost.cpu,
        "≥ 40 MB/s",
    )
    small = folder / "small.csv"
    small.write_bytes(dataset(0, rows=1_270))
    fresh, _ = median_of(5, python(_SCORE_ANY, str(small)))
    took = _forked(small)
    sheet.row(
        f"{small.stat().st_size / 1e3:.0f} kB in the sandbox, seconds from fork to result",
        f"{took:.2f}",
        "a fresh process of Python",
        f"{fresh.wall:.2f}",
        took / fresh.wall,
        "≤ 0.3 s",
    )
    sheet.print()


def _forked(path: Path, runs: int = 15) -> float:
    """Median seconds from the order to a warm fork server until the result of its confined child is there."""
    times = []
    with ForkServer() as server, tempfile.TemporaryDirectory() as folder:
        for number in range(runs):
            output = Path(folder, str(number))
            output.mkdir()
            began = time.perf_counter()
            outcome = server.run(Job("score", path, output, {}), wall_seconds=60, memory_bytes=2 << 30)
            times.append(time.perf_counter() - began)
            if outcome.status is not OutcomeStatus.DONE:
                raise BenchFailed(f"the sandbox ended with {outcome.status}: {outcome.detail}")
    return statistics.median(times)
