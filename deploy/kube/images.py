"""Images of single programs for a node that reaches no registry: what holds a pod, and what resolves names."""

from __future__ import annotations

from pathlib import Path

from deploy.docker.containers import Containers
from deploy.kube.node import PAUSE

COREDNS = "localhost/jiebang-coredns:1"


def archives(containers: Containers, programs: Path, folder: Path) -> list[Path]:
    """Archives of both, of the programs that `find_node` built.

    Raises:
        CannotBuild: a step failed.
    """
    return [
        _archive(containers, programs / "pause", PAUSE, folder),
        _archive(containers, programs / "coredns", COREDNS, folder),
    ]


def _archive(containers: Containers, program: Path, name: str, folder: Path) -> Path:
    context = folder / program.name
    context.mkdir(parents=True)
    (context / program.name).hardlink_to(program)
    recipe = context / "Dockerfile"
    recipe.write_text(f'FROM scratch\nCOPY {program.name} /{program.name}\nENTRYPOINT ["/{program.name}"]\n')
    (context / "Dockerfile.dockerignore").write_text("")
    containers.build(context, recipe, name, {}, fresh=False)
    archive = folder / f"{program.name}.oci.tar"
    containers.save(name, archive)
    return archive
