"""One trace from the upload to the webhook, as a collector gets it; and no collector at all."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.demo.receiver import Receiver
from deploy.local.fetch import Programs
from deploy.local.keys import issue_keys
from deploy.local.platform import Platform
from deploy.local.ports import free_port
from tests.system.collector import Collector, Span, tree
from tests.system.competition import Competition, until

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def traced(folder: Path, programs: Programs, endpoint: str, rng: random.Random) -> AsyncIterator[Competition]:
    """A competition with one team on a platform of its own that sends its traces to an endpoint."""
    platform = Platform(
        folder, programs=programs, settings={"JIEBANG_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    )
    await platform.start()
    try:
        competition = Competition(platform, await issue_keys(platform), rng)
        await competition.publish()
        await competition.register()
        yield competition
        await competition.close()
    finally:
        await platform.stop()


async def test_one_trace_leads_from_the_upload_to_the_webhook(
    tmp_path: Path, programs: Programs, rng: random.Random
) -> None:
    mine = secrets.token_hex(16)
    with Collector() as collector, Receiver() as sponsor:
        async with traced(tmp_path / "platform", programs, collector.url, rng) as competition:
            subscription = await competition.call(
                "POST",
                "/v1/subscriptions",
                competition.keys["sponsor"],
                json={
                    "url": sponsor.url_for("us"),
                    "filters": {"challenges": [competition.challenge], "types": ["score.completed.v1"]},
                    "description": "traced",
                },
                headers={"Idempotency-Key": secrets.token_hex(12)},
            )
            sponsor.trust("us", subscription.json()["secret"])
            # Only the upload is told of a trace: what becomes of it must be found in the same one.
            team = competition.teams[0]
            upload = await competition.upload(team, competition.dataset(), trace=f"00-{mine}-{'1' * 16}-01")
            await competition.submit_upload(team, upload)
            assert await competition.settled() == {"ranked": 1}

            async def webhook_sent() -> bool:
                return any(span.name == "webhook" for span in collector.trace(mine))

            await until(webhook_sent, "the webhook is in the trace")

            async def whole() -> bool:
                return _orphans(collector.trace(mine)) == []

            await until(whole, "every span's cause has come")
    spans = collector.trace(mine)
    assert [delivery.verified for delivery in sponsor.deliveries] == [True]
    seen = {(span.process, span.name) for span in spans}
    wanted = {
        ("ingest", "POST /v1/uploads"),
        ("ingest", "PATCH /v1/uploads/{id}"),
        ("ingest", "submit"),
        ("ingest_scan", "job scan_jobs"),
        ("ingest_scan", "sandbox scan"),
        ("scoring", "intake.submissions submission.accepted.v1"),
        ("scoring_worker", "job score"),
        ("scoring_worker", "sandbox score"),
        ("ranking", "scoring.scores score.completed.v1"),
        ("notify", "scoring.scores score.completed.v1"),
        ("notify_worker", "webhook"),
    }
    assert wanted <= seen, f"{wanted - seen} is not in\n{tree(spans)}"
    (submit,) = [span for span in spans if span.name == "submit"]
    (request,) = submit.links
    assert request != mine, "the request that submitted has a trace of its own, and is linked"


async def test_what_an_operator_begins_anew_is_a_trace_of_its_own_that_is_linked_to_the_old(
    tmp_path: Path, programs: Programs, rng: random.Random
) -> None:
    old, new = secrets.token_hex(16), secrets.token_hex(16)
    with Collector() as collector:
        async with traced(tmp_path / "platform", programs, collector.url, rng) as competition:
            key, team = competition.keys["operator"], competition.teams[0]
            async with competition.platform.held_down("scoring-worker"):
                upload = await competition.upload(team, competition.dataset(), trace=f"00-{old}-{'1' * 16}-01")
                submission = await competition.submit_upload(team, upload)

                async def queued() -> bool:
                    jobs = (await competition.call("GET", "/v1/ops/scoring/jobs", key)).json()["jobs"]
                    return any(job["submission"] == submission for job in jobs)

                await until(queued, "its score waits")
                asked = await competition.call(
                    "POST",
                    f"/v1/ops/scoring/requeue/{submission}",
                    key,
                    headers={"traceparent": f"00-{new}-{'2' * 16}-01"},
                )
                assert asked.json()["brought_forward"]
            assert await competition.settled() == {"ranked": 1}

            async def told() -> bool:
                return any(span.name == "job score" for span in collector.trace(new))

            await until(told, "the score is in the operator's trace")
    (requeue,) = [span for span in collector.trace(new) if span.name == "requeue"]
    assert requeue.links == (old,)
    names = {(span.process, span.name) for span in collector.trace(new)}
    assert ("ranking", "scoring.scores score.completed.v1") in names, (
        f"what followed is there:\n{tree(collector.trace(new))}"
    )
    assert not [span for span in collector.trace(old) if span.name == "job score"]


def _orphans(spans: list[Span]) -> list[Span]:
    """The spans whose cause is missing; the first was caused by the client."""
    known = {span.id for span in spans} | {"1" * 16}
    return [span for span in spans if span.parent not in known]


async def test_a_collector_that_is_away_costs_traces_and_no_submission(
    tmp_path: Path, programs: Programs, rng: random.Random
) -> None:
    """Fault 37."""
    nobody = f"http://127.0.0.1:{free_port()}"
    async with traced(tmp_path / "platform", programs, nobody, rng) as competition:
        for _ in range(3):
            await competition.submit(competition.teams[0])
        assert await competition.check_promises() == {"ranked": 3}
        log = (competition.platform.state / "logs" / "ingest.log").read_text()
    assert "Connection refused" in log or "Failed to export" in log, "the collector was asked for, and was away"
