"""A release on a real API server: installed with its hooks, upgraded, rolled back, and removed without a trace.

Its pods run on nodes that only say so; `make kube-test` has a real one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.chart import CHART, EXAMPLES, documents, example, render
from deploy.helm.tools import find_helm
from deploy.kube.cluster import Cluster
from tests.eventually import eventually

RELEASE = "jiebang"
NAMES = [example(values) for values in EXAMPLES]
VALUES = {example(values): values for values in EXAMPLES}
# What a cluster has in every namespace, and what helm itself keeps of a release.
OF_THE_CLUSTER = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
KINDS_OF_STRIMZI = {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"}
KINDS = (
    "deployments,statefulsets,replicasets,pods,jobs,services,endpointslices,configmaps,secrets,serviceaccounts,"
    "persistentvolumeclaims,poddisruptionbudgets,horizontalpodautoscalers,networkpolicies,ingresses,httproutes,"
    "scaledobjects,triggerauthentications,servicemonitors,podmonitors,prometheusrules,"
    "kafkas,kafkanodepools,kafkatopics,kafkausers"
)


def helm(cluster: Cluster, namespace: str, *words: str) -> str:
    return cluster.helm(*words, "--namespace", namespace)


def install(cluster: Cluster, namespace: str, name: str, *more: str) -> None:
    words = ["install", RELEASE, str(CHART), "--values", str(VALUES[name]), "--wait", "--timeout", "3m", *more]
    helm(cluster, namespace, *words)


def names_in(cluster: Cluster, namespace: str) -> set[str]:
    return {f"{each['kind']}/{each['metadata']['name']}" for each in cluster.list(KINDS, namespace)}


def settings(cluster: Cluster, namespace: str) -> dict[str, str]:
    found: dict[str, str] = cluster.get("configmap", f"{RELEASE}-settings", namespace)["data"]
    return found


def phases_of_hooks(cluster: Cluster, namespace: str) -> dict[str, str]:
    status = json.loads(helm(cluster, namespace, "status", RELEASE, "--output", "json"))
    return {hook["kind"]: hook["last_run"]["phase"] for hook in status["hooks"] if "test" not in hook["events"]}


@pytest.fixture
def volumes(cluster: Cluster, namespace: str) -> Iterator[None]:
    """A volume for each claim that any example makes: there is no provisioner here."""
    made: dict[str, dict[str, Any]] = {}
    for values in EXAMPLES:
        for each in documents(render(find_helm(), values)):
            claims = {each["metadata"]["name"]: each["spec"]} if each["kind"] == "PersistentVolumeClaim" else {}
            if each["kind"] == "StatefulSet":
                owner = each["metadata"]["name"]
                claims = {
                    f"{claim['metadata']['name']}-{owner}-0": claim["spec"]
                    for claim in each["spec"]["volumeClaimTemplates"]
                }
            for name, spec in claims.items():
                made[f"{namespace}-{name}-{example(values)}"] = {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": f"{namespace}-{name}-{example(values)}"},
                    "spec": {
                        "accessModes": spec["accessModes"],
                        "capacity": spec["resources"]["requests"],
                        "storageClassName": spec.get("storageClassName", ""),
                        "claimRef": {"namespace": namespace, "name": name},
                        "hostPath": {"path": "/nowhere"},
                    },
                }
    cluster.kubectl("create", "-f", "-", objects=list(made.values()))
    yield
    cluster.kubectl("delete", "persistentvolumes", *made, "--wait=false")


@pytest.mark.parametrize("name", NAMES)
async def test_a_release_is_installed_upgraded_and_removed(
    cluster: Cluster, namespace: str, volumes: None, name: str
) -> None:
    install(cluster, namespace, name)
    assert phases_of_hooks(cluster, namespace) == {"Job": "Succeeded"}
    ready = {each["metadata"]["name"]: each["status"] for each in cluster.list("deployments", namespace)}
    assert len(ready) == 8
    assert all(status["readyReplicas"] == status["replicas"] >= 1 for status in ready.values())

    helm(
        cluster, namespace, "upgrade", RELEASE, str(CHART), "--reset-then-reuse-values",
        "--set=settings.LOG_LEVEL=DEBUG", "--wait", "--timeout", "3m",
    )  # fmt: skip
    assert settings(cluster, namespace)["JIEBANG_LOG_LEVEL"] == "DEBUG"

    helm(cluster, namespace, "uninstall", RELEASE, "--wait", "--timeout", "2m")
    # Pods are ending still; of everything else, only what holds data or proves receipts stays.
    left = OF_THE_CLUSTER | kept(name)
    await eventually(lambda: names_in(cluster, namespace) == left, within=90, every=1, what=f"only {left} is left")


def kept(name: str) -> set[str]:
    """What NOTES and README say that stays: the key of receipts, the volume of objects, topics, MongoDB's disk."""
    objects = documents(render(find_helm(), VALUES[name]))
    stays = {
        f"{each['kind']}/{each['metadata']['name']}"
        for each in objects
        if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert {each.partition("/")[0] for each in stays} <= {"Secret", "PersistentVolumeClaim", *KINDS_OF_STRIMZI}
    if any(each["kind"] == "StatefulSet" for each in objects):
        stays.add("PersistentVolumeClaim/data-jiebang-mongodb-0")
    return stays


def test_an_upgrade_leaves_the_number_of_pods_to_the_scaler(cluster: Cluster, namespace: str) -> None:
    install(cluster, namespace, "production")
    cluster.kubectl("scale", "deployment", f"{RELEASE}-ingest", "--replicas=5", "-n", namespace)
    helm(
        cluster, namespace, "upgrade", RELEASE, str(CHART), "--reuse-values", "--set=settings.LOG_LEVEL=DEBUG",
        "--wait", "--timeout", "3m",
    )  # fmt: skip
    assert cluster.get("deployment", f"{RELEASE}-ingest", namespace)["spec"]["replicas"] == 5


def test_a_rollback_brings_the_old_settings_back_and_the_key_of_receipts_stays(
    cluster: Cluster, namespace: str, volumes: None, folder: Path
) -> None:
    install(cluster, namespace, "gateway-api", "--set=kafka.bootstrap={kafka.data.svc:9092}")
    before = settings(cluster, namespace)
    key = cluster.get("secret", f"{RELEASE}-signing", namespace)["data"]
    changed = folder / "changed.yaml"
    changed.write_text(yaml.safe_dump({"settings": {"GRACE": "40s"}, "services": {"board": {"replicas": 2}}}))
    helm(
        cluster, namespace, "upgrade", RELEASE, str(CHART), "--reuse-values", "--values", str(changed),
        "--wait", "--timeout", "3m",
    )  # fmt: skip
    assert settings(cluster, namespace) != before
    assert cluster.get("deployment", f"{RELEASE}-board", namespace)["status"]["readyReplicas"] == 2

    helm(cluster, namespace, "rollback", RELEASE, "1", "--wait", "--timeout", "3m")
    assert settings(cluster, namespace) == before
    assert cluster.get("deployment", f"{RELEASE}-board", namespace)["spec"]["replicas"] == 1
    assert cluster.get("secret", f"{RELEASE}-signing", namespace)["data"] == key


def test_two_releases_live_in_one_namespace(cluster: Cluster, namespace: str) -> None:
    install(cluster, namespace, "production")
    helm(
        cluster, namespace, "install", "second", str(CHART), "--values", str(VALUES["production"]),
        "--wait", "--timeout", "3m",
    )  # fmt: skip
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in cluster.list("pods", namespace)} == {
        RELEASE,
        "second",
    }
