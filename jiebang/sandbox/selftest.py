"""Proof, on the machine at hand, that a child cannot get out."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from jiebang.sandbox import kernel, landlock
from jiebang.sandbox.forkserver import ForkServer, SandboxUnavailable
from jiebang.sandbox.outcome import Job, OutcomeStatus

_PROBES = "jiebang.sandbox.probes"


def self_test(scratch: Path | None = None) -> list[str]:
    """Try to break out of a real child in every way we know; one sentence for each thing that is wrong here.

    An empty list means that the sandbox holds. A worker refuses to start otherwise. What the child is tried with lies
    in a folder under `scratch`, which is made where it is absent; by default in the folder for temporary files. It is
    gone afterwards, unless this process is killed meanwhile: workers give a `scratch` that is cleared after the dead.
    """
    lacking = _lacking()
    if lacking:
        return lacking
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jiebang-self-test-", dir=scratch) as folder:
        root = Path(folder)
        dataset, output, foreign = root / "data.csv", root / "output", root / "foreign"
        output.mkdir()
        foreign.mkdir()
        dataset.write_text("a,b\n1,2\n3,4\n")
        (foreign / "secret").write_text("secret")
        job = Job("escape", dataset, output, {"foreign": str(foreign)})
        try:
            with ForkServer(_PROBES) as server:
                outcome = server.run(job, wall_seconds=30, memory_bytes=1 << 30)
        except SandboxUnavailable as error:
            return [error.detail]
        wrong = [f"The dataset can be changed: {dataset}."] if dataset.read_text() != "a,b\n1,2\n3,4\n" else []
    if outcome.status is not OutcomeStatus.DONE:
        return [f"The confined child did not come to its end ({outcome.status}): {outcome.detail}"]
    wrong += [f"A confined child can {way}." for way in outcome.result["escaped"]]
    wrong += [f"A confined child cannot {need}." for need in outcome.result["broken"]]
    return wrong


def _lacking() -> list[str]:
    if sys.platform != "linux":
        return [f"The sandbox needs Linux; this is {sys.platform}."]
    if kernel.MACHINE not in kernel.SUPPORTED_MACHINES:
        supported = " or ".join(kernel.SUPPORTED_MACHINES)
        return [f"The sandbox knows the system calls of {supported}; this machine is {kernel.MACHINE}."]
    version = landlock.abi()
    if version == 0:
        return ["The kernel has no Landlock, or it is switched off: Linux 6.2 or later with `landlock` in `lsm=`."]
    if version < landlock.REQUIRED_ABI:
        return [f"The kernel's Landlock is version {version}; version {landlock.REQUIRED_ABI} (Linux 6.2) is needed."]
    return []
