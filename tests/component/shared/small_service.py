"""A small service as a process of its own, which kills or freezes itself where the test says.

`POST /v1/teams/{id}` stores a team with its event; the event comes back by Kafka and is counted in a tally. `FAULT`
names the place where the process kills itself (`kill …`) or freezes itself (`freeze …`), once: at the first time, if
the file `FAULT_DONE` is not there yet.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from shared.app import Service
from shared.contracts.board import RegistrationAccepted, TeamRegistered
from shared.contracts.envelope import Event, Fact
from shared.settings import Settings


@dataclass(frozen=True)
class Team:
    id: str
    registrations: int = 0


@dataclass(frozen=True)
class Tally:
    team: str
    events: int = 0
    last: int = 0


class SmallSettings(Settings, process="ranking"):
    """As every process has them."""


def fault_at(place: str) -> None:
    """Die or freeze here if this is the place."""
    how, _, where = os.environ.get("FAULT", "").partition(" ")
    done = Path(os.environ.get("FAULT_DONE", "/nonexistent"))
    if where == place and not done.exists():
        done.touch()
        os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSTOP)


def main() -> None:
    service = Service("ranking", SmallSettings.load_or_exit())
    teams = service.aggregates("teams", Team)
    tallies = service.aggregates("tallies", Tally)
    published = service.producer.publish
    begun = Path(os.environ["SLOW"]) if "SLOW" in os.environ else None

    async def publish(
        topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        fault_at("before publish")
        await published(topic, key=key, value=value, headers=headers)
        fault_at("after publish")

    service.producer.publish = publish  # type: ignore[method-assign]

    def count(event: Event[Any]) -> Any:
        def change(tally: Tally) -> tuple[Tally, list[Fact]]:
            return replace(tally, events=tally.events + 1, last=event.sequence), []

        return change

    @service.stream("board.teams")
    async def on_teams(event: Event[Any]) -> None:
        if os.environ.get("FAULT", "").endswith("effect"):
            await service.relay.settle(5)  # so that nothing but the fault makes the event come again
        fault_at("before effect")
        if begun is not None:
            begun.touch()
            await asyncio.sleep(1.5)
        await tallies.update(event.subject, count(event), cause=event, initial=lambda: Tally(event.subject))
        fault_at("after effect")

    routes = APIRouter()

    @routes.post("/v1/teams/{id}", status_code=201)
    async def register(id: str) -> dict[str, str]:
        await teams.add_new(id, Team(id), [TeamRegistered(team=id, members=1)])
        return {"id": id}

    @routes.post("/v1/teams/{id}/registrations")
    async def accept(id: str) -> dict[str, int]:
        def change(team: Team) -> tuple[Team, list[Fact]]:
            accepted = RegistrationAccepted(team=id, challenge=f"chl_{team.registrations}")
            return replace(team, registrations=team.registrations + 1), [accepted]

        return {"registrations": (await teams.update(id, change)).registrations}

    async def dies() -> None:
        await asyncio.sleep(0.1)
        raise ZeroDivisionError("a background loop that ends")

    if os.environ.get("FAULT") == "background":
        service.background("dies", dies)
    service.api(routes)
    service.run()


if __name__ == "__main__":
    main()
