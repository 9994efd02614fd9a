"""A service as its next version may be: every event that it writes has fields that nobody here knows.

Run as `python -m tests.system.newer`; `NEWER` names the module of the service.
"""

from __future__ import annotations

import json
import os
import runpy
from typing import Any

from shared.contracts.envelope import Event

ENVELOPE = {"dataschema": "https://example.org/schemas/next", "tenant": "north"}
DATA = {"confidence": {"low": "0.100000", "high": "0.900000"}, "remarks": ["new", "来自新版本"], "revised": None}


def newer(body: bytes) -> bytes:
    """An event as the next version would have written it: new fields in the envelope, in its data and deep inside."""
    event: dict[str, Any] = json.loads(body)
    for items in event["data"].values():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                item["since"] = "next"
    return json.dumps({**event, **ENVELOPE, "data": {**event["data"], **DATA}}, ensure_ascii=False).encode()


def is_newer(body: bytes) -> bool:
    """Whether an event was written by the next version."""
    return json.loads(body).get("tenant") == ENVELOPE["tenant"]


if __name__ == "__main__":
    encode = Event.encode
    Event.encode = lambda event: newer(encode(event))  # type: ignore[method-assign]
    runpy.run_module(os.environ["NEWER"], run_name="__main__")
