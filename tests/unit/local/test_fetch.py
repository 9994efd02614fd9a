"""The cache of fetched programs: pinned, whole or absent."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import fetch

JARS = {"org/a/1/a-1.jar": b"first jar", "org/b/2/b-2.jar": b"second jar"}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no program on PATH, an empty home and an empty cache, and two jars pinned."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    lines = (f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in JARS.items())
    (runtime / "kafka-jars.sha256").write_text("".join(lines))
    monkeypatch.setattr(fetch, "RUNTIME", runtime)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JIEBANG_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("JIEBANG_MAVEN_REPOSITORY", raising=False)
    return tmp_path


@pytest.fixture
def repository(machine: Path) -> Iterator[str]:
    """The address of a Maven repository that holds the pinned jars."""
    for path, content in JARS.items():
        jar = machine / "repository" / path
        jar.parent.mkdir(parents=True)
        jar.write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=machine / "repository")) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def leftovers(machine: Path) -> list[str]:
    return [entry.name for entry in (machine / "cache").iterdir() if "partial" in entry.name]


def test_without_maven_the_pinned_jars_come_from_the_repository_that_is_set(
    machine: Path, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIEBANG_MAVEN_REPOSITORY", repository + "/")
    said: list[str] = []
    folder = fetch.fetch_kafka(said.append)
    assert {jar.name: jar.read_bytes() for jar in folder.iterdir()} == {
        "a-1.jar": b"first jar",
        "b-2.jar": b"second jar",
    }
    assert any("2 jars verified" in line for line in said)
    said.clear()
    assert fetch.fetch_kafka(said.append) == folder
    assert said == []


def test_without_maven_the_mirror_of_its_settings_is_used(machine: Path, repository: str) -> None:
    settings = machine / "home" / ".m2" / "settings.xml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        textwrap.dedent(
            f"""\
            <settings xmlns="urn:maven:settings"><mirrors>
              <mirror><id>no</id><mirrorOf>*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror>
              <mirror><id>yes</id><mirrorOf>central</mirrorOf><url>{repository}</url></mirror>
            </mirrors></settings>
            """
        )
    )
    assert (fetch.fetch_kafka(lambda line: None) / "a-1.jar").read_bytes() == b"first jar"


def test_without_maven_and_repository_it_says_what_to_install(machine: Path) -> None:
    with pytest.raises(fetch.FetchFailed, match=r"Install Maven.*JIEBANG_KAFKA_BOOTSTRAP"):
        fetch.fetch_kafka(lambda line: None)
    assert leftovers(machine) == []


def test_with_maven_a_jar_that_is_not_the_pinned_one_is_refused(machine: Path) -> None:
    maven = machine / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        '#!/bin/sh\nfor word; do case "$word" in -DoutputDirectory=*) out="${word#*=}";; esac; done\n'
        'printf "first jar" > "$out/a-1.jar"; printf "another jar" > "$out/b-2.jar"\n'
    )
    maven.chmod(0o755)
    with pytest.raises(fetch.FetchFailed, match=r"b-2\.jar does not have its pinned SHA-256"):
        fetch.fetch_kafka(lambda line: None)
    assert leftovers(machine) == []
    assert [entry for entry in (machine / "cache").iterdir() if entry.is_dir()] == []


def test_a_failing_maven_is_reported_with_its_last_words(machine: Path) -> None:
    maven = machine / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho no route to the mirror\nexit 1\n")
    maven.chmod(0o755)
    with pytest.raises(fetch.FetchFailed, match="no route to the mirror"):
        fetch.fetch_kafka(lambda line: None)


def test_a_damaged_jar_in_the_cache_is_fetched_again(
    machine: Path, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIEBANG_MAVEN_REPOSITORY", repository)
    folder = fetch.fetch_kafka(lambda line: None)
    (folder / "a-1.jar").write_bytes(b"first ja")
    assert (fetch.fetch_kafka(lambda line: None) / "a-1.jar").read_bytes() == b"first jar"


FETCH_SLOWLY = """
import sys, time
from pathlib import Path
from deploy.local import fetch
def build(folder):
    (folder / "half").write_text("x")
    print("building", flush=True)
    sys.stdin.readline()
    (folder / "whole").write_text("x")
entry = fetch.cached("thing", build, lambda folder: (folder / "whole").exists(), lambda line: print(line, flush=True))
print("done", sorted(file.name for file in entry.iterdir()), flush=True)
"""


def start_slow_fetch() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH_SLOWLY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )


def test_a_fetch_killed_midway_leaves_nothing_that_passes_for_whole(machine: Path) -> None:
    killed = start_slow_fetch()
    assert killed.stdout is not None
    assert killed.stdout.readline() == "building\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(leftovers(machine)) == 1
    assert not (machine / "cache" / "thing").exists()

    after = start_slow_fetch()
    output, _ = after.communicate("go\n")
    assert output == "building\ndone ['half', 'whole']\n"
    assert leftovers(machine) == []


def test_two_fetches_at_once_fetch_once(machine: Path) -> None:
    first = start_slow_fetch()
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = start_slow_fetch()
    assert second.stdout is not None
    assert second.stdout.readline() == "thing: another process is fetching it, waiting\n"
    first_output, _ = first.communicate("go\n")
    second_output, _ = second.communicate("go\n")
    assert first_output == second_output == "done ['half', 'whole']\n"


def test_an_old_java_is_not_taken(machine: Path) -> None:
    java = machine / "bin" / "java"
    java.parent.mkdir()
    for words, version in (
        ('openjdk version "11.0.2"', 11),
        ('java version "1.8.0_311"', 8),
        ('openjdk version "21"', 21),
    ):
        java.write_text(f"#!/bin/sh\necho '{words}' >&2\n")
        java.chmod(0o755)
        assert fetch.java_version(java) == version
    assert fetch.find_java(lambda line: None) == java
    assert fetch.java_version(machine / "bin" / "absent") is None
