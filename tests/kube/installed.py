"""The platform as an operator has it: the chart installed on a real node, with the project's images."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from deploy.docker.containers import find_containers
from deploy.docker.images import VARIANTS, archive, build, find_base
from deploy.helm.chart import CHART
from deploy.helm.tools import find_kubectl
from deploy.kube.cluster import Cluster
from deploy.kube.control_plane import ControlPlane
from deploy.kube.images import archives
from deploy.kube.node import ADDRESS, VISITOR, Node
from deploy.kube.programs import find_control_plane, find_node
from deploy.local.fetch import fetch_all, say
from deploy.local.gateway import ROUTES, Gateway
from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from deploy.local.ports import free_port
from tests.system.competition import Competition

RELEASE, NAMESPACE = "jiebang", "competition"


@dataclass
class Installed:
    """A release, its cluster, and the address of its API behind a gateway."""

    cluster: Cluster
    node: Node
    url: str
    kafka_bootstrap: str
    values: Path

    def helm(self, *words: str) -> str:
        """What helm says about the release."""
        return self.cluster.helm(*words, "--namespace", NAMESPACE)

    def upgrade(self, *sets: str) -> None:
        """Upgrades the release with other values, and waits until its pods are the new ones."""
        self.helm(
            "upgrade", RELEASE, str(CHART), "--reuse-values", *(f"--set={each}" for each in sets),
            "--wait", "--timeout", "8m",
        )  # fmt: skip

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of a process."""
        return self.cluster.list("pods", NAMESPACE, f"app.kubernetes.io/component={component}")

    def exec(self, component: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container of a process."""
        return self.cluster.exec(f"deployment/{RELEASE}-{component}", NAMESPACE, *command)

    def shell(self, commands: str, folder: Path) -> str:
        """Runs commands as an operator would, in a shell that has kubectl and the cluster."""
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=folder,
            env={
                **os.environ,
                "KUBECONFIG": str(self.cluster.kubeconfig),
                "PATH": f"{find_kubectl().parent}:{os.environ['PATH']}",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, f"{commands}\n{finished.stdout}\n{finished.stderr}"
        return finished.stdout + finished.stderr

    async def competition(self, rng: random.Random) -> Competition:
        """A challenge with two teams on this installation."""
        issued = self.exec("board", "python", "-m", "services.board.issue", "--role", "organiser")
        assert issued.returncode == 0, issued.stderr
        keys = {"organiser": json.loads(issued.stdout)["key"]}
        played = Competition(self, keys, rng, patience=240)
        made = await played.call("POST", "/v1/credentials", keys["organiser"], json={"role": "sponsor"})
        keys["sponsor"] = made.json()["key"]
        await played.publish()
        await played.register(2)
        return played


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installed]:
    """Builds the images, makes the node, installs the chart on it, and takes everything away afterwards."""
    programs = find_node()
    images = await asyncio.to_thread(_images, folder / "images", programs)
    async with AsyncExitStack() as stack:
        node = Node(folder / "node", programs)
        stack.push_async_callback(node.stop)
        await node.open()
        control_plane = ControlPlane(
            folder / "control-plane", find_control_plane(), address=ADDRESS, prefix=node.on_its_network
        )
        stack.push_async_callback(control_plane.stop)
        await control_plane.start()
        await node.start(control_plane)
        for each in images:
            say(f"node: taking in {each.name}")
            await asyncio.to_thread(node.take_in, each)
        servers = fetch_all()
        kafka = KafkaServer(folder / "kafka", servers, address=ADDRESS, prefix=node.on_its_network)
        mongo = MongoServer(folder / "mongo", servers, address=ADDRESS, prefix=node.on_its_network)
        stack.push_async_callback(kafka.stop)
        stack.push_async_callback(mongo.stop)
        await asyncio.gather(kafka.start(), mongo.start())

        cluster = control_plane.cluster
        cluster.kubectl("apply", "-f", str(Path(__file__).parents[2] / "deploy" / "kube" / "names.yaml"))
        cluster.kubectl("rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=120s")
        cluster.kubectl("apply", "-f", "-", objects=_surroundings(folder))
        values = folder / "values.yaml"
        values.write_text(yaml.safe_dump(_values(kafka, mongo)))
        say("helm: installing")
        words = ["install", RELEASE, str(CHART), "--values", str(values), "--wait", "--timeout", "8m"]
        await asyncio.to_thread(cluster.helm, *words, "--namespace", NAMESPACE)
        url = await stack.enter_async_context(_gateway(cluster))
        yield Installed(cluster, node, url, kafka.bootstrap, values)


def _images(folder: Path, programs: Path) -> list[Path]:
    containers = find_containers()
    base = find_base(containers)
    for variant in VARIANTS:
        say(f"image: building {variant}")
        build(containers, base, variant)
    ours = [archive(containers, variant, folder) for variant in VARIANTS]
    return [*ours, *archives(containers, programs, folder)]


def _surroundings(folder: Path) -> list[dict[str, Any]]:
    """What an operator has made before: a namespace that refuses any pod that is not restricted, and a volume."""
    objects = folder / "objects"
    objects.mkdir()
    # A path of the node is not given to the pods' group as other volumes are.
    objects.chmod(0o777)
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "objects"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "50Gi"},
                "claimRef": {"namespace": NAMESPACE, "name": f"{RELEASE}-objects"},
                "storageClassName": "",
                "hostPath": {"path": str(objects)},
            },
        },
    ]


def _values(kafka: KafkaServer, mongo: MongoServer) -> dict[str, Any]:
    def only(address: str) -> list[dict[str, Any]]:
        return [{"ipBlock": {"cidr": f"{address}/32"}}]

    small = {"requests": {"cpu": "20m", "memory": "96Mi"}}
    worker = {"requests": {"cpu": "20m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1536Mi"}}
    bounds = {"MEMORY_BYTES": 1 << 30, "DISK_BYTES": 2 << 30}
    services: dict[str, Any] = {
        name: {"resources": small} for name in ("board", "ingest", "scoring", "ranking", "notify", "notify-worker")
    }
    services["ingest"]["settings"] = {"UPLOAD_MAX_BYTES": 1 << 28}
    services["ingest-scan"] = {"resources": worker, "settings": bounds, "scratchSize": "3Gi"}
    services["scoring-worker"] = {
        "resources": worker,
        "settings": bounds | {"CONCURRENCY": 1},
        "scratchSize": "3Gi",
    }
    return {
        "image": {
            "pullPolicy": "Never",
            "repository": "localhost/jiebang",
        },
        "kafka": {"bootstrap": [kafka.bootstrap], "replication": 1},
        "mongodb": {"uri": mongo.uri},
        "networkPolicy": {
            "apiFrom": only(VISITOR),
            "kafka": {"to": only(ADDRESS), "ports": [kafka.port]},
            "mongodb": {"to": only(ADDRESS), "ports": [mongo.port]},
        },
        "services": services,
    }


@asynccontextmanager
async def _gateway(cluster: Cluster) -> AsyncIterator[str]:
    """The gateway of the local platform, in front of the services of the release."""
    backends = {
        name: f"{cluster.get('service', f'{RELEASE}-{name}', NAMESPACE)['spec']['clusterIP']}:80"
        for name in set(ROUTES.values())
    }
    runner = web.AppRunner(Gateway(backends).app())
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()
