"""One origin for the local platform: a reverse proxy that routes by path prefix and streams both ways.

Run as `python -m deploy.local.gateway --port 8080 --backend board=127.0.0.1:8101 …`. On Kubernetes an ordinary gateway
does this by the same prefixes.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

# Every prefix belongs to one service; /v1/ops/<service>/ goes to the service it names.
ROUTES: dict[str, str] = {
    "/v1/challenges": "board",
    "/v1/teams": "board",
    "/v1/credentials": "board",
    "/v1/uploads": "ingest",
    "/v1/submissions": "ingest",
    "/v1/preflight": "ingest",
    "/v1/quota": "ingest",
    "/v1/keys": "ingest",
    "/v1/reports": "scoring",
    "/v1/certificates": "scoring",
    "/v1/leaderboards": "ranking",
    "/v1/subscriptions": "notify",
    "/v1/events": "notify",
}

# RFC 9110, 7.6.1: these concern one connection and end at it.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"})
_HOP_BY_HOP |= {"te", "trailer", "transfer-encoding", "upgrade"}
_FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")

_CHUNK = 1 << 18
_CONNECT_SECONDS = 2.0
# Silence of a backend after it has the whole request. Long polls and heartbeats are at most 20 seconds apart.
_SILENCE_SECONDS = 75.0
# Shorter than any server's own, so that a kept connection is not closed under a request that cannot be repeated.
_IDLE_SECONDS = 2.0

_SESSION = web.AppKey("session", aiohttp.ClientSession)


def service_of(path: str) -> str | None:
    """The service a path belongs to, None where it belongs to nobody (`/livez`, `/metrics` and dot segments too)."""
    segments = path.split("/")
    if any(segment.lower().replace("%2e", ".") in {".", ".."} for segment in segments):
        return None
    if segments[:3] == ["", "v1", "ops"] and len(segments) > 4:
        return segments[3]
    return ROUTES.get("/".join(segments[:3]))


def described_by(path: str) -> tuple[str, str] | None:
    """The service and its own path behind `/openapi/<service>.json` and `/asyncapi/<service>.json`, else None."""
    match path.split("/"):
        case ["", "openapi" | "asyncapi" as kind, name] if name.endswith(".json"):
            return name.removesuffix(".json"), f"/{kind}.json"
    return None


class Gateway:
    """Forwards each request to the service its path belongs to."""

    def __init__(self, backends: Mapping[str, str]) -> None:
        """`backends` gives the `host:port` of each service."""
        self._backends = dict(backends)

    def app(self) -> web.Application:
        """The aiohttp application, without any limit of its own on a body's size."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._forward, expect_handler=_expect_nothing_yet)
        app.cleanup_ctx.append(self._open_session)
        return app

    async def _open_session(self, app: web.Application) -> AsyncIterator[None]:
        app[_SESSION] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS),
            auto_decompress=False,
            read_bufsize=_CHUNK,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )
        yield
        await app[_SESSION].close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        service, target = described_by(path) or (service_of(path), request.raw_path)
        backend = self._backends.get(service or "")
        if backend is None:
            return _problem(404, "unknown_route", "Nothing is served at this address", f"{path} belongs to no service.")
        expects = request.headers.get("Expect", "").lower() == "100-continue"
        body = _body(request, expects) if request.body_exists else None
        try:
            async with request.app[_SESSION].request(
                request.method,
                URL(f"http://{backend}{target}", encoded=True),
                headers=_request_headers(request),
                data=body,
                expect100=expects,
                allow_redirects=False,
            ) as answer:
                return await _pass_on(request, answer)
        except aiohttp.ClientConnectorError:
            return _away(503, path, "does not run at the moment")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if request.transport is None or request.transport.is_closing():
                raise  # the client left; there is nobody to answer
            return _away(502, path, f"broke off before it answered ({type(error).__name__})")


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = _end_to_end(answer.headers)
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    if "Content-Length" not in headers and answer.status not in {204, 304} and request.method != "HEAD":
        response.enable_chunked_encoding() if request.version >= aiohttp.HttpVersion11 else response.force_close()
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, TimeoutError) as error:
        # The head is out: the only honest end is a broken connection, which the client sees as a cut answer.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(f"the backend broke off in the middle of its answer: {error!r}") from error
    await response.write_eof()
    return response


async def _expect_nothing_yet(request: web.Request) -> None:
    """Sends no `100 Continue`: whether the body is wanted is for the backend to say (see `_body`)."""


async def _body(request: web.Request, expects: bool) -> AsyncIterator[bytes]:
    if expects and request.transport is not None:
        # The body is asked for only when the backend has said `100 Continue` itself.
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    async for chunk in request.content.iter_any():
        yield chunk


def _request_headers(request: web.Request) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    for name in (*_FORWARDED, "expect"):
        headers.popall(name, None)
    headers["X-Forwarded-For"] = request.remote or "unknown"
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    return headers


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """A copy of the headers without those of one connection, every value fit to be written again."""
    kept: CIMultiDict[str] = CIMultiDict()
    of_connection = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    for name, value in headers.items():
        if name.lower() not in _HOP_BY_HOP and name.lower() not in of_connection:
            # Bytes that are not UTF-8 come as lone surrogates, which cannot be written; they stay visibly not ASCII.
            kept.add(name, value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return kept


def _away(status: int, path: str, what: str) -> web.Response:
    service = service_of(path)
    return _problem(
        status,
        "service_unavailable",
        "A part of the platform is away",
        f"The service {service} {what}. Nothing is lost: try again in a second, with the same Idempotency-Key.",
        retry_after=1,
    )


def _problem(status: int, code: str, title: str, detail: str, *, retry_after: int | None = None) -> web.Response:
    """A problem document (RFC 9457), in the form that every service uses."""
    document: dict[str, Any] = {"type": f"urn:jiebang:problem:{code}", "title": title, "status": status}
    document |= {"detail": detail, "code": code, "fault": "participant" if status < 500 else "platform"}
    headers = {}
    if retry_after is not None:
        document["retry_after"] = retry_after
        headers["Retry-After"] = str(retry_after)
    return web.json_response(document, status=status, headers=headers, content_type="application/problem+json")


async def serve(port: int, backends: Mapping[str, str], stop: asyncio.Event) -> None:
    """Serves on the loopback interface until `stop` is set."""
    runner = web.AppRunner(
        Gateway(backends).app(), access_log=None, handler_cancellation=True, shutdown_timeout=2.0, keepalive_timeout=75
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        print(f"gateway: http://127.0.0.1:{port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


async def _main(port: int, backends: Mapping[str, str]) -> None:
    stop = asyncio.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, stop.set)
    await serve(port, backends, stop)


def main() -> None:
    """The command line of the gateway."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.gateway", description="One origin for all services.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend", action="append", required=True, metavar="SERVICE=HOST:PORT")
    chosen = parser.parse_args()
    uvloop.run(_main(chosen.port, dict(backend.split("=", 1) for backend in chosen.backend)))


if __name__ == "__main__":
    main()
