"""Every object of every example keeps the rules, and a rule that is broken anywhere is noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deploy.helm.chart import EXAMPLES, example
from tests.chart.policies import LONG_RUNNING, name_of, pods_of, violations

NAMES = [example(values) for values in EXAMPLES]
# Says how the group of a volume is set, and guards nothing.
NO_CONTROL = {"fsGroupChangePolicy"}

Weakening = tuple[str, Callable[[list[dict[str, Any]]], None]]


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_the_chart_makes_keeps_the_rules(objects: dict[str, Any], name: str) -> None:
    assert violations(objects[name]) == []


def weakenings(documents: list[dict[str, Any]]) -> Iterator[Weakening]:
    """Every way to take one control away from one object."""
    for index, (owner, spec, _) in enumerate(pods_of(documents)):

        def pod(changed: list[dict[str, Any]], index: int = index) -> dict[str, Any]:
            return list(pods_of(changed))[index][1]

        def container(changed: list[dict[str, Any]], number: int, index: int = index) -> dict[str, Any]:
            spec: dict[str, Any] = list(pods_of(changed))[index][1]["containers"][number]
            return spec

        for key in ("automountServiceAccountToken", "enableServiceLinks"):
            yield f"{name_of(owner)} without {key}", lambda all, key=key, pod=pod: pod(all).pop(key)  # type: ignore[misc]
        for key in spec["securityContext"].keys() - NO_CONTROL:
            yield (
                f"{name_of(owner)} without the pod's {key}",
                lambda all, key=key, pod=pod: pod(all)["securityContext"].pop(key),  # type: ignore[misc]
            )
        for number, each in enumerate(spec["containers"]):
            keys = [*each["securityContext"]]
            for key in keys:
                yield (
                    f"{name_of(owner)} without {key} of {each['name']}",
                    lambda all, key=key, number=number, container=container: container(all, number)[  # type: ignore[misc]
                        "securityContext"
                    ].pop(key),
                )
            parts = ["resources"]
            if owner["kind"] in LONG_RUNNING:
                parts += ["startupProbe", "livenessProbe", "readinessProbe"]
            for key in parts:
                yield (
                    f"{name_of(owner)} without {key} of {each['name']}",
                    lambda all, key=key, number=number, container=container: container(all, number).pop(key),  # type: ignore[misc]
                )
    for index, document in enumerate(documents):
        what = name_of(document)
        if document["kind"] == "NetworkPolicy" and what.endswith("-deny"):
            yield f"no {what}", lambda all, index=index: all.pop(index)  # type: ignore[misc]
        if document["kind"] == "NetworkPolicy" and not what.endswith("-deny"):
            for way in ("ingress", "egress"):
                for number in range(len(document["spec"].get(way, []))):
                    yield (
                        f"{what} with any port in {way} rule {number}",
                        lambda all, index=index, way=way, number=number: all[index]["spec"][way][number].pop("ports"),  # type: ignore[misc]
                    )
        if document["kind"] == "PodDisruptionBudget":
            yield f"no {what}", lambda all, index=index: all.pop(index)  # type: ignore[misc]
        if document["kind"] == "ServiceAccount":
            yield (
                f"{what} with a token",
                lambda all, index=index: all[index].pop("automountServiceAccountToken"),  # type: ignore[misc]
            )
        if document["kind"] == "Deployment":
            owned = "replicas" not in document["spec"]
            yield (
                f"{what} {'with' if owned else 'without'} replicas",
                lambda all, index=index, owned=owned: (  # type: ignore[misc]
                    all[index]["spec"].update(replicas=1) if owned else all[index]["spec"].pop("replicas")
                ),
            )
        if document["kind"] == "ScaledObject":
            yield f"{what} to none", lambda all, index=index: all[index]["spec"].update(minReplicaCount=0)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["small", "keda"])
def test_whatever_control_is_taken_away_a_rule_is_broken(objects: dict[str, Any], name: str) -> None:
    every = list(weakenings(objects[name]))
    unnoticed = []
    for what, weaken in every:
        changed = copy.deepcopy(objects[name])
        weaken(changed)
        if not violations(changed):
            unnoticed.append(what)
    assert unnoticed == []
    assert len(every) > 150
