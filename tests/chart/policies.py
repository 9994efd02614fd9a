"""What must hold for whatever the chart makes: a sentence for each object that breaks a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

LONG_RUNNING = {"Deployment", "StatefulSet"}
PARTITIONS = 12


def name_of(document: Object) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def pods_of(documents: list[Object]) -> Iterator[tuple[Object, Object, dict[str, str]]]:
    """Each object that makes pods, with the spec and the labels of its pods."""
    for document in documents:
        if document["kind"] == "Pod":
            yield document, document["spec"], document["metadata"]["labels"]
        elif document["kind"] in LONG_RUNNING | {"Job"}:
            template = document["spec"]["template"]
            yield document, template["spec"], template["metadata"]["labels"]


def violations(documents: list[Object]) -> list[str]:
    """Everything that is wrong; nothing, for what the chart makes."""
    return [
        *(
            f"{name_of(document)}: {wrong}"
            for document, spec, labels in pods_of(documents)
            for wrong in [*_of_pod(spec), *_of_containers(document["kind"], spec), *_not_denied(documents, labels)]
        ),
        *_of_scaling(documents),
        *_of_the_rest(documents),
    ]


def _of_pod(spec: Object) -> Iterator[str]:
    context = spec.get("securityContext", {})
    for kept in ("automountServiceAccountToken", "enableServiceLinks"):
        if spec.get(kept) is not False:
            yield f"{kept} is not false"
    for kept in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(kept):
            yield f"{kept} is set"
    if context.get("runAsNonRoot") is not True:
        yield "its pods may run as root"
    for number in ("runAsUser", "runAsGroup", "fsGroup"):
        if not context.get(number):
            yield f"{number} is not set, or root's"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "its pods have no seccomp profile"
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}:
            yield f"the volume {volume['name']} is of a kind that the restricted profile refuses"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"the volume {volume['name']} may fill the node"


def _of_containers(kind: str, spec: Object) -> Iterator[str]:
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for wrong in [*_of_context(container.get("securityContext", {})), *_of_container(kind, container)]:
            yield f"container {container['name']}: {wrong}"


def _of_context(context: Object) -> Iterator[str]:
    if context.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "its root file system can be written"
    if context.get("runAsNonRoot") is not True:
        yield "it may run as root"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "it keeps capabilities"
    if context.get("privileged"):
        yield "it is privileged"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "it has no seccomp profile"


def _of_container(kind: str, container: Object) -> Iterator[str]:
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})):
        yield "it requests no CPU or no memory"
    if "memory" not in resources.get("limits", {}):
        yield "its memory has no limit"
    probes = {"startupProbe", "livenessProbe", "readinessProbe"}
    if kind in LONG_RUNNING and (missing := probes - set(container)):
        yield f"it has no {min(missing)}"
    image = container["image"].rpartition("/")[2]
    if "@sha256:" not in image and (":" not in image or image.endswith(":latest")):
        yield f"its image {image} is whatever is there"
    names = [variable["name"] for variable in container.get("env", [])]
    if len(set(names)) != len(names):
        yield "it has a variable twice"
    for variable in container.get("env", []):
        secret = any(word in variable["name"] for word in ("MONGO_URI", "SECRET", "PASSWORD", "ACCESS_KEY"))
        if secret and "secretKeyRef" not in variable.get("valueFrom", {}):
            yield f"{variable['name']} does not come from a Secret"


def _not_denied(documents: list[Object], labels: dict[str, str]) -> Iterator[str]:
    """A pod that no policy covers which denies everything."""
    for document in documents:
        if document["kind"] == "NetworkPolicy":
            spec = document["spec"]
            covers = spec["podSelector"].get("matchLabels", {}).items() <= labels.items()
            both = {"Ingress", "Egress"} == set(spec.get("policyTypes", []))
            if covers and both and not spec.get("ingress") and not spec.get("egress"):
                return
    yield "no NetworkPolicy denies what is not allowed to its pods"


def _of_scaling(documents: list[Object]) -> Iterator[str]:
    scaled: dict[str, Object] = {}
    for document in documents:
        if document["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}:
            target = document["spec"]["scaleTargetRef"]["name"]
            if target in scaled:
                yield f"{target}: two scalers own it"
            scaled[target] = document
        if document["kind"] == "ScaledObject":
            spec = document["spec"]
            if spec["minReplicaCount"] < 1:
                yield f"{name_of(document)}: it may scale to none"
            readers = any(trigger["type"] == "kafka" for trigger in spec["triggers"])
            if readers and spec["maxReplicaCount"] > PARTITIONS:
                yield f"{name_of(document)}: more readers than partitions"
            for trigger in spec["triggers"]:
                if not all(isinstance(value, str) for value in trigger["metadata"].values()):
                    yield f"{name_of(document)}: a trigger has metadata that is no string"
    for document in documents:
        if document["kind"] == "Deployment":
            owned = document["metadata"]["name"] in scaled
            if owned == ("replicas" in document["spec"]):
                yield f"{name_of(document)}: replicas are set {'though a scaler owns them' if owned else 'by nobody'}"


def _of_the_rest(documents: list[Object]) -> Iterator[str]:
    seen = set()
    guarded = {
        frozenset(document["spec"]["selector"]["matchLabels"].items())
        for document in documents
        if document["kind"] == "PodDisruptionBudget"
    }
    for document in documents:
        identity = (document["apiVersion"], name_of(document))
        if identity in seen:
            yield f"{name_of(document)} is there twice"
        seen.add(identity)
        if document["kind"] == "ServiceAccount" and document.get("automountServiceAccountToken") is not False:
            yield f"{name_of(document)}: its token is given to pods"
        if document["kind"] in {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}:
            yield f"{name_of(document)}: nothing here needs the API server"
        if document["kind"] == "Service" and document["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{name_of(document)}: it is open to the outside"
        if document["kind"] == "Deployment":
            if frozenset(document["spec"]["selector"]["matchLabels"].items()) not in guarded:
                yield f"{name_of(document)}: no PodDisruptionBudget guards it"
            if not document["spec"]["template"]["spec"].get("topologySpreadConstraints"):
                yield f"{name_of(document)}: its pods are not spread"
        if document["kind"] == "NetworkPolicy":
            for rule in document["spec"].get("ingress", []):
                if not rule.get("from") or not rule.get("ports"):
                    yield f"{name_of(document)}: it lets in everybody, or to every port"
            for rule in document["spec"].get("egress", []):
                if not rule.get("ports"):
                    yield f"{name_of(document)}: it lets out to every port"
