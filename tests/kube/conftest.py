"""A real API server with its controllers and three nodes that only say that pods run, once per test run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.helm.tools import custom_resource_definitions
from deploy.kube.cluster import Cluster
from deploy.kube.control_plane import ControlPlane
from deploy.kube.programs import find_control_plane, find_go


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster, with the definitions of all custom resources that the chart uses."""
    if find_go() is None:
        pytest.skip("there is no Go on this machine to build an API server with")
    control_plane = ControlPlane(tmp_path_factory.mktemp("kube"), find_control_plane(), fake_nodes=3)
    try:
        await control_plane.start()
        control_plane.cluster.kubectl("apply", "--server-side", "-f", "-", objects=custom_resource_definitions())
        control_plane.cluster.wait("customresourcedefinitions", "Established")
        # An example wants its workers on nodes of their own.
        control_plane.cluster.kubectl("label", "nodes", "--all", "pool=compute")
        yield control_plane.cluster
    finally:
        await control_plane.stop()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own that takes pods of the profile `restricted` only."""
    name = f"test-{abs(hash(request.node.nodeid)) % 10**10}"
    labels: dict[str, Any] = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl(
        "create",
        "-f",
        "-",
        objects=[{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}],
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what tests write."""
    return tmp_path_factory.mktemp("values")
