"""The chart on a real node: real pods of the project's images under a restricted profile and enforced policies.

`make kube-test` runs it. It needs root, Go, podman, containerd, runc and the plugins of the container network.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.docker.containers import LacksTools, find_containers
from deploy.helm.chart import CHART
from deploy.kube.node import ADDRESS, missing
from deploy.kube.programs import find_go
from deploy.local.fetch import say
from tests.eventually import eventually
from tests.kube.installed import NAMESPACE, RELEASE, Installed, installed

pytestmark = [pytest.mark.node, pytest.mark.timeout(1500)]

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 4).close(); print('connected')"


@pytest.fixture(scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installed]:
    """The chart, installed once for all tests of this file."""
    lacking = [missing(), "" if find_go() else "Go"]
    try:
        find_containers()
    except LacksTools as lacks:
        lacking.append(str(lacks))
    if any(lacking):
        pytest.skip(f"a node needs {', '.join(filter(None, lacking))} on this machine")
    async with installed(tmp_path_factory.mktemp("node")) as running:
        yield running


def container(pod: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = pod["status"]["containerStatuses"][0]
    return status


async def test_helm_test_hands_in_a_dataset_that_is_ranked(platform: Installed) -> None:
    said = await asyncio.to_thread(platform.helm, "test", RELEASE, "--logs", "--timeout", "5m")
    assert "Phase:          Succeeded" in said
    assert "rank" in said


async def test_every_pod_runs_as_the_restricted_profile_wants_it(platform: Installed) -> None:
    pods = platform.cluster.list("pods", NAMESPACE)
    assert len(pods) >= 8
    for name in ("ingest-scan", "scoring-worker", "board"):
        told = platform.exec(name, "sh", "-c", "id -u; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/1/status; touch /x")
        assert told.stdout.split() == [
            "10001", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2",
        ]  # fmt: skip
        assert "Read-only file system" in told.stderr


async def test_only_the_needed_connections_are_let_through(platform: Installed) -> None:
    broker = platform.kafka_bootstrap.rpartition(":")[2]
    api = platform.cluster.server.rpartition(":")[2]

    def reaches(component: str, address: str, port: str) -> bool:
        return "connected" in platform.exec(component, "python", "-c", CONNECT, address, port).stdout

    assert reaches("ranking", ADDRESS, broker)
    # The same address at another port; the address of another service; a sponsor's address inside the cluster.
    assert not reaches("ranking", ADDRESS, api)
    board = platform.cluster.get("service", f"{RELEASE}-board", NAMESPACE)["spec"]["clusterIP"]
    assert not reaches("ranking", board, "80")
    assert not reaches("notify-worker", board, "80")
    # That nothing but the policies stops them: without any, the same connections are made.
    platform.helm("upgrade", RELEASE, str(CHART), "--reuse-values", "--set=networkPolicy.enabled=false", "--timeout=5m")
    try:
        await eventually(lambda: reaches("ranking", ADDRESS, api) and reaches("ranking", board, "80"), within=60)
    finally:
        platform.helm(
            "upgrade", RELEASE, str(CHART), "--reuse-values", "--set=networkPolicy.enabled=true", "--timeout=5m"
        )
    await eventually(lambda: not reaches("ranking", ADDRESS, api), within=60)


async def test_nothing_is_lost_when_a_worker_is_out_of_memory_or_evicted_or_all_pods_are_replaced(
    platform: Installed, rng: random.Random
) -> None:
    played = await platform.competition(rng)
    stopped = asyncio.Event()

    async def submit_all_the_time() -> None:
        turn = 0
        while not stopped.is_set():
            await played.submit(played.teams[turn % 2])
            turn += 1

    submitting = asyncio.create_task(submit_all_the_time())
    try:
        await eventually(lambda: len(played.receipts) >= 5, within=120)
        await _run_out_of_memory(platform)
        before = len(played.receipts)
        await eventually(lambda: len(played.receipts) >= before + 5, within=120)
        await _evict(platform)
        before = len(played.receipts)
        await eventually(lambda: len(played.receipts) >= before + 5, within=120)
        old = {pod["metadata"]["name"] for pod in platform.cluster.list("pods", NAMESPACE)}
        await asyncio.to_thread(platform.upgrade, "settings.LOG_LEVEL=WARNING")
        new = {pod["metadata"]["name"] for pod in platform.cluster.list("pods", NAMESPACE) if _lives(pod)}
        assert len(new) >= 8
        assert not old & new, "every pod was replaced"
        before = len(played.receipts)
        await eventually(lambda: len(played.receipts) >= before + 5, within=120)
    finally:
        stopped.set()
        await submitting
        say(f"{len(played.receipts)} submissions; what clients were told meanwhile: {dict(played.refusals)}")
    ends = await played.check_promises(within=240)
    await played.close()
    say(f"ends: {dict(ends)}")
    assert ends == {"ranked": len(played.receipts)}


async def _run_out_of_memory(platform: Installed) -> None:
    """The kernel kills the worker, for its pod is at its limit: a neighbour in the same container eats what is left."""
    (pod,) = platform.pods("scoring-worker")
    name, restarts = pod["metadata"]["name"], container(pod)["restartCount"]
    # A file in memory is of no process: the kernel, which looks for the largest, finds the worker and not who eats.
    glutton = "import os\nfile = os.memfd_create('eaten')\nwhile True: os.write(file, bytes(16 << 20))"
    eating = asyncio.create_task(
        asyncio.to_thread(platform.cluster.exec, f"pod/{name}", NAMESPACE, "python", "-c", glutton)
    )

    def killed() -> bool:
        status = container(platform.cluster.get("pod", name, NAMESPACE))
        ended = status["lastState"].get("terminated", {})
        return bool(
            status["restartCount"] > restarts and ended.get("reason") == "OOMKilled" and ended.get("exitCode") == 137
        )

    await eventually(killed, within=120, every=1, what=f"{name} is killed for want of memory")
    say(f"{name}: OOMKilled; who ate ended with {(await eating).returncode}")
    await eventually(lambda: container(platform.cluster.get("pod", name, NAMESPACE))["ready"], within=120, every=1)


async def _evict(platform: Installed) -> None:
    """A node is drained: the pod is asked to go, and another comes."""
    (pod,) = platform.pods("ingest-scan")
    name = pod["metadata"]["name"]
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    address = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    platform.cluster.kubectl("create", "--raw", address, "-f", "-", objects=json.dumps(asked))

    def replaced() -> bool:
        pods = platform.pods("ingest-scan")
        return [pod["metadata"]["name"] for pod in pods] != [name] and all(_lives(pod) for pod in pods)

    await eventually(replaced, within=180, every=1)


def _lives(pod: dict[str, Any]) -> bool:
    ready = [each["ready"] for each in pod["status"].get("containerStatuses", [])]
    return "deletionTimestamp" not in pod["metadata"] and bool(ready) and all(ready)


async def test_the_pages_commands_take_an_archive_and_put_it_back(platform: Installed, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("there is no jq on this machine, which the page's commands use")
    await asyncio.to_thread(platform.helm, "test", RELEASE, "--timeout", "5m")
    backing_up = _commands("## Back up", "kubectl -n competition exec deploy/jiebang-ingest-scan")
    restoring = _commands("## Restore", "scale deployment -l app.kubernetes.io/instance=jiebang --replicas 0")
    await asyncio.to_thread(platform.shell, backing_up, tmp_path)
    with tarfile.open(tmp_path / "season.tar") as archive:
        assert len(archive.getnames()) > 10, archive.getnames()
    said = await asyncio.to_thread(platform.shell, restoring, tmp_path)
    assert re.search(r"^imported: \d+ documents", said, re.MULTILINE), said

    def up() -> bool:
        pods = platform.cluster.list("pods", NAMESPACE)
        return len([pod for pod in pods if _lives(pod)]) == 8

    await eventually(up, within=240, every=2)
    again = await asyncio.to_thread(platform.helm, "test", RELEASE, "--logs", "--timeout", "5m")
    assert "Phase:          Succeeded" in again


def _commands(heading: str, containing: str) -> str:
    """The block of commands of `docs/operations.md` under a heading that contains a text."""
    page = Path(__file__).parents[2] / "docs" / "operations.md"
    section = page.read_text("utf-8").split(f"\n{heading}\n")[1].split("\n## ")[0]
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if containing in block]
    return block
