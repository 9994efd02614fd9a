"""The programs of a test cluster, built once with Go from their pinned modules and cached.

Nothing here names a registry: Go is asked with whatever proxy the machine has configured, and each `modules/*/go.sum`
holds what it brings to what was reviewed.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.local.fetch import FetchFailed, Say, cached, run_go, say

KUBERNETES = "1.35.4"
MODULES = Path(__file__).parent / "modules"

_VERSION = "k8s.io/component-base/version"
_LINKED = f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=35"

# Each program with the folder of `modules/` that pins it, and its package.
CONTROL_PLANE = {
    "etcd": ("etcd", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kube-scheduler": ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    # Plays the kubelet of nodes that run nothing.
    "kwok": ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
}
NODE = {
    "kubelet": ("kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    "kube-proxy": ("kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    # Names of services, and policies of networks.
    "coredns": ("coredns", "github.com/coredns/coredns"),
    "kube-router": ("kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
    "pause": ("pause", "jiebang/pause"),
}
# What a node and a pod do by themselves where nothing runs, as kwok's module ships it.
STAGES = "stages.yaml"
_STAGE_FILES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


def find_go() -> str | None:
    """The Go of this machine, or None."""
    return shutil.which("go")


def find_control_plane(say: Say = say) -> Path:
    """The folder with the programs of `CONTROL_PLANE`, and with `STAGES` for kwok.

    Raises:
        FetchFailed: there is no Go, or it could not build one of them.
    """

    def write_stages(go: str, folder: Path) -> None:
        module = Path(run_go([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], MODULES / "kwok").strip())
        stages = [(module / "kustomize" / "stage" / file).read_text("utf-8") for file in _STAGE_FILES]
        (folder / STAGES).write_text("\n---\n".join(stages), "utf-8")

    return _built("control-plane", CONTROL_PLANE, say, [STAGES], write_stages)


def find_node(say: Say = say) -> Path:
    """The folder with the programs of `NODE`.

    Raises:
        FetchFailed: there is no Go, or it could not build one of them.
    """
    return _built("node", NODE, say)


def _built(
    name: str,
    programs: Mapping[str, tuple[str, str]],
    say: Say,
    more: Sequence[str] = (),
    make_more: Callable[[str, Path], None] = lambda go, folder: None,
) -> Path:
    go = find_go()
    if go is None:
        raise FetchFailed(
            f"Kubernetes: there is no Go on this machine to build {', '.join(programs)} with. Install Go 1.26 or later"
        )

    def build(folder: Path) -> None:
        started = time.monotonic()
        for number, (program, (module, package)) in enumerate(programs.items(), start=1):
            say(f"Kubernetes {KUBERNETES}: building {program} with Go ({number} of {len(programs)}; minutes, once)")
            linked = ["-buildvcs=false", "-mod=readonly", "-ldflags", _LINKED]
            run_go([go, "build", *linked, "-o", str(folder / program), package], MODULES / module, CGO_ENABLED="0")
        make_more(go, folder)
        say(f"Kubernetes {KUBERNETES}: built ({time.monotonic() - started:.0f} s)")

    pinned = hashlib.sha256(b"".join((MODULES / module / "go.sum").read_bytes() for module, _ in programs.values()))
    entry = f"kubernetes-{KUBERNETES}-{name}-{pinned.hexdigest()[:8]}"
    return cached(entry, build, lambda folder: all((folder / file).is_file() for file in [*programs, *more]), say)
