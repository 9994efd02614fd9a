"""Everything a child gives up before it looks at the first untrusted byte, in the order that works."""

from __future__ import annotations

import os
import resource
import signal
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import jiebang
from jiebang.sandbox import landlock, seccomp
from jiebang.sandbox.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, drop_capabilities, prctl

# DuckDB sizes itself by these; each is world-readable and says nothing of other people's data.
_ABOUT_THE_MACHINE = (
    "/proc/self/cgroup",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
)
_OPEN_FILES = 512
# Address space reserved and not touched costs nothing; the watch on resident memory is what bounds a child, this
# stops it from asking for the absurd between two looks.
_DATA_SLACK = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use before it is stopped."""

    wall_seconds: float
    memory_bytes: int
    disk_bytes: int


def confine(*, dataset: Path, output: Path, limits: Limits, parent: int) -> None:
    """Confine this process, which must still have one thread, for good.

    It keeps: reading `dataset`, Python's own files and a few facts about the machine; writing inside `output`;
    standard streams that lead nowhere. Raises `OSError` where the machine lacks a mechanism: then nothing may be run.
    """
    os.setpgid(0, 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died between the fork and the line above: nobody would ever stop us.
        os._exit(1)
    _leave_everything_behind(output)
    _limit(limits)
    drop_capabilities()
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(
        readable=[dataset, *_python_files(), *map(Path, _ABOUT_THE_MACHINE)],
        writable=[output],
    )
    seccomp.restrict()


def _leave_everything_behind(output: Path) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.environ.clear()
    os.chdir(output)
    os.umask(0o077)


def _limit(limits: Limits) -> None:
    used = _data_bytes()
    processors = os.cpu_count() or 1
    for kind, bound in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, limits.disk_bytes),
        # RLIMIT_DATA and not RLIMIT_AS: a file mapped for reading is not memory that could run out.
        (resource.RLIMIT_DATA, used + 2 * limits.memory_bytes + _DATA_SLACK),
        # Only where the watch on the clock has itself been stopped.
        (resource.RLIMIT_CPU, int(limits.wall_seconds * processors) + 10),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        _, highest = resource.getrlimit(kind)
        if highest != resource.RLIM_INFINITY:
            bound = min(bound, highest)
        resource.setrlimit(kind, (bound, bound))


def _data_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _python_files() -> set[Path]:
    """Where modules that are imported late (codecs, mostly) come from."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return {Path(folder) for folder in folders if folder} | {Path(jiebang.__file__).parent}
