"""The gateway of the compose file: its Caddyfile, run by the real Caddy in front of services that say who they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from deploy.docker.tools import find_caddy
from deploy.local.gateway import ROUTES
from deploy.local.ports import free_port
from deploy.local.process import Process
from tests.eventually import eventually
from tests.image.locked import ROOT

NAMES = sorted({*ROUTES.values()})


class Backend:
    """One service: it answers with its name and what it was asked, and can hold back in the middle."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.received = bytearray()
        self.go_on = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/v1/events/stream", self._stream)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        async for chunk in request.content.iter_any():
            self.received += chunk
        forwarded = {name: value for name, value in request.headers.items() if name.startswith(("X-", "Tus-"))}
        return web.json_response(
            {"service": self.name, "method": request.method, "path": request.raw_path, "headers": forwarded}
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        await self.go_on.wait()
        await response.write(b"data: second\n\n")
        return response


class Front:
    """A running Caddy and what is behind it."""

    def __init__(self, url: str, backends: Mapping[str, Backend]) -> None:
        self.url = url
        self.backends = backends


@asynccontextmanager
async def caddy(folder: Path, backends: Mapping[str, Backend]) -> AsyncIterator[str]:
    text = (ROOT / "deploy/docker/Caddyfile").read_text("utf-8")
    port, own = free_port(), free_port()
    for name, backend in backends.items():
        assert f"{name}:8080" in text
        text = text.replace(f"{name}:8080", f"127.0.0.1:{backend.port}")
    text = text.replace("\n:8080 {", f"\nhttp://127.0.0.1:{port} {{").replace("127.0.0.1:9090", f"127.0.0.1:{own}")
    (folder / "Caddyfile").write_text(text)
    process = Process(
        "caddy",
        [str(find_caddy()), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
        log=folder / "caddy.log",
        environment={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
    )
    process.start()

    async def answers() -> bool:
        if not process.running:
            raise process.failed("ended while starting")
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{own}/") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectorError:
            return False

    try:
        await eventually(answers, what="Caddy says that it runs")
        yield f"http://127.0.0.1:{port}"
    finally:
        await process.stop()


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """Caddy in front of every service."""
    backends = {name: Backend(name) for name in NAMES}
    for backend in backends.values():
        await backend.start()
    async with caddy(tmp_path_factory.mktemp("caddy"), backends) as url:
        yield Front(url, backends)
    for backend in backends.values():
        await backend.stop()


def paths() -> Iterator[tuple[str, str]]:
    for prefix, service in ROUTES.items():
        yield prefix, service
        yield f"{prefix}/id_1/part?x=%2F&y=1", service
    for service in NAMES:
        yield f"/v1/ops/{service}/dead-letters", service


@pytest.mark.parametrize(("path", "service"), list(paths()))
async def test_a_path_goes_to_the_service_that_the_local_gateway_gives_it_to(
    front: Front, path: str, service: str
) -> None:
    async with aiohttp.ClientSession() as session, session.get(URL(f"{front.url}{path}", encoded=True)) as answer:
        told = await answer.json()
    assert told["service"] == service
    assert told["path"] == path


@pytest.mark.parametrize("kind", ["openapi", "asyncapi"])
@pytest.mark.parametrize("service", NAMES)
async def test_a_service_describes_itself_under_its_name(front: Front, kind: str, service: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{front.url}/{kind}/{service}.json") as answer:
        told = await answer.json()
    assert (told["service"], told["path"]) == (service, f"/{kind}.json")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/challengesx", "/v1/ops", "/v1/ops/kafka/x", "/livez", "/metrics"])
async def test_what_belongs_to_no_service_is_refused_with_a_problem(front: Front, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{front.url}{path}") as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["code"] == "unknown_route"


async def test_an_upload_arrives_while_it_is_sent(front: Front) -> None:
    backend = front.backends["ingest"]
    backend.received.clear()
    first_is_there = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a" * 100_000
        await eventually(lambda: len(backend.received) == 100_000, what="the first part is at the service")
        first_is_there.set()
        yield b"b" * 3_000_000

    headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    async with (
        aiohttp.ClientSession() as session,
        session.patch(f"{front.url}/v1/uploads/upl_1", data=body(), headers=headers) as answer,
    ):
        told = await answer.json()
    assert first_is_there.is_set()
    assert told["method"] == "PATCH"
    assert told["headers"]["Tus-Resumable"] == "1.0.0"
    assert bytes(backend.received) == b"a" * 100_000 + b"b" * 3_000_000


async def test_an_event_is_passed_on_before_the_stream_ends(front: Front) -> None:
    backend = front.backends["notify"]
    async with aiohttp.ClientSession() as session, session.get(f"{front.url}/v1/events/stream") as answer:
        assert await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 30) == b"data: first\n\n"
        backend.go_on.set()
        assert await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 30) == b"data: second\n\n"


async def test_a_service_that_is_away_is_a_problem_that_says_when_to_come_back(front: Front) -> None:
    backend = front.backends["ranking"]
    await backend.stop()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{front.url}/v1/leaderboards/chl_1") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
            assert json.loads(await answer.read())["code"] == "service_unavailable"
    finally:
        await backend.start()
