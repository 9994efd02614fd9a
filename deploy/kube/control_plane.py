"""The control plane of a Kubernetes as processes of this machine: etcd, API server, controllers, scheduler."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from deploy.kube.cluster import Cluster, Refused
from deploy.kube.programs import STAGES
from deploy.local.ports import stored_port
from deploy.local.process import Process

SERVICES = "10.96.0.0/24"
PODS = "10.244.0.0/24"


class ControlPlane:
    """Starts and stops a control plane in a folder of its own; with `fake_nodes`, nodes that only say that pods run."""

    def __init__(
        self,
        folder: Path,
        programs: Path,
        *,
        address: str = "127.0.0.1",
        fake_nodes: int = 0,
        prefix: tuple[str, ...] = (),
    ) -> None:
        """`address` is where the API server listens; `prefix` is put before each command (to enter a namespace)."""
        self.folder = folder
        self.address = address
        self.fake_nodes = fake_nodes
        self.port = stored_port(folder, "api")
        self.cluster = Cluster(folder / "admin.kubeconfig")
        self._programs = programs
        self._prefix = prefix
        self._tokens = {name: secrets.token_hex(16) for name in ("admin", "controllers", "scheduler", "node", "proxy")}
        self._processes: list[Process] = []

    @property
    def origin(self) -> str:
        """Where the API server is."""
        return f"https://{self.address}:{self.port}"

    def kubeconfig(self, name: str) -> Path:
        """The credentials of one of the users that this control plane knows."""
        return self.folder / f"{name}.kubeconfig"

    async def start(self) -> None:
        """Starts everything and returns when the API server is ready and its first objects are there.

        Raises:
            StartFailed: with the last lines of the log of what did not come up.
        """
        self._write_credentials()
        client, peer = (f"http://127.0.0.1:{stored_port(self.folder, name)}" for name in ("etcd", "etcd-peer"))
        self._start(
            "etcd",
            # Nothing here has to outlive the machine.
            "--unsafe-no-fsync",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        server = self._start(
            "kube-apiserver",
            f"--etcd-servers={client}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder / 'pki'}",
            f"--service-account-key-file={self.folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            # Loopback is no address of an endpoint, which the API server would make of its own.
            *(("--endpoint-reconciler-type=none",) if self.address.startswith("127.") else ()),
        )
        await self._until_ready(server)
        self._write_kubeconfigs()
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig('controllers')}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            f"--root-ca-file={self._authority}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={stored_port(self.folder, 'controllers')}",
            f"--cert-dir={self.folder / 'pki'}",
        )
        self._start(
            "kube-scheduler",
            f"--kubeconfig={self.kubeconfig('scheduler')}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={stored_port(self.folder, 'scheduler')}",
            f"--cert-dir={self.folder / 'pki'}",
        )
        if self.fake_nodes:
            kwok = self._start(
                "kwok",
                f"--kubeconfig={self.kubeconfig('admin')}",
                f"--config={self._programs / STAGES}",
                "--manage-all-nodes=true",
                "--node-lease-duration-seconds=40",
            )
            self.cluster.kubectl("apply", "-f", "-", objects=[_node(number) for number in range(self.fake_nodes)])
            try:
                await asyncio.to_thread(self.cluster.wait, "nodes", "Ready")
            except Refused as refused:
                raise kwok.failed(f"did not make its nodes ready: {refused}") from refused

    async def stop(self) -> None:
        """Ends everything that was started, the last first."""
        for process in reversed(self._processes):
            # The API server would wait a minute for those who watch it.
            await process.stop(grace=2)

    def _start(self, program: str, *options: str) -> Process:
        process = Process(
            program, [*self._prefix, self._programs / program, *options], log=self.folder / "logs" / f"{program}.log"
        )
        process.start()
        self._processes.append(process)
        return process

    @property
    def _authority(self) -> Path:
        return self.folder / "pki" / "apiserver.crt"

    def _write_credentials(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        key, public = self.folder / "accounts.key", self.folder / "accounts.pub"
        for command in (
            ["openssl", "genrsa", "-out", str(key), "2048"],
            ["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(public)],
        ):
            subprocess.run(command, check=True, capture_output=True)
        users = {
            "admin": ("admin", "system:masters"),
            "controllers": ("system:kube-controller-manager", "system:masters"),
            "scheduler": ("system:kube-scheduler", "system:masters"),
            "node": ("system:node:node-0", "system:nodes"),
            "proxy": ("system:kube-proxy", "system:masters"),
        }
        lines = [f'{self._tokens[name]},{user},{name},"{group}"' for name, (user, group) in users.items()]
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(lines) + "\n")

    def _write_kubeconfigs(self) -> None:
        for name, token in self._tokens.items():
            file = self.kubeconfig(name)
            file.touch(mode=0o600)
            file.write_text(
                yaml.safe_dump(
                    {
                        "apiVersion": "v1",
                        "kind": "Config",
                        "clusters": [
                            {
                                "name": "jiebang",
                                "cluster": {"server": self.origin, "certificate-authority": str(self._authority)},
                            }
                        ],
                        "users": [{"name": name, "user": {"token": token}}],
                        "contexts": [{"name": "jiebang", "context": {"cluster": "jiebang", "user": name}}],
                        "current-context": "jiebang",
                    }
                )
            )

    async def _until_ready(self, server: Process, timeout: float = 120.0) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not server.running:
                raise server.failed(f"ended with {server.exit_code} while starting")
            if await asyncio.to_thread(self._is_ready):
                return
            await asyncio.sleep(0.1)
        raise server.failed(f"was not ready within {timeout:.0f} s")

    def _is_ready(self) -> bool:
        request = urllib.request.Request(
            f"{self.origin}/readyz", headers={"Authorization": f"Bearer {self._tokens['admin']}"}
        )
        try:
            trusted = ssl.create_default_context(cafile=self._authority)
            with urllib.request.urlopen(request, timeout=2, context=trusted) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def _node(number: int) -> dict[str, object]:
    name, room = f"fake-{number}", {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "4Ti", "pods": "250"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{number}"},
        },
        "status": {"capacity": room, "allocatable": room},
    }
