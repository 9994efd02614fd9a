"""Real HTTP receivers on loopback that behave as they are told, well or badly, and remember what came."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Behave = Callable[[asyncio.StreamWriter, Received], Awaitable[None]]


def answer(status: int, body: bytes = b"", **headers: str) -> Behave:
    """A complete answer."""

    async def behave(writer: asyncio.StreamWriter, _: Received) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return behave


async def never_answer(writer: asyncio.StreamWriter, _: Received) -> None:
    """Takes the request and says nothing until the caller hangs up."""
    await writer.wait_closed()


async def drip(writer: asyncio.StreamWriter, _: Received) -> None:
    """Answers 200 and then one byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


@dataclass
class HugeAnswer:
    """Answers 200 with a body of a gigabyte, and counts what it got rid of."""

    size: int = 1 << 30
    sent: int = 0

    async def __call__(self, writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {self.size}\r\n\r\n".encode())
        while self.sent < self.size and not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()
            self.sent += 65536


async def nonsense(writer: asyncio.StreamWriter, _: Received) -> None:
    """Answers something that is not HTTP."""
    writer.write(b"220 mail.example.org ESMTP\r\n")
    await writer.drain()
    writer.close()


async def hang_up(writer: asyncio.StreamWriter, _: Received) -> None:
    """Closes the connection without an answer."""
    writer.close()


@dataclass
class Receiver:
    """A receiver's address and everything that arrived there."""

    url: str
    port: int
    behave: Behave
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def arrive(self, request: Received) -> None:
        """Remembers a request."""
        async with self._arrived:
            self.received.append(request)
            self._arrived.notify_all()

    async def until(self, count: int, seconds: float = 20.0) -> list[Received]:
        """Waits until `count` requests have come."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received


@contextlib.asynccontextmanager
async def receiver(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port; everything it holds open is closed at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        here.connections += 1
        try:
            while request := await _read(reader):
                await here.arrive(request)
                await here.behave(writer, request)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    here = Receiver(f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook?key=1", port, behave)
    try:
        yield here
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own making for `host`, and a client's that trusts just that one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
