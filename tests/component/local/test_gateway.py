"""The gateway as a process of its own in front of real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import free_port
from deploy.local.process import Process

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def backend(port: int, conversation: Conversation) -> AsyncIterator[None]:
    """A server of which each connection is one scripted conversation, byte for byte."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await conversation(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(converse, "127.0.0.1", port):
        yield


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """The ports of a gateway and of the board and ingest behind it; nobody serves on the latter yet."""
    port, behind = free_port(), free_port()
    command = [sys.executable, "-m", "deploy.local.gateway", "--port", str(port)]
    command += ["--backend", f"board=127.0.0.1:{behind}", "--backend", f"ingest=127.0.0.1:{behind}"]
    process = Process("gateway", command, log=tmp_path / "gateway.log")
    process.start()
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.ConnectError:
                assert process.running, str(process.failed("ended"))
                await asyncio.sleep(0.02)
    yield port, behind
    assert process.running, str(process.failed("ended"))
    assert await process.stop() == 0


async def head_of(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")


async def test_headers_path_and_query_arrive_as_they_were_sent_and_come_back(ports: tuple[int, int]) -> None:
    port, behind = ports
    seen: list[str] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head_of(reader))
        seen.append((await reader.readexactly(5)).decode())
        writer.write(
            b"HTTP/1.1 201 Created\r\nLocation: /v1/uploads/upl_1\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 5\r\n"
            b'ETag: "7"\r\nLink: </v1/challenges?after=x>; rel="next"\r\nConnection: x-private\r\nX-Private: 1\r\n'
            b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
        )
        await writer.drain()

    async with backend(behind, conversation), httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{port}/v1/uploads/a%2Fb%20c?after=%3D&q=%E6%8F%AD",
            content=b"hello",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Metadata": "filename eA==",
                "Idempotency-Key": "k1",
                "X-Forwarded-For": "6.6.6.6",
                "Connection": "keep-alive, x-mine",
                "X-Mine": "1",
            },
        )

    lines = seen[0].split("\r\n")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:] if line}
    assert lines[0] == "POST /v1/uploads/a%2Fb%20c?after=%3D&q=%E6%8F%AD HTTP/1.1"
    assert headers["content-length"] == "5"
    assert headers["tus-resumable"] == "1.0.0"
    assert headers["upload-metadata"] == "filename eA=="
    assert headers["idempotency-key"] == "k1"
    assert headers["host"] == headers["x-forwarded-host"] == f"127.0.0.1:{port}"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert "x-mine" not in headers
    assert seen[1] == "hello"
    assert answer.status_code == 201
    assert answer.text == "ok"
    assert answer.headers["location"] == "/v1/uploads/upl_1"
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["upload-offset"] == "5"
    assert answer.headers["etag"] == '"7"'
    assert answer.headers["link"] == '</v1/challenges?after=x>; rel="next"'
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "x-private" not in answer.headers


async def test_an_absent_backend_is_a_problem_document_and_is_used_again_once_it_is_back(
    ports: tuple[int, int],
) -> None:
    port, behind = ports

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")
        await writer.drain()

    async with httpx.AsyncClient() as client:
        away = await client.get(f"http://127.0.0.1:{port}/v1/challenges")
        async with backend(behind, conversation):
            back = await client.get(f"http://127.0.0.1:{port}/v1/challenges")

    assert away.status_code == 503
    assert away.headers["content-type"].startswith("application/problem+json")
    assert away.headers["retry-after"] == "1"
    assert away.json()["code"] == "service_unavailable"
    assert away.json()["fault"] == "platform"
    assert back.text == "back"


async def test_internal_addresses_are_never_forwarded(ports: tuple[int, int]) -> None:
    port, behind = ports
    asked: list[str] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await head_of(reader))

    async with backend(behind, conversation), httpx.AsyncClient() as client:
        for path in ("/livez", "/readyz", "/metrics", "/v1/nothing"):
            answer = await client.get(f"http://127.0.0.1:{port}{path}")
            assert answer.status_code == 404
            assert answer.json()["code"] == "unknown_route"
    assert asked == []


async def test_each_event_of_a_stream_passes_before_the_next_is_written(ports: tuple[int, int]) -> None:
    port, behind = ports
    go_on = asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            event = f"id: {number}\n\n".encode()
            writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            await writer.drain()
            await go_on.wait()
            go_on.clear()
        writer.write(b"0\r\n\r\n")

    async with (
        backend(behind, conversation),
        httpx.AsyncClient() as client,
        client.stream("GET", f"http://127.0.0.1:{port}/v1/submissions/s/events") as answer,
    ):
        received = []
        async with asyncio.timeout(20):
            async for event in answer.aiter_raw():
                received.append(event)  # the backend writes the next event only now
                go_on.set()
    assert received == [b"id: 0\n\n", b"id: 1\n\n", b"id: 2\n\n"]


async def test_an_answer_that_breaks_off_is_not_passed_on_as_a_whole_one(ports: tuple[int, int]) -> None:
    port, behind = ports

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await writer.drain()

    async with backend(behind, conversation), httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{port}/v1/challenges")


async def test_a_backend_that_closes_without_an_answer_is_a_502_and_no_500(ports: tuple[int, int]) -> None:
    port, behind = ports

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)

    async with backend(behind, conversation), httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{port}/v1/submissions", json={})
    assert answer.status_code == 502
    assert answer.json()["code"] == "service_unavailable"


async def test_a_refusal_passes_while_the_body_is_still_being_sent(ports: tuple[int, int]) -> None:
    port, behind = ports

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await writer.drain()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(1 << 16)
            await asyncio.sleep(0.01)

    async with backend(behind, conversation):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PATCH /v1/uploads/u HTTP/1.1\r\nHost: x\r\nContent-Length: 65536000\r\n\r\n")
        sending = asyncio.create_task(send(writer, endless()))
        async with asyncio.timeout(20):
            assert "413" in await head_of(reader)
            assert await reader.readexactly(3) == b"big"
        sending.cancel()
        writer.close()


async def send(writer: asyncio.StreamWriter, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        writer.write(chunk)
        await writer.drain()


async def test_a_body_is_asked_for_only_when_the_backend_asks(ports: tuple[int, int]) -> None:
    port, behind = ports

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await head_of(reader)
        if "/refused" in head:
            writer.write(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await reader.readexactly(4) == b"body"
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with backend(behind, conversation), asyncio.timeout(20):
        for upload, answers in (("refused", ["409"]), ("taken", ["100", "204"])):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                f"PATCH /v1/uploads/{upload} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
            )
            writer.write(head.encode())
            assert (await head_of(reader)).split()[1] == answers[0]
            if answers[0] == "100":
                writer.write(b"body")
                assert (await head_of(reader)).split()[1] == answers[1]
            writer.close()


async def test_a_client_that_breaks_off_breaks_the_upload_at_the_backend(ports: tuple[int, int]) -> None:
    port, behind = ports
    got: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    arrived = asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        arrived.set()
        count = 0
        try:
            while chunk := await reader.read(65536):
                count += len(chunk)
        except ConnectionResetError:
            pass
        got.set_result(count)

    async with backend(behind, conversation), asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PATCH /v1/uploads/u HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 300)
        await arrived.wait()
        writer.close()
        assert await got <= 300


@pytest.mark.parametrize("value", [b"Bearer caf\xe9", b"Bearer \xe6\x8f\xad", b"Bearer \x80\xff"])
async def test_a_credential_that_is_not_ascii_reaches_the_backend_as_not_ascii(
    ports: tuple[int, int], value: bytes
) -> None:
    port, behind = ports
    seen: list[str] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head_of(reader))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with backend(behind, conversation), asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/quota HTTP/1.1\r\nHost: x\r\nAuthorization: " + value + b"\r\n\r\n")
        assert (await head_of(reader)).split()[1] == "401"
        writer.close()
    (line,) = [line for line in seen[0].split("\r\n") if line.startswith("Authorization: Bearer ")]
    assert not line.isascii()


async def test_answers_without_a_body_keep_their_headers(ports: tuple[int, int]) -> None:
    port, behind = ports

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await head_of(reader)).startswith("HEAD"):
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nUpload-Offset: 99\r\nCache-Control: no-store\r\n\r\n"
            )
        else:
            writer.write(b'HTTP/1.1 304 Not Modified\r\nETag: "9"\r\n\r\n')
        await writer.drain()

    async with backend(behind, conversation), httpx.AsyncClient() as client:
        head = await client.head(f"http://127.0.0.1:{port}/v1/uploads/u")
        unchanged = await client.get(f"http://127.0.0.1:{port}/v1/challenges")
    assert (head.status_code, head.headers["content-length"], head.headers["upload-offset"]) == (200, "1234", "99")
    assert (unchanged.status_code, unchanged.headers["etag"], unchanged.content) == (304, '"9"', b"")


async def test_a_large_upload_passes_in_flat_memory_even_to_a_slow_backend(tmp_path: Path) -> None:
    port, behind = free_port(), free_port()
    size, count = 512 << 20, 0

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        await head_of(reader)
        while count < size:
            count += len(await reader.read(1 << 20))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async def body() -> AsyncIterator[bytes]:
        piece = bytes(1 << 20)
        for _ in range(size >> 20):
            yield piece

    command = [sys.executable, "-m", "deploy.local.gateway", "--port", str(port)]
    gateway = Process("gateway", [*command, "--backend", f"ingest=127.0.0.1:{behind}"], log=tmp_path / "log")
    gateway.start()
    async with backend(behind, conversation), httpx.AsyncClient(timeout=60) as client, asyncio.timeout(120):
        while True:
            try:
                before = await client.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
        answer = await client.patch(
            f"http://127.0.0.1:{port}/v1/uploads/u", content=body(), headers={"Content-Length": str(size)}
        )
        peak = peak_memory(gateway.pid)
    await gateway.stop()
    assert json.loads(before.text)["code"] == "unknown_route"
    assert answer.status_code == 204
    assert count == size
    assert peak < 100 << 20


def peak_memory(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10
