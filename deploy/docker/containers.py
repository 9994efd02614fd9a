"""The program that builds and runs images on this machine: podman with a store of our own, or docker."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from deploy.local.fetch import cache_folder

# Every file of a layer has one time, and that of no build: what did not change keeps its digest.
LAYER_TIME = 315532800  # 1980-01-01, the first that zip can tell
AUTHORITIES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))


# About twenty builds of both variants; a build whose dependencies are others keeps about 1 GB.
_MOST_REMNANTS = 100


class CannotBuild(Exception):
    """An image cannot be built; the message says why and what to do."""


class LacksTools(CannotBuild):
    """This machine has not what an image is built with: podman or docker, or debootstrap and root."""


@dataclass(frozen=True)
class Built:
    """An image in a store."""

    name: str
    layers: tuple[str, ...]
    """SHA-256 of each layer's uncompressed bytes, from the base upwards."""
    size: int
    """Bytes, uncompressed."""
    settings: Mapping[str, Any]
    """What it says of itself: `User`, `Labels`, `Env`, `StopSignal`, …"""


class Containers(Protocol):
    """What builds images and runs them."""

    def pull(self, name: str) -> bool:
        """Whether an image is in the store, or could be fetched from its registry."""

    def take_in(self, rootfs: Path, name: str) -> None:
        """Makes an image of one layer out of a tar archive of a root file system, unless it is there."""

    def build(self, context: Path, dockerfile: Path, name: str, arguments: dict[str, str], *, fresh: bool) -> None:
        """Builds an image; `fresh` uses no layer of an earlier build.

        Raises:
            CannotBuild: a step failed; with its last words.
        """

    def look_at(self, name: str) -> Built:
        """What an image in the store consists of."""

    def save(self, name: str, archive: Path) -> None:
        """Writes an image as an archive in the form of the Open Container Initiative."""

    def run(self, name: str, command: Sequence[str], options: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs a command in a new container without network, which is removed afterwards."""


def find_containers() -> Containers:
    """Podman, else docker.

    Raises:
        LacksTools: there is neither, or none that answers.
    """
    if podman := shutil.which("podman"):
        return Podman(cache_folder() / ("images" if os.geteuid() == 0 else "images-rootless"), podman)
    if docker := shutil.which("docker"):
        answer = subprocess.run([docker, "info"], capture_output=True, text=True)
        if answer.returncode == 0:
            return Docker(docker)
        raise LacksTools(f"there is docker, but its daemon does not answer:\n{answer.stderr.strip()}")
    raise LacksTools("building an image needs podman or docker; Debian's package is called podman")


def _finish(command: Sequence[str], environment: dict[str, str], what: str) -> str:
    finished = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip().splitlines()
        raise CannotBuild(f"{what} failed:\n" + "\n".join(f"    {line}" for line in said[-25:]))
    return finished.stdout


def _built(name: str, described: str) -> Built:
    (image,) = json.loads(described)
    return Built(name, tuple(image["RootFS"]["Layers"]), image["Size"], image["Config"])


def _build_arguments(dockerfile: Path, name: str, arguments: dict[str, str], fresh: bool) -> list[str]:
    words = ["--file", str(dockerfile), "--tag", name, "--network", "host"]
    for argument, value in arguments.items():
        words += ["--build-arg", f"{argument}={value}"]
    for authorities in AUTHORITIES:
        if authorities.is_file():
            words += ["--secret", f"id=certificates,src={authorities}"]
            break
    return [*words, "--no-cache"] if fresh else words


class Podman:
    """Podman over a folder of its own: the user's images are neither seen nor touched.

    Another podman given `environment` works on the same store.
    """

    def __init__(self, folder: Path, program: str = "podman") -> None:
        self._program = program
        self._folder = folder
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        # Left to itself, podman asks for more than an unprivileged machine gives.
        limits = [
            f"{name}={_at_most(most, limit)}:{_at_most(most, limit)}"
            for name, most, limit in (("nofile", 1024, resource.RLIMIT_NOFILE), ("nproc", 4096, resource.RLIMIT_NPROC))
        ]
        engine = {
            "cgroup_manager": "cgroupfs",
            "events_logger": "none",
            # Locks in shared memory would be shared with the user's own podman.
            "lock_type": "file",
            "static_dir": str(folder / "store" / "libpod"),
            "tmp_dir": str(folder / "run" / "libpod"),
            "volume_path": str(folder / "store" / "volumes"),
        }
        if not shutil.which("crun"):
            engine["runtime"] = "runc"
        storage = {
            "storage": {"driver": "overlay", "graphroot": str(folder / "store"), "runroot": str(folder / "run")},
            # Otherwise the store would stay mounted on itself when podman has ended.
            "storage.options.overlay": {"skip_mount_home": "true"},
        }
        _write(folder / "containers.conf", {"containers": {"default_ulimits": limits}, "engine": engine})
        _write(folder / "storage.conf", storage)
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "TMPDIR": str(temporary),
        }

    def _do(self, *words: str, what: str) -> str:
        return _finish([self._program, *words], self.environment, what)

    def _has(self, name: str) -> bool:
        known = subprocess.run([self._program, "image", "exists", name], env=self.environment)
        return known.returncode == 0

    def pull(self, name: str) -> bool:
        """Whether an image is in the store, or could be fetched from its registry."""
        if self._has(name):
            return True
        fetched = subprocess.run([self._program, "pull", "--quiet", name], env=self.environment, capture_output=True)
        return fetched.returncode == 0

    def take_in(self, rootfs: Path, name: str) -> None:
        """Makes an image of one layer out of a tar archive of a root file system, unless it is there."""
        if not self._has(name):
            self._do("import", "--quiet", str(rootfs), name, what=f"taking in {rootfs.name}")

    def build(self, context: Path, dockerfile: Path, name: str, arguments: dict[str, str], *, fresh: bool) -> None:
        """Builds an image; `fresh` uses no layer of an earlier build."""
        words = ["build", *_build_arguments(dockerfile, name, arguments, fresh), "--layers", "--force-rm"]
        words += ["--isolation", "oci", "--timestamp", str(LAYER_TIME), "--ignorefile", f"{dockerfile}.dockerignore"]
        with open(self._folder / "builds.lock", "w") as lock:
            self._forget_earlier_builds(lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._do(*words, str(context), what=f"building {name}")

    def _forget_earlier_builds(self, lock: TextIO) -> None:
        """Removes what earlier builds left for later ones to use, when it is much and no build is using it."""
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = self._do("images", "--quiet", "--filter", "dangling=true", what="looking for earlier builds")
            if len(left.split()) > _MOST_REMNANTS:
                self._do("image", "prune", "--force", what="forgetting earlier builds")

    def look_at(self, name: str) -> Built:
        """What an image in the store consists of."""
        return _built(name, self._do("image", "inspect", name, what=f"looking at {name}"))

    def save(self, name: str, archive: Path) -> None:
        """Writes an image as an archive in the form of the Open Container Initiative, its layers compressed."""
        archive.unlink(missing_ok=True)
        self._do("save", "--quiet", "--format", "oci-archive", "--output", str(archive), name, what=f"saving {name}")

    def run(self, name: str, command: Sequence[str], options: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs a command in a new container without network, which is removed afterwards."""
        words = [self._program, "run", "--rm", "--network", "none", "--read-only-tmpfs=false", *options, name, *command]
        return subprocess.run(words, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


class Docker:
    """Docker with its own store, through BuildKit."""

    def __init__(self, program: str) -> None:
        self._program = program
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "1", "SOURCE_DATE_EPOCH": str(LAYER_TIME)}

    def _do(self, *words: str, what: str) -> str:
        return _finish([self._program, *words], self.environment, what)

    def pull(self, name: str) -> bool:
        """Whether an image is in the store, or could be fetched from its registry."""
        known = [self._program, "image", "inspect", name], [self._program, "pull", "--quiet", name]
        return any(subprocess.run(words, capture_output=True).returncode == 0 for words in known)

    def take_in(self, rootfs: Path, name: str) -> None:
        """Makes an image of one layer out of a tar archive of a root file system, unless it is there."""
        if subprocess.run([self._program, "image", "inspect", name], capture_output=True).returncode != 0:
            self._do("import", str(rootfs), name, what=f"taking in {rootfs.name}")

    def build(self, context: Path, dockerfile: Path, name: str, arguments: dict[str, str], *, fresh: bool) -> None:
        """Builds an image; `fresh` uses no layer of an earlier build."""
        self._do("build", *_build_arguments(dockerfile, name, arguments, fresh), str(context), what=f"building {name}")

    def look_at(self, name: str) -> Built:
        """What an image in the store consists of."""
        return _built(name, self._do("image", "inspect", name, what=f"looking at {name}"))

    def save(self, name: str, archive: Path) -> None:
        """Writes an image as an archive in the form of the Open Container Initiative."""
        self._do("save", "--output", str(archive), name, what=f"saving {name}")

    def run(self, name: str, command: Sequence[str], options: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs a command in a new container without network, which is removed afterwards."""
        words = [self._program, "run", "--rm", "--network", "none", *options, name, *command]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _at_most(most: int, limit: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def _write(path: Path, sections: Mapping[str, Mapping[str, str | list[str]]]) -> None:
    """Writes settings in TOML, of strings and lists of strings, by one rename."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    written = path.with_name(f"{path.name}.{os.getpid()}")
    written.write_text("\n".join(lines) + "\n", "utf-8")
    written.replace(path)
