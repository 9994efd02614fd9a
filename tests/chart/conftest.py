"""The chart, rendered once per test run with each of its examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.helm.chart import EXAMPLES, documents, example, render
from deploy.helm.tools import find_helm

Objects = list[dict[str, Any]]


@pytest.fixture(scope="session")
def helm() -> Path:
    """The pinned helm, fetched into the cache if it is not there."""
    return find_helm()


@pytest.fixture(scope="session")
def renderings(helm: Path) -> dict[str, str]:
    """What the chart makes of each example, by the example's name."""
    return {example(values): render(helm, values) for values in EXAMPLES}


@pytest.fixture(scope="session")
def objects(renderings: dict[str, str]) -> dict[str, Objects]:
    """The objects of each example."""
    return {name: documents(rendered) for name, rendered in renderings.items()}
