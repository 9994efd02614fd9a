"""Each example of values is taken by helm and makes objects that Kubernetes takes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.chart import CHART, EXAMPLES, RENDERED, comparable, copies, example, lint
from deploy.helm.validate import VERSIONS, Validator

NAMES = [example(values) for values in EXAMPLES]


@pytest.fixture(scope="session")
def validator() -> Validator:
    """With kubeconform and the definitions of custom resources where there is Go."""
    return Validator.found()


def needs_go(validator: Validator) -> None:
    if validator.kubeconform is None:
        pytest.skip("there is no Go on this machine to build kubeconform and fetch the definitions of resources with")


def test_there_is_an_example_of_each_way_to_install() -> None:
    assert {"small", "production", "external", "keda", "gateway-api"} <= set(NAMES)


@pytest.mark.parametrize("values", EXAMPLES, ids=NAMES)
def test_helm_finds_no_fault_in_an_example(helm: Path, values: Path) -> None:
    lint(helm, values)


@pytest.mark.parametrize("name", NAMES)
def test_what_an_example_makes_is_what_was_reviewed(renderings: dict[str, str], name: str) -> None:
    reviewed = (RENDERED / f"{name}.yaml").read_text()
    assert comparable(renderings[name]) == reviewed, "look at the difference, then run `make helm`"


@pytest.mark.parametrize("name", NAMES)
def test_every_version_of_kubernetes_takes_it(renderings: dict[str, str], validator: Validator, name: str) -> None:
    assert validator.core_faults(renderings[name], VERSIONS) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_definitions_of_custom_resources_take_it(
    renderings: dict[str, str], validator: Validator, name: str
) -> None:
    needs_go(validator)
    assert validator.custom_faults(renderings[name]) == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("spec", "template", "spec")),
        ("NetworkPolicy", ("spec",)),
        ("ScaledObject", ("spec",)),
        ("TriggerAuthentication", ("spec",)),
        ("ServiceMonitor", ("spec",)),
        ("PodMonitor", ("spec",)),
        ("Kafka", ("spec", "kafka")),
        ("KafkaNodePool", ("spec",)),
        ("KafkaTopic", ("spec",)),
        ("KafkaUser", ("spec",)),
    ],
)
def test_a_field_that_is_not_known_is_a_fault(
    objects: dict[str, Any], validator: Validator, kind: str, path: tuple[str, ...]
) -> None:
    needs_go(validator)
    document = copy.deepcopy(next(each for each in objects["keda"] if each["kind"] == kind))
    inner = document
    for key in path:
        inner = inner[key]
    inner["unheardOf"] = "x"
    faults = validator.faults(yaml.safe_dump(document), ["1.37"])
    assert len(faults) == 1
    assert "unheardOf" in faults[0]


def test_the_copies_in_the_chart_are_those_of_their_sources() -> None:
    stale = [str(copy) for copy, wanted in copies().items() if not copy.exists() or copy.read_bytes() != wanted]
    assert stale == [], "run `make helm`"
    known = set(copies())
    assert [file.name for file in CHART.glob("dashboards/*") if file not in known] == []
