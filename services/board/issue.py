"""The first API keys of a platform: `python -m services.board.issue --role organiser` prints one as JSON.

Whoever can reach the board's database can run it; there is no other way to the first organiser and operator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from services.board import commands
from services.board.api import credential_view
from services.board.settings import BoardSettings
from services.board.store import MongoStore
from shared import logs
from shared.clock import SystemClock
from shared.contracts.board import Role
from shared.failures import DependencyDown
from shared.ids import SystemIds
from shared.kafka import Producer
from shared.mongo import client, database
from shared.outbox import Relay
from shared.problems import Problem

_PUBLISH_SECONDS = 10.0


async def issue(role: Role, owner: str | None, settings: BoardSettings) -> dict[str, object]:
    """Issues a key and publishes its event; without a broker the running board publishes it later.

    Raises `DependencyDown` without a database, `Problem` for an owner that cannot have the role.
    """
    connection, producer, ids = client(settings), Producer(settings), SystemIds()
    relay = Relay(producer, topic_prefix=settings.kafka_topic_prefix)
    try:
        try:
            await producer.start()
        except DependencyDown as error:
            sys.stderr.write(f"{error}; other services learn of the key when the board can tell them\n")
        store = MongoStore(database(connection, settings, "board"), relay=relay, clock=SystemClock(), ids=ids)
        owner = owner or ids.new(commands.OWNER_PREFIXES[role])
        issued = await commands.issue_credential(ids.new("key"), role, owner, store=store)
        await relay.stop(_PUBLISH_SECONDS)
        return {"credential": credential_view(issued.credential), "key": issued.key.key}
    finally:
        await producer.stop()
        connection.close()


def main() -> int:
    """Prints the new key as one line of JSON; 0 done, 1 refused, 3 the database could not be reached."""
    parser = argparse.ArgumentParser(prog="python -m services.board.issue", description=__doc__)
    parser.add_argument("--role", required=True, choices=[role.value for role in Role])
    parser.add_argument("--owner", help="id of the owner; a new one if left out")
    given = parser.parse_args()
    settings = BoardSettings.load_or_exit()
    logs.configure("board-issue", "WARNING")
    try:
        with settings.exit_if_wrong():
            answer = asyncio.run(issue(Role(given.role), given.owner, settings))
    except Problem as problem:
        sys.stderr.write(f"{problem.title} {problem.detail}\n")
        return 1
    except DependencyDown as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
