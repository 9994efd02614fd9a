"""A base for machines that reach no registry of images: Debian with its Python, made by debootstrap."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.docker.containers import LAYER_TIME, CannotBuild, LacksTools
from deploy.local.fetch import Say, cached, say

SUITE = "bookworm"
PACKAGES = "python3,ca-certificates,tzdata"
# What `python3 -m venv` needs: in the build's base, and not in the image's.
BUILD_PACKAGES = ("python3-venv",)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What belongs to the making of the system and not to it; Debian's own slim images leave the same out.
_SLIM = r"""
apt-get -qq clean
rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/* /run/* /etc/machine-id /etc/resolv.conf /etc/hostname
rm -f /var/lib/dpkg/*-old /etc/*- /etc/apt/sources.list.d/machine.list /etc/.pwd.lock
find /usr/share/doc -mindepth 1 ! -name copyright ! -type d -delete
find /usr/share/doc -type d -empty -delete
rm -rf /usr/share/man /usr/share/info /usr/share/locale
find / -xdev -type f -perm /6000 -exec chmod a-s {} +
find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.11
"""


@dataclass(frozen=True)
class DebianBase:
    """Two root file systems as tar archives."""

    runtime: Path
    build: Path
    identity: str
    """What tells this pair from another."""


def debian_base(say: Say = say) -> DebianBase:
    """The base, made once and kept in the cache.

    Raises:
        LacksTools: debootstrap or root is missing.
        CannotBuild: making it failed.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]

    def build(folder: Path) -> None:
        program = shutil.which("debootstrap")
        if program is None or os.geteuid() != 0:
            raise LacksTools(
                "a base of our own needs debootstrap (Debian's package of that name) and root; or name a base that "
                "this machine has, in OPTIONS='--base NAME'"
            )
        say(f"Debian: making {SUITE} with its Python by debootstrap (about two minutes, once)")
        root = folder / "root"
        try:
            _bootstrap(program, root)
            _chroot(root, f"apt-get -qq install --yes --no-install-recommends {' '.join(BUILD_PACKAGES)}")
            _pack(root, folder / "build.tar")
            _chroot(root, f"apt-get -qq purge --yes --autoremove {' '.join(BUILD_PACKAGES)}")
            _chroot(root, _SLIM)
            _pack(root, folder / "runtime.tar")
        finally:
            shutil.rmtree(root, ignore_errors=True)

    folder = cached(f"debian-{SUITE}-{recipe}", build, lambda entry: (entry / "runtime.tar").is_file(), say)
    with open(folder / "runtime.tar", "rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    return DebianBase(folder / "runtime.tar", folder / "build.tar", f"{SUITE}-{digest[:12]}")


def _bootstrap(program: str, root: Path) -> None:
    """A minimal system in `root` with today's security updates, from the mirrors of this machine where it is Debian."""
    mirrors = _mirrors()
    command = [program, "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
    _run([*command, mirrors.pop(SUITE)] if SUITE in mirrors else command, "debootstrap")
    # Without them only what the suite itself holds is installed: a point release, which is weeks old at most.
    lines = [f"deb {mirror} {suite} main\n" for suite, mirror in mirrors.items()]
    (root / "etc/apt/sources.list.d/machine.list").write_text("".join(lines))
    _chroot(root, "apt-get -qq update && apt-get -qq dist-upgrade --yes")


def _mirrors() -> dict[str, str]:
    """Where this machine has the suite and its updates from, by the name of the suite; empty where it has them not."""
    listing = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI) $(COMPONENT)", "Created-By: Packages"]
    if shutil.which("apt-get") is None:
        return {}
    known = subprocess.run(listing, capture_output=True, text=True)
    rows = [line.split() for line in known.stdout.splitlines()]
    suites = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[0] in suites and row[2] == "main"}


def _pack(root: Path, archive: Path) -> None:
    words = ["tar", "--create", "--file", str(archive), "--directory", str(root), "--one-file-system"]
    words += ["--sort=name", "--numeric-owner", "--xattrs", f"--mtime=@{LAYER_TIME}", "--format=posix"]
    _run([*words, "--pax-option=delete=atime,delete=ctime", "."], f"packing {archive.name}")


def _chroot(root: Path, script: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    _run(["chroot", str(root), "sh", "-euc", script], "preparing the base", environment)


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    finished = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if finished.returncode != 0:
        tail = "\n".join(f"    {line}" for line in finished.stdout.strip().splitlines()[-15:])
        raise CannotBuild(f"{what} failed:\n{tail}")
