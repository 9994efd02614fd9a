"""A TCP proxy in front of a real Kafka broker that can be told to misbehave, and counts what it did.

`KafkaServer(…, for_tests=True)` has a listener whose clients come through it. Faults on the Kafka protocol decode a
real response, change its error codes and send it on: the broker did the work, the client is told otherwise, which is
the harder half of every such fault. Only a refused commit is a request that is spoiled on its way to the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiokafka.protocol import commit, produce

PRODUCE, OFFSET_COMMIT = 0, 8
NOT_LEADER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND = 6, 7, 19, 20
COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16

_RESPONSES: dict[tuple[int, int], Any] = {
    **{(PRODUCE, version): getattr(produce, f"ProduceResponse_v{version}") for version in range(9)},
    **{(OFFSET_COMMIT, version): getattr(commit, f"OffsetCommitResponse_v{version}") for version in range(4)},
}


@dataclass
class _Fault:
    api: int
    error_code: int | None
    """None: the connection is closed before the answer reaches the client."""
    left: int


@dataclass
class BrokerProxy:
    """Forwards connections to `target`; `happened` counts every fault by name, as proof that it took place."""

    target: tuple[str, int]
    port: int
    seed: int = 0
    latency: float = 0.0
    """Seconds that each request, and each answer, is late."""
    reset_share: float = 0.0
    """The share of requests and answers in whose place the connection is reset."""
    frozen: bool = False
    """Connections are taken and stay open, and nothing comes out of them."""
    happened: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    requests: Counter[int] = field(default_factory=Counter)
    """What clients asked for, by api: shows a storm of retries."""
    _faults: list[_Fault] = field(default_factory=list)
    _commits_to_refuse: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def answer_with(self, api: int, error_code: int, times: int) -> None:
        """Turn the next `times` answers to `api` into errors, although the broker did as it was asked."""
        self._faults.append(_Fault(api, error_code, times))

    def lose_answers(self, api: int, times: int) -> None:
        """Close the connection instead of handing over the next `times` answers to `api`."""
        self._faults.append(_Fault(api, None, times))

    def refuse_commits(self, times: int) -> None:
        """Make the broker refuse the next `times` offset commits: they come as if of another generation."""
        self._commits_to_refuse += times

    async def start(self) -> None:
        """Listen on the loopback address."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """Reset every open connection once."""
        for task in list(self._connections):
            task.cancel()
            self.happened["cut"] += 1

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
        upstream: asyncio.StreamWriter | None = None
        try:
            from_broker, upstream = await asyncio.open_connection(*self.target)
            asked: dict[int, tuple[int, int]] = {}
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, upstream, asked))
                both.create_task(self._answers(from_broker, writer, asked))
        except* (ConnectionError, asyncio.IncompleteReadError, OSError):
            self.happened["closed"] += 1
        finally:
            self._connections.discard(task)
            for end in (writer, upstream):
                if end is not None:
                    end.transport.abort()

    async def _hold(self) -> None:
        if self.latency:
            self.happened["delayed"] += 1
            await asyncio.sleep(self.latency)
        while self.frozen:
            self.happened["held"] += 1
            await asyncio.sleep(0.05)
        if self.reset_share and self._random.random() < self.reset_share:
            self.happened["reset"] += 1
            raise ConnectionResetError

    async def _requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        while True:
            frame = await _frame(reader)
            api, version, correlation = struct.unpack_from(">hhi", frame)
            asked[correlation] = (api, version)
            self.requests[api] += 1
            await self._hold()
            if api == OFFSET_COMMIT and self._commits_to_refuse:
                self._commits_to_refuse -= 1
                self.happened["commit refused"] += 1
                frame = _of_another_generation(frame)
            upstream.write(struct.pack(">i", len(frame)) + frame)
            await upstream.drain()

    async def _answers(
        self, from_broker: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        while True:
            frame = await _frame(from_broker)
            (correlation,) = struct.unpack_from(">i", frame)
            api, version = asked.pop(correlation, (-1, 0))
            await self._hold()
            frame = self._changed(api, version, frame)
            writer.write(struct.pack(">i", len(frame)) + frame)
            await writer.drain()

    def _changed(self, api: int, version: int, frame: bytes) -> bytes:
        fault = next((one for one in self._faults if one.api == api and one.left > 0), None)
        if fault is None:
            return frame
        fault.left -= 1
        if fault.error_code is None:
            self.happened[f"lost:{api}"] += 1
            raise ConnectionResetError
        answer = _RESPONSES[api, version].decode(BytesIO(frame[4:]))
        answer.topics = [
            (topic, [(row[0], fault.error_code, *row[2:]) for row in partitions]) for topic, partitions in answer.topics
        ]
        self.happened[f"error:{api}:{fault.error_code}"] += 1
        return bytes(frame[:4]) + bytes(answer.encode())


def _of_another_generation(frame: bytes) -> bytes:
    """An offset commit (version 1 or later) with a generation that its group never had."""
    at = 8  # behind the api, its version and the correlation id
    for _ in ("client id", "group"):
        (length,) = struct.unpack_from(">h", frame, at)
        at += 2 + max(0, length)
    (generation,) = struct.unpack_from(">i", frame, at)
    return frame[:at] + struct.pack(">i", generation + 1_000) + frame[at + 4 :]


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


@contextlib.asynccontextmanager
async def proxy(target: tuple[str, int], port: int, seed: int = 0) -> AsyncIterator[BrokerProxy]:
    """A running proxy for the length of a block."""
    running = BrokerProxy(target, port, seed)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
