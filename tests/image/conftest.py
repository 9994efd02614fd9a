"""The image in both variants, built once per test run out of a copy of the tree that nobody edits meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.docker.containers import Built, Containers, LacksTools, find_containers
from deploy.docker.images import VARIANTS, Base, build, find_base
from tests.image.locked import ROOT

CONTEXT = ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "jiebang", "shared", "services", "deploy/docker")


@pytest.fixture(scope="session")
def containers() -> Containers:
    """Podman or docker."""
    try:
        return find_containers()
    except LacksTools as lacking:
        pytest.skip(str(lacking))


@pytest.fixture(scope="session")
def base(containers: Containers) -> Base:
    """The official image where a registry has it, else our own base."""
    try:
        return find_base(containers)
    except LacksTools as lacking:
        pytest.skip(str(lacking))


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything that an image is built from."""
    copy = tmp_path_factory.mktemp("tree")
    for name in CONTEXT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def images(containers: Containers, base: Base, tree: Path) -> dict[str, Built]:
    """What was built, by variant. Layers of earlier builds are used where nothing of theirs has changed."""
    names = {variant: f"localhost/jiebang-tested-{variant}" for variant in VARIANTS}
    return {variant: build(containers, base, variant, context=tree, name=names[variant]) for variant in VARIANTS}
