"""After real work every process exports every metric, with the values that the work has; Prometheus reads them."""

from __future__ import annotations

import random
import secrets
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from deploy.local.demo.receiver import Receiver
from deploy.local.platform import Platform
from deploy.local.ports import stored_port
from deploy.local.prometheus import Target, prometheus_part, write_targets
from deploy.local.services import SERVICE_PROCESSES
from shared import metrics
from tests.system.competition import Competition, until

Samples = dict[str, list[tuple[Mapping[str, str], float]]]
"""Name of a series → labels and value of each of its samples, of all processes."""

STAGES = ("scan_jobs", "score", "rank", "deliver")  # a small upload is verified as it comes, without a job
READERS = ("ingest", "ranking", "notify")
WORKED = (
    "events_handled_total",
    "event_handling_seconds_count",
    "outbox_published_total",
    "delivery_seconds_count",
    "http_requests_total",
    "http_request_seconds_count",
    "event_loop_lag_seconds_count",
)
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


async def exported(platform: Platform) -> dict[str, Samples]:
    """What each process exports now."""
    found: dict[str, Samples] = {}
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        for row in SERVICE_PROCESSES:
            port = stored_port(platform.state, f"{row.name}.internal")
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            samples: Samples = defaultdict(list)
            for family in plain_text(text):
                for sample in family.samples:
                    samples[sample.name].append((sample.labels, sample.value))
            found[row.name] = samples
    return found


def total(samples: Mapping[str, Samples], name: str, **labels: str) -> float:
    """The sum over all processes of the series of a name that have some labels."""
    return sum(
        value
        for of_process in samples.values()
        for found, value in of_process.get(name, [])
        if labels.items() <= found.items()
    )


def without_value(samples: Mapping[str, Samples]) -> list[str]:
    """The metrics of which no process has a sample."""
    there = {name for of_process in samples.values() for name, values in of_process.items() if values}
    return [name for name in metrics.all_metrics() if not {name, f"{name}_count"} & there]


async def poison(platform: Platform) -> None:
    """Put a record that is no event into a topic that three services read."""
    producer = AIOKafkaProducer(bootstrap_servers=platform.kafka_bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait("scoring.scores", b"no event", key=b"poison")
    finally:
        await producer.stop()


async def test_every_metric_has_a_value_after_real_work(
    platform: Platform, keys: dict[str, str], rng: random.Random
) -> None:
    competition = Competition(platform, keys, rng)
    before = await exported(platform)
    delivered = total(before, "deliveries_total", result="succeeded")
    with Receiver() as receiver:
        await competition.publish()
        await competition.register(1)
        made = await competition.call(
            "POST",
            "/v1/subscriptions",
            keys["sponsor"],
            json={"url": receiver.url_for("s"), "filters": {"challenges": [competition.challenge]}},
            headers={"Idempotency-Key": secrets.token_hex(12)},
        )
        receiver.trust("s", made.json()["secret"])
        for _ in range(2):
            await competition.submit(competition.teams[0])
        assert (await competition.settled())["ranked"] == 2
        await competition.call("GET", "/v1/submissions/sub_nobody", keys["operator"], expect=(404,))
        await poison(platform)

        async def measured() -> bool:
            now = await exported(platform)
            told = total(now, "deliveries_total", result="succeeded") > delivered
            buried = all(total({reader: now[reader]}, "dead_letters_waiting") > 0 for reader in READERS)
            return told and buried and not without_value(now)

        await until(measured, "every metric was measured, the dead letters last", within=120)
    after = await exported(platform)

    def rose(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert rose("submissions_total", outcome="ranked") == 2
    assert rose("submission_to_rank_seconds_count") == 2
    for stage in STAGES:
        for part in ("waiting", "work"):
            assert rose("stage_seconds_count", stage=stage, part=part) >= 2, (stage, part)
    for queue in ("scan_jobs", "score"):
        assert rose("jobs_ended_total", queue=queue, result="done") == 2
        assert rose("job_seconds_count", queue=queue) == 2
        assert rose("jobs", queue=queue, state="done") >= 2
    for service in READERS:
        mine = {service: after[service]}
        dead = total(mine, "dead_letters_total", stream="scoring.scores", reason="malformed")
        assert dead - total({service: before[service]}, "dead_letters_total", reason="malformed") == 1
        assert total(mine, "dead_letters_oldest_age_seconds", stream="scoring.scores") > 0
        assert total(mine, "consumer_rebalances_total") > 0
    for name in WORKED:
        assert rose(name) > 0, name
    assert rose("refusals_total", code="unknown_submission") == 1
    assert total(after, "pipeline_conservation_delta") == 0

    await lead_to_a_submission(platform, set(competition.receipts))
    await discard_the_poison(competition, keys["operator"])
    await competition.close()


async def lead_to_a_submission(platform: Platform, submissions: set[str]) -> None:
    """One of the submissions is named beside the time that it took, with its trace."""
    port = stored_port(platform.state, "ranking.internal")
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers=OPEN_METRICS)
    exemplars = [
        sample.exemplar.labels
        for family in open_metrics(answer.text)
        for sample in family.samples
        if sample.exemplar is not None and sample.name == "submission_to_rank_seconds_bucket"
    ]
    (own,) = [labels for labels in exemplars if labels["submission"] in submissions][:1]
    assert len(own["trace_id"]) == 32


async def discard_the_poison(competition: Competition, operator: str) -> None:
    """Leave the platform as it was found."""
    for service in READERS:
        listed = await competition.call("GET", f"/v1/ops/{service}/dead-letters", operator)
        ids = [letter["id"] for letter in listed.json()["dead_letters"]]
        await competition.call("POST", f"/v1/ops/{service}/dead-letters/discard", operator, json={"ids": ids})


@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed: `apt-get install prometheus` brings it"
)
async def test_a_prometheus_reads_every_process_and_has_the_alerts_loaded(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    prometheus = prometheus_part(tmp_path, time_factor=0.1)
    targets = [
        Target(row.name, row.name, stored_port(platform.state, f"{row.name}.internal")) for row in SERVICE_PROCESSES
    ]
    write_targets(tmp_path, targets[:1])
    await prometheus.start()
    url = f"http://127.0.0.1:{stored_port(tmp_path, 'prometheus')}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:

            async def up() -> set[str]:
                answer = await client.get("/api/v1/query", params={"query": "up == 1"})
                return {series["metric"]["job"] for series in answer.json()["data"]["result"]}

            async def reads_one() -> bool:
                return await up() == {targets[0].job}

            async def reads_all() -> bool:
                return await up() == {target.job for target in targets}

            await until(reads_one, "the first process is read")
            write_targets(tmp_path, targets)
            await until(reads_all, "processes that came later are read too")
            groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
            assert {rule["name"] for group in groups for rule in group["rules"]} >= {"StageStopped", "TargetDown"}

            async def evaluated() -> bool:
                answer = await client.get("/api/v1/rules")
                rules = [rule for group in answer.json()["data"]["groups"] for rule in group["rules"]]
                assert all(rule["health"] in {"ok", "unknown"} for rule in rules), rules
                return all(rule["health"] == "ok" for rule in rules)

            await until(evaluated, "every rule was evaluated")
    finally:
        await prometheus.stop()
