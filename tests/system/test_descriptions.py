"""Every service describes its part at the one origin, and the descriptions are true to the public surface."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from deploy.local.gateway import service_of
from deploy.local.platform import Platform

SERVICES = ("board", "ingest", "scoring", "ranking", "notify")


async def described(platform: Platform, kind: str, service: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=platform.url, timeout=30, trust_env=False) as http:
        answer = await http.get(f"/{kind}/{service}.json")
    assert answer.status_code == 200, answer.text[:300]
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_describes_its_routes_in_openapi_3_1(platform: Platform, service: str) -> None:
    document = await described(platform, "openapi", service)
    assert document["openapi"].startswith("3.1")
    assert document["paths"]
    for path in document["paths"]:
        assert service_of(path.replace("{", "").replace("}", "")) == service, (
            f"{path} is not reached through the gateway"
        )


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_describes_its_events_in_asyncapi_3(platform: Platform, service: str) -> None:
    document = await described(platform, "asyncapi", service)
    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]
