"""Sends one signed event to one receiver that nobody here trusts: to a checked address, for a bounded time and size.

Signatures follow Standard Webhooks 1.0. No redirect is followed, no proxy is used, and what a name resolves to is
looked up once and checked before the connection to that very address is made, so that a name that changes its mind
between the check and the call (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import httpcore
from standardwebhooks import Webhook

from services.notify.addresses import AddressRefused, Endpoint, check_address
from services.notify.delivery import ANSWER_KEPT, Reply
from services.notify.retries import retry_after
from shared.contracts.envelope import CONTENT_TYPE

WHOLE_TIME_OUT = 15.0
"""Seconds for everything: name, connection, TLS, request, and an answer that has ended."""
CONNECT_TIME_OUT = 5.0
ANSWER_READ = 64 * 1024
_USER_AGENT = "jiebang-webhooks/1"
_KEEP_ALIVE = 30.0
_ADDRESSES_TRIED = 3

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Now = Callable[[], Awaitable[datetime]]


class Resolver:
    """Looks names up in threads of its own, so that dead name servers hold up nothing else."""

    def __init__(self, threads: int = 32) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host, in the system's order; raises `AddressRefused` if it has none."""
        lookup = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        try:
            async with asyncio.timeout(CONNECT_TIME_OUT):
                found = await lookup
        except (OSError, UnicodeError, TimeoutError) as error:
            raise AddressRefused("unresolvable", f"The name {host} cannot be resolved.") from error
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        """Waits for no look-up that is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def checked_addresses(endpoint: Endpoint, resolve: Resolve, *, allow_loopback: bool) -> Sequence[str]:
    """What a host resolves to, each address checked; one that may not be called refuses them all."""
    addresses = await resolve(endpoint.host, endpoint.port)
    if not addresses:
        raise AddressRefused("unresolvable", f"The name {endpoint.host} has no address.")
    for address in addresses:
        check_address(address, endpoint.port, allow_loopback=allow_loopback)
    return addresses


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections only to addresses that were looked up and checked just now; names never get past it."""

    def __init__(self, resolve: Resolve, *, allow_loopback: bool) -> None:
        self._resolve = resolve
        self._allow_loopback = allow_loopback
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first of the host's addresses that takes one."""
        endpoint = Endpoint("", host, port)
        addresses = await checked_addresses(endpoint, self._resolve, allow_loopback=self._allow_loopback)
        refused: Exception | None = None
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
        assert refused is not None
        raise refused

    async def sleep(self, seconds: float) -> None:
        """Waits (httpcore asks its network to)."""
        await asyncio.sleep(seconds)


class Sends(Protocol):
    """What can send an event."""

    async def send(self, webhook_id: str, url: str, secrets: Sequence[str], body: str) -> Reply:
        """Posts `body` once, signed with every secret, and says how it went."""
        ...


class Sender:
    """Sends events. Use it as a context manager: it keeps connections open for a while.

    `now` says when a request is signed: receivers refuse what is five minutes off, so no machine's own clock will do.
    """

    def __init__(
        self,
        now: Now,
        resolve: Resolve,
        *,
        allow_loopback: bool = False,
        whole_time_out: float = WHOLE_TIME_OUT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._now = now
        self._whole_time_out = whole_time_out
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            # The worker bounds how many there are, and how many of one receiver.
            max_connections=None,
            max_keepalive_connections=32,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=CheckedNetwork(resolve, allow_loopback=allow_loopback),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def send(self, webhook_id: str, url: str, secrets: Sequence[str], body: str) -> Reply:
        """Posts `body` once, signed with every secret, and says how it went; never raises for what a receiver does."""
        moment = await self._now()
        started = time.perf_counter()
        answer, status, asked = bytearray(), None, None
        error: str | None = None
        try:
            async with (
                asyncio.timeout(self._whole_time_out),
                self._post(webhook_id, url, secrets, body, moment) as response,
            ):
                status = response.status
                asked = retry_after(_text_headers(response.headers), moment)
                async for chunk in _at_most(response, ANSWER_READ):
                    answer += chunk[: ANSWER_KEPT - len(answer)]
        except AddressRefused as refusal:
            error = refusal.code
        except (TimeoutError, httpcore.TimeoutException):
            error = "time_out"
        except httpcore.ConnectError as failure:
            error = "tls_failed" if _comes_from(failure, ssl.SSLError) else "connection_refused"
        except httpcore.NetworkError as failure:
            error = "tls_failed" if _comes_from(failure, ssl.SSLError) else "connection_lost"
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            error = "protocol_error"
        return Reply(
            status=status,
            error=error,
            answer=answer.decode("utf-8", "replace"),
            duration_ms=round((time.perf_counter() - started) * 1000),
            retry_after=asked,
        )

    def _post(self, webhook_id: str, url: str, secrets: Sequence[str], body: str, moment: datetime) -> Any:
        headers = {
            # Spelled out, so that an IPv6 host keeps its brackets.
            "Host": urlsplit(url).netloc,
            "Content-Type": CONTENT_TYPE,
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
            **signed_headers(webhook_id, secrets, body, moment),
        }
        content = body.encode()
        headers["Content-Length"] = str(len(content))
        time_outs = {"connect": CONNECT_TIME_OUT, "pool": self._whole_time_out}
        return self._pool.stream(
            "POST", url, headers=list(headers.items()), content=content, extensions={"timeout": time_outs}
        )


def signed_headers(webhook_id: str, secrets: Sequence[str], body: str, moment: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks; with two live secrets, two signatures."""
    signatures = " ".join(Webhook(secret).sign(webhook_id, moment, body) for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signatures,
    }


async def _at_most(response: httpcore.Response, limit: int) -> AsyncIterator[bytes]:
    read = 0
    async for chunk in response.aiter_stream():
        yield chunk
        read += len(chunk)
        if read >= limit:
            return


def _text_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def _comes_from(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
