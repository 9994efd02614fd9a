"""Real children, really confined: whatever they do, the worker gets an outcome and the next job runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jiebang.sandbox import ForkServer, Job, Outcome, OutcomeStatus, read_output
from jiebang.sandbox.outcome import HostileOutput

HOSTILE = "tests.unit.sandbox.hostile"
MEGABYTE = 1_000_000

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer(HOSTILE) as server:
        yield server


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.fixture
def run(server: ForkServer, tmp_path: Path, output: Path) -> Run:
    dataset = tmp_path / "data.csv"
    dataset.write_text("a\n1\n")

    def run(
        kind: str,
        wall_seconds: float = 30,
        memory_bytes: int = 1000 * MEGABYTE,
        disk_bytes: int = 50 * MEGABYTE,
        heartbeat: Callable[[], None] | None = None,
        **arguments: object,
    ) -> Outcome:
        return server.run(
            Job(kind, dataset, output, arguments),
            wall_seconds=wall_seconds,
            memory_bytes=memory_bytes,
            disk_bytes=disk_bytes,
            heartbeat=heartbeat,
        )

    return run


@pytest.fixture(autouse=True)
def the_next_job_runs_and_no_orphan_remains(server: ForkServer, tmp_path: Path) -> Iterator[None]:
    yield
    again = tmp_path / "again"
    again.mkdir()
    dataset = tmp_path / "next.csv"
    dataset.write_text("next")
    outcome = server.run(Job("answer", dataset, again), wall_seconds=30, memory_bytes=1000 * MEGABYTE)
    assert outcome.result["text"] == "next"
    assert server.pid is not None
    assert children_of(server.pid) == []


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited 20 s until {what}"
        time.sleep(0.01)


def test_a_job_reads_its_dataset_and_answers(run: Run) -> None:
    outcome = run("answer", number=1)
    assert outcome.status is OutcomeStatus.DONE
    assert outcome.result == {"text": "a\n1\n", "echo": {"number": 1}}
    assert outcome.cpu_seconds > 0
    assert outcome.peak_bytes > MEGABYTE


def test_a_child_inherits_neither_files_nor_environment(run: Run, output: Path) -> None:
    outcome = run("look_around")
    assert outcome.result == {
        "environment": {},
        "open_files": [0, 1, 2],
        "where": str(output),
        "own_group": True,
    }


def test_a_refusal_carries_its_code_and_what_to_do(run: Run) -> None:
    outcome = run("refuse")
    assert outcome.status is OutcomeStatus.REFUSED
    assert outcome.result["code"] == "not_a_dataset"
    assert outcome.result["path"] == "x"


def test_a_failure_says_where_and_not_what_the_data_held(run: Run) -> None:
    outcome = run("fail")
    assert outcome.status is OutcomeStatus.CRASHED
    assert "RuntimeError" in outcome.detail
    assert "hostile.py" in outcome.detail
    assert "13800138000" not in outcome.detail


def test_an_endless_loop_is_stopped_by_the_clock(run: Run) -> None:
    outcome = run("loop", wall_seconds=0.5)
    assert outcome.status is OutcomeStatus.KILLED_TIME
    assert outcome.cpu_seconds > 0


@pytest.mark.parametrize("task", ["eat_memory", "eat_shared_memory"])
def test_a_memory_eater_is_killed_near_its_limit(run: Run, task: str) -> None:
    outcome = run(task, memory_bytes=400 * MEGABYTE)
    assert outcome.status is OutcomeStatus.KILLED_MEMORY
    assert 300 * MEGABYTE < outcome.peak_bytes < 1500 * MEGABYTE


def test_asking_for_absurd_memory_fails_at_once(run: Run) -> None:
    assert run("ask_for_the_absurd").status is OutcomeStatus.KILLED_MEMORY


@pytest.mark.parametrize("task", ["write_one_large_file", "write_many_files"])
def test_a_writer_of_bombs_is_refused_at_the_limit_on_disk(run: Run, output: Path, task: str) -> None:
    outcome = run(task, disk_bytes=50 * MEGABYTE)
    assert outcome.status is OutcomeStatus.REFUSED
    assert outcome.result["code"] == "expands_too_far"
    written = [file.stat().st_size for file in output.glob("bomb*")]
    assert sum(written) >= 49 * MEGABYTE
    assert max(written) <= 50 * MEGABYTE


def test_files_without_a_name_count_too(run: Run) -> None:
    outcome = run("write_nameless_files", disk_bytes=50 * MEGABYTE)
    assert outcome.status is OutcomeStatus.REFUSED
    assert outcome.result["code"] == "expands_too_far"


@pytest.mark.parametrize("stay", [False, True])
def test_a_tree_deeper_than_any_path_harms_nobody_and_is_gone_afterwards(run: Run, output: Path, stay: bool) -> None:
    outcome = run("dig", levels=1200, stay=stay, wall_seconds=5 if stay else 60)
    assert outcome.status is (OutcomeStatus.KILLED_TIME if stay else OutcomeStatus.DONE)
    assert [entry.name for entry in output.iterdir() if entry.is_dir()] == []


def test_a_fork_bomb_never_starts(run: Run) -> None:
    outcome = run("fork_bomb")
    assert outcome.status is OutcomeStatus.DONE
    assert outcome.result == {"refused": 1000}


@pytest.mark.parametrize("task", ["open_a_socket", "run_a_program"])
def test_sockets_and_programs_are_refused(run: Run, task: str) -> None:
    outcome = run(task)
    assert outcome.status is OutcomeStatus.CRASHED
    assert "PermissionError" in outcome.detail


def test_a_foreign_file_cannot_be_read(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    outcome = run("read_a_foreign_file", path=str(secret))
    assert outcome.status is OutcomeStatus.CRASHED
    assert "PermissionError" in outcome.detail


def test_a_child_cannot_kill_the_worker(run: Run) -> None:
    outcome = run("signal_the_worker", pid=os.getpid())
    assert outcome.status is OutcomeStatus.CRASHED
    assert "PermissionError" in outcome.detail


def test_a_segmentation_fault_is_a_crash_with_its_signal(run: Run) -> None:
    outcome = run("crash_hard")
    assert outcome.status is OutcomeStatus.CRASHED
    assert "SIGSEGV" in outcome.detail


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\xff"}', '{"a": ' + "9" * 10_000 + "}"],
)
def test_a_result_of_an_attackers_making_is_not_believed(run: Run, content: str) -> None:
    outcome = run("leave", content=content)
    assert outcome.status is OutcomeStatus.CRASHED
    assert outcome.result == {}
    assert "not acceptable" in outcome.detail


@pytest.mark.parametrize(("task", "why"), [("leave_depth", "deeper than 32"), ("leave_size", "larger than")])
def test_a_result_too_deep_or_too_large_is_not_parsed(run: Run, task: str, why: str) -> None:
    outcome = run(task)
    assert outcome.status is OutcomeStatus.CRASHED
    assert why in outcome.detail


def test_only_plain_files_are_read_from_the_output(output: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (output / "link").symlink_to(secret)
    os.mkfifo(output / "pipe")
    os.link(secret, output / "hard")
    (output / "plain").write_text("fine")
    assert read_output(output, "plain", limit=10) == b"fine"
    assert read_output(output, "absent", limit=10) is None
    for name in ("link", "pipe", "hard"):
        with pytest.raises(HostileOutput):
            read_output(output, name, limit=10)
    with pytest.raises(ValueError, match="plain file name"):
        read_output(output, "../secret", limit=10)


def run_in_a_thread(run: Run, output: Path, server: ForkServer, outcomes: list[Outcome]) -> threading.Thread:
    thread = threading.Thread(target=lambda: outcomes.append(run("wait", wall_seconds=60)))
    thread.start()
    wait_until((output / "waiting").exists, "the child runs")
    assert server.child is not None
    return thread


def test_a_child_killed_from_outside_is_a_crash(run: Run, server: ForkServer, output: Path) -> None:
    outcomes: list[Outcome] = []
    thread = run_in_a_thread(run, output, server, outcomes)
    child = server.child
    assert child is not None
    os.kill(child, signal.SIGKILL)
    thread.join()
    assert outcomes[0].status is OutcomeStatus.CRASHED
    assert "SIGKILL" in outcomes[0].detail


def test_a_lost_fork_server_takes_its_child_along_and_comes_back(run: Run, server: ForkServer, output: Path) -> None:
    outcomes: list[Outcome] = []
    thread = run_in_a_thread(run, output, server, outcomes)
    child, pid = server.child, server.pid
    assert child is not None
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert outcomes[0].status is OutcomeStatus.CRASHED
    wait_until(lambda: not is_alive(child), "the child is gone")


class LeaseLost(Exception):
    pass


def test_a_heartbeat_that_raises_stops_the_child(run: Run, server: ForkServer) -> None:
    seen: list[int] = []

    def heartbeat() -> None:
        assert server.child is not None
        seen.append(server.child)
        raise LeaseLost

    with pytest.raises(LeaseLost):
        run("wait", heartbeat=heartbeat)
    wait_until(lambda: not is_alive(seen[0]), "the child is gone")


WORKER = """
import sys, threading, time
from pathlib import Path
from jiebang.sandbox import ForkServer, Job
output = Path(sys.argv[1])
server = ForkServer("tests.unit.sandbox.hostile")
def beat():
    (output / "pids").write_text(f"{server.pid} {server.child}")
# From a thread, as an asyncio worker does.
thread = threading.Thread(
    target=lambda: server.run(Job("wait", output, output), wall_seconds=60, memory_bytes=10**9, heartbeat=beat)
)
thread.start()
thread.join()
"""


def test_a_killed_worker_leaves_neither_server_nor_child(output: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(output)], cwd=Path(__file__).parents[3])
    try:
        wait_until(lambda: (output / "pids").exists() and bool((output / "pids").read_text()), "the child runs")
        server, child = map(int, (output / "pids").read_text().split())
        assert is_alive(server)
        assert is_alive(child)
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: not is_alive(child), "the child is gone")
    wait_until(lambda: not is_alive(server), "the server is gone")
