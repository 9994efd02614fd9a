"""`python -m deploy.local.observe`: Prometheus watches; every dashboard has data, and each fault calls its alert."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
import yaml
from aiokafka import AIOKafkaProducer

from deploy.local.demo.entries import ENTRIES
from deploy.local.demo.play import Competition, PlayFailed
from deploy.local.demo.receiver import Receiver
from deploy.local.fetch import FetchFailed
from deploy.local.keys import issue
from deploy.local.platform import Platform
from deploy.local.process import StartFailed
from deploy.local.prometheus import RULES, scrape_seconds
from deploy.local.services import SERVICE_PROCESSES
from deploy.observability.queries import queries, without_data
from jiebang.client import Client
from jiebang.errors import JiebangError
from jiebang.packing import Package
from shared.contracts.registry import topics
from shared.logs import configure

CHALLENGE = "penguins"
POISONED = "scoring.scores"
_PATIENCE = 240.0


class NotObserved(Exception):
    """An alert did not fire, or did not end, or another one fired; the message says which."""


class Watch:
    """What Prometheus says of a platform."""

    def __init__(self, url: str, every: float) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)
        self._every = every

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that a query finds now."""
        answer = await self._client.get("/api/v1/query", params={"query": expression})
        body = answer.json()
        if body["status"] != "success":
            raise NotObserved(f"{expression}: {body['error']}")
        found: list[dict[str, Any]] = body["data"]["result"]
        return found

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = (await self._client.get("/api/v1/alerts")).json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    async def fired_since(self, moment: float) -> set[str]:
        """The names of the alerts that fired at any time since then."""
        seconds = max(1, round(time.time() - moment))
        found = await self.query(f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s]))')
        return {series["metric"]["alertname"] for series in found}

    async def until(self, wanted: Callable[[set[str]], bool], what: str) -> float:
        """Wait until the alerts that fire are as wanted; how many seconds it took.

        Raises:
            NotObserved: it took too long.
        """
        begun = time.monotonic()
        while not wanted(firing := await self.firing()):
            if time.monotonic() - begun > _PATIENCE:
                raise NotObserved(f"{what}: not within {_PATIENCE:.0f} s; what fires: {sorted(firing) or 'nothing'}")
            await asyncio.sleep(self._every / 2)
        return time.monotonic() - begun

    async def settle(self) -> None:
        """Let everything be asked and evaluated a few times more."""
        await asyncio.sleep(5 * self._every + 5)


class Rehearsal:
    """A platform that is watched, the load on it, and the faults."""

    def __init__(self, platform: Platform, watch: Watch, keys: dict[str, str], competition: Competition) -> None:
        self.platform = platform
        self.watch = watch
        self._keys = keys
        self._competition = competition
        self._teams = 0

    def submit(self, folder: Path) -> str:
        """A submission by a team of its own; its id."""
        self._teams += 1
        challenge = self._competition.posted[CHALLENGE].id
        with Client(self.platform.url, self._keys["organiser"]) as organiser:
            names = {"zh": f"观测队{self._teams}", "en": f"Observers {self._teams}"}
            made = organiser.post("/v1/teams", {"name": names, "organisation": "Observers"})
        with Client(self.platform.url, made["key"]) as team:
            team.post(f"/v1/challenges/{challenge}/registrations")
            entry = next(entry for entry in ENTRIES if entry.challenge == CHALLENGE and not entry.refused)
            own = folder / f"entry-{self._teams}"
            own.mkdir()
            package = Package(entry.write(own))
            return str(team.submit(challenge, team.upload(package, package.sha256()))["id"])

    @asynccontextmanager
    async def a_stage_stopped(self, folder: Path) -> AsyncIterator[None]:
        """The scoring worker is killed and kept down while a submission waits for it."""
        async with self.platform.held_down("scoring-worker"):
            await asyncio.to_thread(self.submit, folder)
            yield

    @asynccontextmanager
    async def a_poison_message(self, folder: Path) -> AsyncIterator[None]:
        """A record that is no event lies in a topic; at the end an operator discards the dead letters."""
        producer = AIOKafkaProducer(bootstrap_servers=self.platform.kafka_bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(POISONED, b'{"this is": "no event"', key=b"poison")
        finally:
            await producer.stop()
        yield
        (readers,) = [topic.readers for topic in topics() if topic.name == POISONED]
        await asyncio.to_thread(self._discard, readers)

    def _discard(self, services: tuple[str, ...]) -> None:
        with Client(self.platform.url, self._keys["operator"]) as operator:
            for service in services:
                letters = operator.get(f"/v1/ops/{quote(service)}/dead-letters")["dead_letters"]
                if not letters:
                    raise NotObserved(f"{service} has no dead letter: the poison was not read")
                operator.post(
                    f"/v1/ops/{quote(service)}/dead-letters/discard", {"ids": [letter["id"] for letter in letters]}
                )

    @asynccontextmanager
    async def a_dead_receiver(self, folder: Path) -> AsyncIterator[None]:
        """A sponsor's endpoint goes away and its events are refused; at the end it is back and takes one."""
        sponsor = self._competition.posted[CHALLENGE].sponsor
        with Receiver() as receiver:
            url = receiver.url_for("observers")
        filters = {"challenges": [self._competition.posted[CHALLENGE].id], "types": ["score.completed.v1"]}
        made = sponsor.post("/v1/subscriptions", {"url": url, "filters": filters, "description": "Observers"})
        await asyncio.to_thread(self.submit, folder)
        yield
        with Receiver(port=receiver.port) as back:
            back.trust("observers", made["secret"])
            await asyncio.to_thread(self.submit, folder)
            deadline = time.monotonic() + _PATIENCE
            while not any(delivery.verified for delivery in back.deliveries):
                if time.monotonic() > deadline:
                    raise NotObserved("the endpoint that is back was sent nothing")
                await asyncio.sleep(0.2)


def observe(
    time_factor: Annotated[
        float, typer.Option(help="What every `for` and range of the alerts is multiplied by, to take minutes.")
    ] = 0.1,
) -> None:
    """Play the demo while Prometheus watches: every alert is quiet, every panel of the dashboards has data.

    Then three faults: each calls its alert alone.
    """
    configure("observe", "ERROR")
    state = Path(tempfile.mkdtemp(prefix="jiebang-observe-"))
    begun = time.monotonic()
    try:
        asyncio.run(_observe(state, time_factor))
    except (StartFailed, FetchFailed, PlayFailed, JiebangError, NotObserved) as failed:
        print(f"\nNot observed as it must be: {failed}\nThe logs of all parts are in {state}/logs.", file=sys.stderr)
        raise typer.Exit(1) from None
    shutil.rmtree(state)
    print(f"Done in {time.monotonic() - begun:.0f} s; nothing is left running.")


async def _observe(state: Path, time_factor: float) -> None:
    names = {
        rule["alert"]
        for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    async with AsyncExitStack() as stack:
        platform = Platform(state / "platform", prometheus=True, alert_time_factor=time_factor)
        await platform.start()
        stack.push_async_callback(platform.stop)
        watch = Watch(platform.prometheus_url, scrape_seconds(time_factor))
        stack.push_async_callback(watch.close)
        receiver = stack.enter_context(Receiver())
        keys = {role: await issue(platform, role) for role in ("organiser", "operator")}
        (state / "demo").mkdir()
        competition = Competition(platform.url, keys["organiser"], state / "demo", receiver)
        began = time.time()
        await asyncio.to_thread(competition.play)
        await watch.settle()
        up = {series["metric"]["job"] for series in await watch.query("up == 1")}
        if missing := {row.name for row in SERVICE_PROCESSES} - up:
            raise NotObserved(f"these processes are not asked for their metrics: {sorted(missing)}")
        if fired := await watch.fired_since(began):
            raise NotObserved(f"with nothing wrong these fired: {sorted(fired)}")
        print(f"the demo       {len(competition.attempts)} submissions, all {len(names)} alerts quiet")
        asked = sum(1 for _ in queries())
        if unanswered := await asyncio.to_thread(without_data, platform.prometheus_url, since=began, window="1m"):
            raise NotObserved("these queries of the dashboards find no data:\n" + "\n".join(unanswered))
        print(f"dashboards     all {asked} queries find data")
        rehearsal = Rehearsal(platform, watch, keys, competition)
        for title, fault, expected in (
            ("stage stopped", rehearsal.a_stage_stopped, "StageStopped"),
            ("poison", rehearsal.a_poison_message, "DeadLetters"),
            ("dead receiver", rehearsal.a_dead_receiver, "ReceiverFailing"),
        ):
            began = time.time()
            async with fault(state):
                fires = await watch.until(lambda firing, name=expected: name in firing, f"{expected} fires")  # type: ignore[misc]
            ends = await watch.until(lambda firing: not firing, f"{expected} ends")
            await watch.settle()
            fired = await watch.fired_since(began)
            if fired != {expected}:
                raise NotObserved(f"{title}: these fired: {sorted(fired)}; only {expected} was to")
            print(
                f"{title:<14} {expected} fired after {fires:.0f} s and ended {ends:.0f} s after the fault; no other did"
            )


if __name__ == "__main__":
    typer.run(observe)
