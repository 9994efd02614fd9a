"""The clients of the platform benchmarks: a process of its own, so that its cost is not counted as the platform's."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

ROWS = 20
AT_ONCE = 24


@dataclass(frozen=True)
class Load:
    """What to submit: `count` small datasets by turns of the teams, as fast as it goes or `rate` a second."""

    url: str
    challenge: str
    keys: tuple[str, ...]
    count: int
    rate: float | None = None
    """None: as fast as the platform takes them, 24 at once, and nobody watches single submissions."""


def dataset(number: int, rows: int = ROWS) -> bytes:
    """A small table that no other number gives."""
    lines = ["station,reading,visits,grade"]
    lines += [
        f"S{row},{(number * 37 + row * 11) % 400 / 10:.1f},{number + row},{'abc'[row % 3]}" for row in range(rows)
    ]
    return ("\n".join(lines) + "\n").encode()


async def submit(http: aiohttp.ClientSession, load: Load, number: int) -> tuple[str, str, float]:
    """One dataset from upload to receipt: the key that may read it, the moment its upload was complete."""
    key = load.keys[number % len(load.keys)]
    body = dataset(number)
    described = {"filename": "readings.csv", "sha256": hashlib.sha256(body).hexdigest()}
    metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in described.items())
    headers = {
        "Authorization": f"Bearer {key}",
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(body)),
        "Upload-Metadata": metadata,
        "Content-Type": "application/offset+octet-stream",
    }
    async with http.post("/v1/uploads", data=body, headers=headers) as answer:
        if answer.status != 201:
            raise RuntimeError(f"upload: {answer.status} {await answer.text()}")
        upload = answer.headers["Location"].rsplit("/", 1)[1]
    complete = time.perf_counter()
    while True:
        asked = {"Authorization": f"Bearer {key}", "Idempotency-Key": secrets.token_hex(12)}
        wanted = {"challenge": load.challenge, "upload": upload}
        async with http.post("/v1/submissions", json=wanted, headers=asked) as answer:
            told = await answer.json()
            if answer.status == 201:
                return told["id"], key, complete
            if told.get("code") != "upload_not_verified":
                raise RuntimeError(f"submission: {answer.status} {told}")
        await asyncio.sleep(0.05)


async def _watched(http: aiohttp.ClientSession, load: Load, number: int) -> float:
    """Seconds from the upload's last byte to the moment the team sees its rank."""
    submission, key, complete = await submit(http, load, number)
    while True:
        async with http.get(f"/v1/submissions/{submission}", headers={"Authorization": f"Bearer {key}"}) as answer:
            state = (await answer.json())["state"]
        if state == "ranked":
            return time.perf_counter() - complete
        if state in {"rejected", "failed", "cancelled"}:
            raise RuntimeError(f"{submission} ended {state}")
        await asyncio.sleep(0.05)


async def _ranked(http: aiohttp.ClientSession, load: Load, expected: int) -> None:
    """Wait until the board has recorded `expected` submissions."""
    while True:
        recorded, path = 0, f"/v1/leaderboards/{load.challenge}?limit=200"
        while path:
            async with http.get(path) as answer:
                board = await answer.json()
            recorded += sum(entry["submissions"] for entry in board["entries"])
            following = board["next"] if not board["provisional"] else None
            path = f"/v1/leaderboards/{load.challenge}?limit=200&after={following}" if following else ""
        if not board["provisional"] and recorded >= expected:
            return
        await asyncio.sleep(0.25)


async def play(load: Load, already: int) -> dict[str, Any]:
    """Submit everything; `already` submissions of the challenge were ranked before."""
    connector = aiohttp.TCPConnector(limit=AT_ONCE * 2)
    async with aiohttp.ClientSession(load.url, connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as http:
        began = time.perf_counter()
        latencies: list[float] = []
        if load.rate is None:
            gate = asyncio.Semaphore(AT_ONCE)

            async def one(number: int) -> None:
                async with gate:
                    await submit(http, load, number)

            await asyncio.gather(*(one(already + number) for number in range(load.count)))
            await _ranked(http, load, already + load.count)
        else:
            tasks = []
            for number in range(load.count):
                await asyncio.sleep(max(0.0, began + number / load.rate - time.perf_counter()))
                tasks.append(asyncio.create_task(_watched(http, load, already + number)))
            latencies = list(await asyncio.gather(*tasks))
        return {"seconds": time.perf_counter() - began, "latencies": latencies}


def command(load: Load, already: int) -> list[str]:
    """The command that plays a load in a process of its own and prints its figures."""
    return [sys.executable, "-m", "bench.load", json.dumps(asdict(load)), str(already)]


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(play(Load(**{**given, "keys": tuple(given["keys"])}), int(sys.argv[2])))))
