"""`make bench`: prints every figure of docs/performance.md as tables with ratios.

`python -m bench [engine|shapes|growth|text|dense|cost|latency|upload …] [--small]`; without a name, all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import platform as machine
from collections.abc import Callable
from pathlib import Path

import duckdb
import structlog

from bench import detectors, engine, platform
from bench.measure import console

OUT = Path(__file__).parent / "out"
GB = 1_000_000_000


def main() -> None:
    """Run the named benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    runs: dict[str, Callable[[bool], object]] = {
        "engine": lambda small: engine.large(OUT, GB // 10 if small else GB),
        "shapes": lambda small: engine.shapes(OUT),
        "growth": lambda small: engine.growth(OUT, (GB // 10, GB) if small else (GB // 10, GB, 5 * GB)),
        "text": detectors.text,
        "dense": detectors.dense,
        "cost": lambda small: asyncio.run(platform.cost(4_000 if small else 20_000)),
        "latency": lambda small: asyncio.run(platform.latency(20 if small else 60)),
        "upload": lambda small: asyncio.run(platform.upload(OUT, GB // 10 if small else GB)),
    }
    parser.add_argument("names", nargs="*", choices=[[], *runs], metavar="NAME", help=", ".join(runs))
    parser.add_argument("--small", action="store_true", help="a tenth of the data: minutes instead of half an hour")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console.print(
        f"{machine.processor() or machine.machine()}, {machine.system()} {machine.release()}, "
        f"Python {machine.python_version()}, DuckDB {duckdb.__version__}"
    )
    for name in given.names or runs:
        console.rule(name)
        runs[name](given.small)


if __name__ == "__main__":
    main()
