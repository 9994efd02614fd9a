"""A real API server takes what the chart makes: every field known, every rule kept, every pod as `restricted` is."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deploy.helm.chart import EXAMPLES, documents, example, render
from deploy.helm.tools import find_helm
from deploy.kube.cluster import Cluster, Refused

Objects = list[dict[str, Any]]


@pytest.fixture(scope="session")
def rendered() -> dict[str, Objects]:
    """The objects of each example, hooks and tests too."""
    return {example(values): documents(render(find_helm(), values)) for values in EXAMPLES}


NAMES = [example(values) for values in EXAMPLES]


def dry_run(cluster: Cluster, namespace: str, objects: Objects) -> str:
    placed = copy.deepcopy(objects)
    for each in placed:
        each["metadata"].pop("namespace", None)
    return cluster.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-n", namespace, "-o", "name", "-f", "-", objects=placed
    )


def pods_of(objects: Objects) -> Objects:
    """Every pod template as a pod: of a Deployment whose pods are refused the API server only warns."""
    pods = []
    for each in objects:
        if each["kind"] == "Pod":
            pods.append(each)
        elif "template" in each.get("spec", {}) and each["apiVersion"] in ("apps/v1", "batch/v1"):
            template = each["spec"]["template"]
            head = {"name": f"{each['metadata']['name']}-pod", "labels": template["metadata"]["labels"]}
            # The account is made by the chart, and here nothing is made.
            spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
            claims = [claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])]
            spec["volumes"] = [*spec["volumes"], *({"name": claim, "emptyDir": {}} for claim in claims)]
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": spec})
    return pods


@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_knows_every_field_of_an_example(
    cluster: Cluster, namespace: str, rendered: dict[str, Objects], name: str
) -> None:
    made = dry_run(cluster, namespace, rendered[name])
    assert len(made.splitlines()) == len(rendered[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_of_an_example_may_run_where_the_profile_is_restricted(
    cluster: Cluster, namespace: str, rendered: dict[str, Objects], name: str
) -> None:
    pods = pods_of(rendered[name])
    assert len(pods) >= 10
    assert len(dry_run(cluster, namespace, pods).splitlines()) == len(pods)


def test_a_field_that_the_api_server_does_not_know_is_refused(
    cluster: Cluster, namespace: str, rendered: dict[str, Objects]
) -> None:
    deployment = copy.deepcopy(next(each for each in rendered["small"] if each["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["unheardOf"] = True
    with pytest.raises(Refused, match="unheardOf"):
        dry_run(cluster, namespace, [deployment])


def test_a_pod_that_asks_for_more_than_the_profile_gives_is_refused(
    cluster: Cluster, namespace: str, rendered: dict[str, Objects]
) -> None:
    pod = copy.deepcopy(pods_of(rendered["small"])[0])
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(Refused, match="allowPrivilegeEscalation"):
        dry_run(cluster, namespace, [pod])


def test_a_route_that_breaks_a_rule_which_no_schema_tells_is_refused(
    cluster: Cluster, namespace: str, rendered: dict[str, Objects]
) -> None:
    route = copy.deepcopy(next(each for each in rendered["gateway-api"] if each["kind"] == "HTTPRoute"))
    route["spec"]["rules"][-1]["matches"][0]["path"]["value"] = "without/a/slash"
    with pytest.raises(Refused, match="value must be an absolute path"):
        dry_run(cluster, namespace, [route])
