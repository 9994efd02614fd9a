"""Each house rule finds its offence, and lets the right way through."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_PATH = Path(__file__).resolve().parents[2] / ".ci" / "house_rules.py"
_SPEC = importlib.util.spec_from_file_location("house_rules", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
house_rules = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(house_rules)

OFFENCES = [
    ("shared/kafka.py", 'broker.subscriber("t", group_id="g")', "no_reply"),
    ("shared/kafka.py", 'broker.subscriber("t", no_reply=True)', "group_id"),
    ("services/board/commands.py", "await broker.publish(event)", "outbox"),
    ("services/board/store.py", 'await c.update_one({"_id": key}, {"$set": {}})', "unguarded"),
    ("services/board/store.py", 'await c.find_one_and_update({"_id": key}, {"$set": {}})', "unguarded"),
    ("services/board/commands.py", "now = datetime.now(UTC)", "shared.clock"),
    ("services/board/commands.py", "key = uuid4()", "shared.ids"),
    ("services/board/commands.py", "import motor.motor_asyncio", "MongoDB driver"),
    ("services/board/commands.py", "from faststream.kafka import KafkaBroker", "Kafka"),
    ("services/ranking/projection.py", "import fastapi", "pure rules"),
    ("jiebang/cli/board.py", "from rich.markup import escape", "disarms a terminal"),
    ("jiebang/cli/board.py", "from rich import markup", "disarms a terminal"),
    ("services/board/commands.py", "client = httpx.AsyncClient()", "module level"),
    ("services/board/app.py", "x = 1\n" * 61, "composition root"),
    ("services/board/handlers.py", "async def on(event):\n" + "    x = 1\n" * 16, "at most 15 lines"),
]

RIGHT = [
    ("shared/kafka.py", 'broker.subscriber("t", group_id="g", no_reply=True)'),
    ("shared/outbox.py", "await broker.publish(event)"),
    ("services/board/store.py", 'await c.update_one({"_id": key, "version": 3}, {"$set": {}})'),
    ("services/board/store.py", "import motor.motor_asyncio"),
    ("shared/clock.py", "now = datetime.now(UTC)"),
    ("jiebang/cli/terminal.py", "from rich import markup"),
    ("services/board/app.py", "async def main():\n    client = httpx.AsyncClient()"),
    ("services/board/handlers.py", "async def on(event):\n" + "    x = 1\n" * 15),
]


@pytest.mark.parametrize(("path", "source", "says"), OFFENCES)
def test_an_offence_is_found_once(path: str, source: str, says: str) -> None:
    found = list(house_rules.findings(path, source))
    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize(("path", "source"), RIGHT)
def test_the_right_way_passes(path: str, source: str) -> None:
    assert list(house_rules.findings(path, source)) == []
