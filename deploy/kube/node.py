"""A real node: containerd, runc and a kubelet inside namespaces of their own, which all end with one process.

The node has a network, a process table and mounts of its own, and one address that this machine reaches it at. It needs
root, Debian's containerd, runc and containernetworking-plugins, and iptables.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import yaml

from deploy.kube.cluster import Refused
from deploy.kube.control_plane import PODS, SERVICES, ControlPlane
from deploy.local.process import Process, StartFailed

NAME = "node-0"
ADDRESS = "10.240.0.1"
"""The node's own address, where its API server, and what a test puts beside the pods, listen."""
VISITOR = "10.240.0.2"
"""The address that this machine has towards the node."""
RESOLVER = "10.96.0.10"
PAUSE = "localhost/jiebang-pause:1"
PLUGINS = Path("/usr/lib/cni")

# The kubelet wants the kernel so, and shall not change the machine's: it sees files of ours in their place.
_KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def missing() -> str:
    """What this machine lacks to run a node, or nothing."""
    if os.geteuid() != 0:
        return "root"
    programs = ("containerd", "ctr", "runc", "iptables", "ip", "nsenter", "unshare", "conntrack")
    lacking = [program for program in programs if shutil.which(program, path=_PATH) is None]
    if not (PLUGINS / "bridge").is_file():
        lacking.append("containernetworking-plugins")
    return ", ".join(lacking)


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Node:
    """The namespaces of a node, and what runs in them."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._init = Process(
            "the node's first process",
            # Whatever happens to this process, the kernel ends every process of the node.
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sleep", "infinity"],
            log=folder / "logs" / "init.log",
        )
        self._processes: list[Process] = []

    @property
    def on_its_network(self) -> tuple[str, ...]:
        """What is put before a command that listens on the node and is a process of this machine otherwise."""
        return ("nsenter", f"--target={self._first}", "--net", "--")

    @property
    def enter(self) -> tuple[str, ...]:
        """What is put before a command so that it runs on the node."""
        return ("nsenter", f"--target={self._first}", "--net", "--mount", "--pid", "--")

    @property
    def _first(self) -> int:
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()
        return int(children[0])

    @property
    def _groups(self) -> list[Path]:
        """The control groups under which all pods are: one, or with the kernel's first version one of each kind."""
        root = Path("/sys/fs/cgroup")
        roots = [root] if (root / "cgroup.controllers").exists() else [each.parent for each in root.glob("*/tasks")]
        return [each / f"jiebang-{self._init.pid}" for each in roots]

    def _groups_made(self) -> set[Path]:
        """The same, and with both versions in use that which the runtime made in the second, too."""
        return {*self._groups, *Path("/sys/fs/cgroup").glob(f"*/{self._groups[0].name}")}

    @property
    def _socket(self) -> Path:
        return self.folder / "containerd.sock"

    async def open(self) -> None:
        """Makes the namespaces, their network and the address in them.

        Raises:
            StartFailed: this machine cannot.
        """
        if lacking := missing():
            raise StartFailed(f"A node needs {lacking} on this machine")
        if VISITOR in self._do("ip", "-brief", "address"):
            raise StartFailed(f"Another node runs on this machine: {VISITOR} is taken")
        self._init.start()
        deadline = time.monotonic() + 10
        while not self._children():
            if not self._init.running or time.monotonic() > deadline:
                raise self._init.failed("made no namespaces")
            await asyncio.sleep(0.02)
        outside = f"jb{self._init.pid}"[:15]
        self._do("ip", "link", "add", outside, "type", "veth", "peer", "name", "node0", "netns", str(self._first))
        self._do("ip", "addr", "add", f"{VISITOR}/29", "dev", outside)
        self._do("ip", "link", "set", outside, "up")
        for words in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "addr", "add", f"{ADDRESS}/29", "dev", "node0"),
            ("ip", "link", "set", "node0", "up"),
            # Of packets with no other way; kube-proxy and the bridge turn those to services and pods before.
            ("ip", "route", "add", "default", "via", VISITOR),
            ("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"),
        ):
            self.do(*words)
        for network in (PODS, SERVICES):
            self._do("ip", "route", "replace", network, "via", ADDRESS)
        for setting, value in _KERNEL.items():
            file = self.folder / "kernel" / setting.replace("/", "_")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{value}\n")
            self.do("mount", "--bind", str(file), f"/proc/sys/{setting}")

    def _children(self) -> list[str]:
        return Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()

    async def start(self, control_plane: ControlPlane) -> None:
        """Starts the container runtime, the kubelet and what makes services and policies work, until the node is ready.

        Raises:
            StartFailed: with the last lines of the log of what did not come up.
        """
        self._write_settings(control_plane)
        for group in self._groups:
            group.mkdir()
        containerd = self._start("containerd", "containerd", "--config", self.folder / "containerd.toml")
        await self._until(containerd, self._runtime_answers)
        kubelet = self._start(
            "kubelet",
            self._programs / "kubelet",
            f"--config={self.folder / 'kubelet.yaml'}",
            f"--kubeconfig={control_plane.kubeconfig('node')}",
            f"--hostname-override={NAME}",
            f"--node-ip={ADDRESS}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'kubelet-pki'}",
        )
        self._start("kube-proxy", self._programs / "kube-proxy", f"--config={self.folder / 'kube-proxy.yaml'}")

        try:
            await asyncio.to_thread(control_plane.cluster.wait, "nodes", "Ready", 120)
        except Refused as refused:
            raise kubelet.failed(f"did not make its node ready: {refused}") from refused
        # It looks for its own node first, and ends if there is none.
        policies = self._start(
            "kube-router",
            self._programs / "kube-router",
            f"--kubeconfig={control_plane.kubeconfig('controllers')}",
            f"--hostname-override={NAME}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
            "--enable-cni=false",
        )
        await self._until(policies, lambda: "KUBE-ROUTER" in self.do("iptables-save", "--table", "filter"))

    def take_in(self, archive: Path) -> None:
        """Gives the node an image out of an archive, as a registry would.

        Raises:
            StartFailed: the runtime does not take it.
        """
        self.do("ctr", f"--address={self._socket}", "--namespace=k8s.io", "images", "import", str(archive))

    async def stop(self) -> None:
        """Ends every process of the node and takes away what it left in the kernel."""
        if not self._init.started:
            return
        for process in reversed(self._processes):
            process.kill()
        self._init.kill()
        for group in self._groups_made():
            _remove_groups(group)

    def do(self, *command: str) -> str:
        """Runs a command on the node.

        Raises:
            StartFailed: it ended with a fault.
        """
        return self._do(*self.enter, *command)

    def _do(self, *command: str) -> str:
        finished = subprocess.run(command, env={**os.environ, "PATH": _PATH}, capture_output=True, text=True)
        if finished.returncode != 0:
            raise StartFailed(f"{' '.join(command)}: {(finished.stderr + finished.stdout).strip()}")
        return finished.stdout

    def _start(self, name: str, *command: str | Path) -> Process:
        process = Process(
            name,
            [*self.enter, *command],
            log=self.folder / "logs" / f"{name}.log",
            environment={**os.environ, "PATH": f"{self._programs}:{_PATH}"},
        )
        process.start()
        self._processes.append(process)
        return process

    async def _until(self, process: Process, condition: object, timeout: float = 60.0) -> None:
        assert callable(condition)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not process.running:
                raise process.failed(f"ended with {process.exit_code} while starting")
            if await asyncio.to_thread(condition):
                return
            await asyncio.sleep(0.2)
        raise process.failed(f"was not ready within {timeout:.0f} s")

    def _runtime_answers(self) -> bool:
        asked = subprocess.run(
            [*self.enter, "ctr", f"--address={self._socket}", "version"],
            env={**os.environ, "PATH": _PATH},
            capture_output=True,
        )
        return asked.returncode == 0

    def _write_settings(self, control_plane: ControlPlane) -> None:
        network = {
            "cniVersion": "0.4.0",
            "name": "jiebang",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods0",
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self.folder / "ipam"),
                        "ranges": [[{"subnet": PODS}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
        (self.folder / "cni").mkdir(parents=True, exist_ok=True)
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(network))
        (self.folder / "containerd.toml").write_text(
            f"""
version = 2
root = "{self.folder}/containerd/root"
state = "{self.folder}/containerd/state"
[grpc]
  address = "{self._socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{self.folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""
        )
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self._write_yaml(
            "kubelet.yaml",
            {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
                "authorization": {"mode": "AlwaysAllow"},
                "cgroupDriver": "cgroupfs",
                "cgroupRoot": f"/{self._groups[0].name}",
                # This machine's kernel may have the first version of control groups only.
                "failCgroupV1": False,
                "failSwapOn": False,
                "maxOpenFiles": 20000,
                "enforceNodeAllocatable": [],
                "containerRuntimeEndpoint": f"unix://{self._socket}",
                "clusterDNS": [RESOLVER],
                "clusterDomain": "cluster.local",
                "resolvConf": str(self.folder / "resolv.conf"),
                "podLogsDir": str(self.folder / "pods"),
                "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
                "address": ADDRESS,
                "healthzBindAddress": "127.0.0.1",
                "registerWithTaints": [],
            },
        )
        self._write_yaml(
            "kube-proxy.yaml",
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "iptables",
                "bindAddress": ADDRESS,
                "healthzBindAddress": "127.0.0.1:10256",
                "metricsBindAddress": "127.0.0.1:10249",
                "hostnameOverride": NAME,
                "clusterCIDR": PODS,
                "clientConnection": {"kubeconfig": str(control_plane.kubeconfig("proxy"))},
                "conntrack": {"maxPerCore": 0},
            },
        )

    def _write_yaml(self, name: str, content: object) -> None:
        (self.folder / name).write_text(yaml.safe_dump(content))


def _remove_groups(group: Path) -> None:
    """Removes a control group and those inside it; the kernel takes a moment to empty them."""
    for inner in sorted(group.rglob("*"), reverse=True):
        if inner.is_dir():
            _remove_group(inner)
    _remove_group(group)


def _remove_group(group: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
