"""Which service a path belongs to."""

from __future__ import annotations

import pytest

from deploy.local.gateway import described_by, service_of


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/v1/challenges", "board"),
        ("/v1/challenges/chl_1/registrations", "board"),
        ("/v1/teams/team_1", "board"),
        ("/v1/credentials", "board"),
        ("/v1/uploads/upl_1", "ingest"),
        ("/v1/submissions/sub_1/events", "ingest"),
        ("/v1/preflight", "ingest"),
        ("/v1/quota", "ingest"),
        ("/v1/keys", "ingest"),
        ("/v1/reports/sub_1", "scoring"),
        ("/v1/certificates/sub_1", "scoring"),
        ("/v1/leaderboards/chl_1/history", "ranking"),
        ("/v1/subscriptions/whk_1/test", "notify"),
        ("/v1/events/stream", "notify"),
        ("/v1/ops/scoring/jobs", "scoring"),
        ("/v1/ops/notify/dead-letters/1", "notify"),
    ],
)
def test_a_prefix_belongs_to_one_service(path: str, service: str) -> None:
    assert service_of(path) == service


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/livez",
        "/readyz",
        "/metrics",
        "/v1",
        "/v1/",
        "/v1/challengesx",
        "/v2/challenges",
        "/v1/ops",
        "/v1/ops/board",
        "/v1/challenges/../../metrics",
        "/v1/challenges/%2e%2E/metrics",
        "/v1/challenges/./x",
        "//v1/challenges",
    ],
)
def test_everything_else_belongs_to_nobody(path: str) -> None:
    assert service_of(path) is None


def test_each_service_is_described_at_the_one_origin() -> None:
    assert described_by("/openapi/ingest.json") == ("ingest", "/openapi.json")
    assert described_by("/asyncapi/board.json") == ("board", "/asyncapi.json")


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi/ingest", "/openapi/a/b.json", "/metrics/ingest.json", "/"])
def test_nothing_else_is_a_description(path: str) -> None:
    assert described_by(path) is None
