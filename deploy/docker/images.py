"""Builds the platform's image in its variants, and writes them as archives with their bills of materials."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.docker.containers import Built, CannotBuild, Containers
from deploy.docker.debian import debian_base
from deploy.local.fetch import Say, say

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = Path("deploy/docker/Dockerfile")
VARIANTS = ("api", "engine")
OFFICIAL = "python:3.12-slim-bookworm"
"""The base that the Dockerfile names, for a machine that reaches a registry of images."""
DEBOOTSTRAP = "debootstrap"


@dataclass(frozen=True)
class Base:
    """The images that a build starts from."""

    name: str
    """What `find_base` knows the pair by."""
    runtime: str
    build: str


def find_base(containers: Containers, wanted: str | None = None, say: Say = say) -> Base:
    """The base of that name; without one the official image, or our own where no registry is reached.

    Raises:
        CannotBuild: it cannot be had.
    """
    if wanted not in (None, DEBOOTSTRAP):
        if not containers.pull(wanted):
            raise CannotBuild(f"the base {wanted} is neither on this machine nor in a registry that it reaches")
        return Base(wanted, wanted, wanted)
    if wanted is None:
        if containers.pull(OFFICIAL):
            say(f"base: {OFFICIAL}")
            return Base(OFFICIAL, OFFICIAL, OFFICIAL)
        say(f"base: no registry has {OFFICIAL} for this machine, so it is Debian's own Python over debootstrap")
    made = debian_base(say)
    identity = made.identity
    base = Base(DEBOOTSTRAP, f"localhost/jiebang-base:{identity}", f"localhost/jiebang-build-base:{identity}")
    containers.take_in(made.runtime, base.runtime)
    containers.take_in(made.build, base.build)
    return base


def version() -> str:
    """The version of the project, which is the image's tag and the chart's `appVersion`."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def name_of(variant: str) -> str:
    """What the image of a variant is called."""
    return f"localhost/jiebang-{variant}:{version()}"


def build(
    containers: Containers, base: Base, variant: str, *, context: Path = ROOT, name: str = "", fresh: bool = False
) -> Built:
    """Builds one variant out of the tree in `context`; `fresh` uses nothing of an earlier build.

    Raises:
        CannotBuild: a step failed.
    """
    name = name or name_of(variant)
    arguments = {"BASE": base.runtime, "BUILD_BASE": base.build, "VARIANT": variant, "VERSION": version()}
    containers.build(context, context / DOCKERFILE, name, arguments | _origin(context), fresh=fresh)
    return containers.look_at(name)


def archive(containers: Containers, variant: str, folder: Path, *, name: str = "") -> Path:
    """Writes a built variant as an archive that `ctr images import`, `podman load` and `docker load` take."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"jiebang-{variant}-{version()}.oci.tar"
    containers.save(name or name_of(variant), target)
    return target


def compressed_size(archive: Path) -> int | None:
    """Bytes of an archive's layers as a registry stores and a node fetches them; None where it holds them uncompressed.

    Docker archives them so.
    """
    with tarfile.open(archive) as packed:

        def read(path: str) -> Any:
            member = packed.extractfile(path)
            assert member is not None
            return json.load(member)

        if "index.json" not in packed.getnames():
            return None
        (manifest,) = read("index.json")["manifests"]
        layers = read("blobs/" + manifest["digest"].replace(":", "/"))["layers"]
        if not all(layer["mediaType"].endswith("+gzip") for layer in layers):
            return None
        return sum(int(layer["size"]) for layer in layers)


def bill_of_materials(containers: Containers, variant: str, *, name: str = "") -> str:
    """The bill of materials of a built variant, as it is in the image."""
    told = containers.run(name or name_of(variant), ["cat", "/usr/share/doc/jiebang/sbom.json"])
    if told.returncode != 0:
        raise CannotBuild(f"{name or name_of(variant)} does not run here: {told.stderr.strip()}")
    return told.stdout


def _origin(context: Path) -> dict[str, str]:
    """Which state of the tree this is, as far as git knows it."""

    def git(*words: str) -> str:
        told = subprocess.run(["git", "-C", str(context), *words], capture_output=True, text=True)
        return told.stdout.strip() if told.returncode == 0 else ""

    revision = git("rev-parse", "HEAD")
    if revision and git("status", "--porcelain", "--", "jiebang", "shared", "services", "deploy/docker", "uv.lock"):
        revision += "-modified"
    source = git("config", "--get", "remote.origin.url")
    # An address that others can use, and that holds nobody's password.
    source = source if source.startswith("https://") and "@" not in source else ""
    created = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or "0"
    return {"REVISION": revision, "SOURCE": source, "CREATED": datetime.fromtimestamp(int(created), UTC).isoformat()}
