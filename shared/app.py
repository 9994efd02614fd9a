"""The frame of every process: what it stands on, how it starts, how it knows that it is well, how it stops.

    service = Service("ranking", settings)
    boards = service.aggregates("leaderboards", Board)
    service.stream("scoring.scores")(on_scores)
    service.api(create_router(boards))
    service.run()

Everything is made before anything is connected, so that an `app.py` reads from top to bottom.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import uvicorn
import uvloop
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from shared import dead_letters, halts, logs, metrics, problems, sweeper, tracing
from shared.auth import Authenticator, Credentials
from shared.clock import Clock, SystemClock
from shared.consumption import Handler
from shared.contracts.asyncapi import asyncapi
from shared.contracts.registry import topics
from shared.failures import DependencyDown, FailurePolicy, Retries, TransientError
from shared.health import Health
from shared.http import BoundedJson, Observed
from shared.ids import Ids, SystemIds
from shared.jobs import Jobs
from shared.kafka import Producer, create_broker, ensure_topics, stream
from shared.logs import get_logger
from shared.mongo import Aggregates, client, database, ping
from shared.objects import Objects
from shared.outbox import Relay
from shared.settings import Settings, SettingsError
from shared.signing import Signer

log = get_logger(__name__)

State = TypeVar("State")

_CONNECTING = Retries(first_wait=timedelta(milliseconds=200), longest_wait=timedelta(seconds=3))
# How long something may be beyond help before the process ends itself, so that whoever supervises it starts it anew.
_PATIENCE = 30.0
_UNPOLLED = 60.0


class Service:
    """One process of one service."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.clock: Clock = SystemClock()
        self.ids: Ids = SystemIds()
        with settings.exit_if_wrong():
            self.mongo = client(settings)
        self.database = database(self.mongo, settings, name)
        self.producer = Producer(settings)
        self.relay = Relay(self.producer, topic_prefix=settings.kafka_topic_prefix)
        self.policy = FailurePolicy(dead_letters.Cemetery(self.producer, self.clock))
        with settings.exit_if_wrong():
            self.broker = create_broker(settings, self.policy)
        self.office = dead_letters.DeadLetterOffice(settings, self.database, self.clock)
        self.halts = halts.Halts(self.database)
        self.health = Health()
        self.stopping = asyncio.Event()
        """Set when the process was told to stop: whoever holds a connection open lets go of it."""
        self.application: FastAPI | None = None
        self._streams = 0
        self._aggregates: list[Aggregates[Any]] = []
        self._prepare: list[Callable[[], Awaitable[None]]] = []
        self._background: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting_for: dict[str, str] = {"start": "the process is starting"}
        self._exit_code = 0
        self._probe: str | None = None
        self._probed_since = 0.0
        self.health.ready_if("start", self._unready)
        self.health.alive_if("progress", lambda: self._probe)
        self.health.alive_if("producer", lambda: self.producer.broken)
        for counter in (metrics.OUTBOX_PUBLISHED, metrics.OUTBOX_FAILURES):
            metrics.begin_at_zero(counter, *([row.name] for row in topics() if row.owner == name))

    # --- composing

    @cached_property
    def objects(self) -> Objects:
        """The object store."""
        with self.settings.exit_if_wrong():
            if not self.settings.objects_url:
                raise SettingsError("JIEBANG_OBJECTS_URL is needed: file:///a/folder or s3://a-bucket/a-prefix")
            return Objects(self.settings.objects_url)

    @cached_property
    def signer(self) -> Signer:
        """What signs receipts, with the key that the platform is known by."""
        file = self.settings.signing_key_file
        with self.settings.exit_if_wrong():
            if file is None:
                raise SettingsError(
                    "JIEBANG_SIGNING_KEY_FILE is needed: a PEM file; a new key is made if there is none"
                )
            try:
                return Signer.load(file)
            except OSError as error:
                raise SettingsError(f"JIEBANG_SIGNING_KEY_FILE: {file}: {error.strerror}") from None
            except ValueError as error:
                raise SettingsError(f"JIEBANG_SIGNING_KEY_FILE: {error}") from None

    def aggregates(self, collection: str, state: type[State]) -> Aggregates[State]:
        """The aggregates of a kind, whose events this process publishes."""
        made = Aggregates(
            self.database,
            collection,
            state,
            source=f"/jiebang/{self.name}",
            relay=self.relay,
            clock=self.clock,
            ids=self.ids,
        )
        self.prepare(made.prepare)
        return made

    def jobs(self, queue: str, *, lease: timedelta = timedelta(seconds=60), attempts: int = 3) -> Jobs:
        """A queue of jobs."""
        made = Jobs(self.database, queue, lease=lease, attempts=attempts)
        self.prepare(made.prepare)
        return made

    def prepare(self, task: Callable[[], Awaitable[None]]) -> None:
        """Do something once at the start, when the database is there: create an index, say."""
        self._prepare.append(task)

    def stream(self, topic: str) -> Callable[[Handler], Handler]:
        """Decorate the one handler of a topic."""
        decorate = stream(self.broker, self.settings, self.policy, service=self.name, topic=topic)

        def register(handler: Handler) -> Handler:
            decorated = decorate(handler)
            consumption = self.policy.consumption(f"{self.settings.kafka_topic_prefix}{topic}")
            self.office.watch(consumption)
            self.halts.watch(consumption)
            self.health.ready_if(f"stream {topic}", consumption.not_running)
            if not self._streams:
                self.prepare(self.halts.prepare)
            self._streams += 1
            return decorated

        return register

    def api(self, *routers: APIRouter, title: str = "") -> FastAPI:
        """The public API of the process: its routers, and those that every service with streams has."""
        app = FastAPI(
            title=title or f"Jiebang {self.name}",
            version="1",
            docs_url=None,
            redoc_url=None,
            openapi_url="/openapi.json",
        )
        app.add_middleware(BoundedJson)
        problems.install(app)
        app.add_middleware(Observed)
        for router in routers:
            app.include_router(router)
        if self._streams:
            app.include_router(dead_letters.router(self.name, self.office))
            app.include_router(halts.router(self.name, self.halts))
        document = asyncapi(self.name)
        app.add_api_route("/asyncapi.json", lambda: document, include_in_schema=False)
        metrics.begin_at_zero(metrics.PLATFORM_FAULTS, *([route] for route in sorted({*map(_path, app.routes)})))
        self.application = app
        return app

    def authenticate(self, credentials: Credentials) -> None:
        """Let the API find the callers' credentials here; after `api`."""
        assert self.application is not None, "call api() first"
        self.application.state.authenticator = Authenticator(credentials, self.clock)

    def sweep(
        self, name: str, every: timedelta, task: Callable[[], Awaitable[int | None]], *, at_once: bool = False
    ) -> None:
        """Run a task periodically, in every replica; `at_once` for the first time as soon as the process is ready."""
        self.background(f"sweep {name}", lambda: sweeper.run(sweeper.Sweep(name, every, task, at_once)))

    def background(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop for as long as the process runs. If it ends by itself the process ends too, and is restarted."""
        self._background.append((name, loop))

    # --- running

    def run(self) -> None:
        """Run until told to stop by SIGTERM or SIGINT; exits 0 then, 1 if the process had to give up.

        With `--prepare` on the command line it only makes the indexes and topics that are missing, and ends.
        """
        logs.configure(self.settings.process or self.name, self.settings.log_level)
        if sys.argv[1:] == ["--prepare"]:
            uvloop.run(self._only_prepare())
            raise SystemExit(0)
        tracing.configure(self.settings.process or self.name, self.settings.otlp_endpoint, self.settings.trace_share)
        # What was imported and composed lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 20, 50)
        uvloop.run(self._run())
        raise SystemExit(self._exit_code)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        internal = _Server(self.health.application(), self.settings.host, self.settings.internal_port)
        public = _Server(self.application, self.settings.host, self.settings.port) if self.application else None
        try:
            internal.bind()
            if public is not None:
                public.bind()
        except OSError as error:
            sys.stderr.write(f"{self.name} cannot listen: {error}\n")
            self._exit_code = 1
            return
        self._start("internal port", internal.serve)
        starting = loop.create_task(self._connect(public))
        starting.add_done_callback(self._started)
        log.info("process_started", internal_port=internal.port, port=public.port if public else None)
        await self.stopping.wait()
        await self._stop(starting, public, internal)

    async def _connect(self, public: _Server | None) -> None:
        """Start the parts as what they need is there: the API with the database, the streams with Kafka."""
        self._waiting_for = {"mongodb": "not reached yet"}
        await self._until_there("mongodb", self._prepare_database)
        if public is not None:
            self._start("public port", public.serve)
        self._waiting_for = {"kafka": "not reached yet"}
        self._start("outbox relay", self.relay.run)
        await self._until_there("kafka", self.producer.start)
        await self._until_there("kafka", lambda: ensure_topics(self.settings))
        if self._streams:
            await self._until_there("kafka", self._start_broker)
            # At once: an alert on dead letters must not end for a minute because the process was restarted.
            self.sweep("dead letters", timedelta(minutes=1), self.office.measure, at_once=True)
        for name, work in self._background:
            self._start(name, work)
        self._start("watchdog", self._watch)
        self._waiting_for = {}
        log.info("process_ready")

    async def _only_prepare(self) -> None:
        await self._until_there("mongodb", self._prepare_database)
        await self._until_there("kafka", lambda: ensure_topics(self.settings))
        self.mongo.close()
        log.info("prepared")

    async def _prepare_database(self) -> None:
        await ping(self.mongo)
        for task in self._prepare:
            await task()

    async def _start_broker(self) -> None:
        try:
            await self.broker.start()
        except (KafkaError, OSError) as error:
            await self.broker.stop()
            raise DependencyDown("kafka", repr(error)) from error

    async def _until_there(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        number = 0
        while True:
            try:
                return await attempt()
            except DependencyDown as error:
                number += 1
                wait = _CONNECTING.wait(number)
                self._waiting_for = {what: str(error)}
                log.warning("waiting_for_dependency", dependency=what, wait=round(wait, 2), error=str(error))
                await asyncio.sleep(wait)

    def _start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(work(), name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _started(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._give_up("start", task.exception())

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self.stopping.is_set() and not task.cancelled():
            self._give_up(task.get_name(), task.exception())

    def _give_up(self, what: str, error: BaseException | None) -> None:
        log.critical("process_gives_up", because_of=what, exc_info=error)
        self._exit_code = 1
        self.stopping.set()

    async def _stop(self, starting: asyncio.Task[None], public: _Server | None, internal: _Server) -> None:
        """Finish what is begun, in the order that leaves nothing half done; what is not finished comes again."""
        log.info("process_stops")
        self._waiting_for = {"stop": "the process is stopping"}
        grace = self.settings.grace.total_seconds()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        if public is not None:
            public.should_exit = True
        for consumption in self.policy.consumptions():
            consumption.close()
        await asyncio.gather(*(consumption.drain(grace / 2) for consumption in self.policy.consumptions()))
        with contextlib.suppress(KafkaError, OSError):
            await self.broker.stop()
        servers = ("internal port", "public port")
        others = [task for task in self._tasks if task.get_name() not in servers]
        for task in others:
            task.cancel()
        if others:
            _, left = await asyncio.wait(others, timeout=grace)
            if left:
                log.warning("tasks_left_at_stop", tasks=sorted(task.get_name() for task in left))
        if public is not None:
            await public.stopped(grace / 2)
        await self.relay.stop(grace / 4)
        await self.producer.stop()
        self.mongo.close()
        internal.should_exit = True
        await internal.stopped(1)
        log.info("process_stopped", exit_code=self._exit_code)

    # --- being well

    def _unready(self) -> str | None:
        return "; ".join(f"{what}: {why}" for what, why in self._waiting_for.items()) or None

    async def _watch(self) -> None:
        """Note whether the streams move and how late the loop is; end the process if something is beyond help."""
        loop = asyncio.get_running_loop()
        unwell_since: float | None = None
        while True:
            due = loop.time() + 5
            await asyncio.sleep(5)
            metrics.EVENT_LOOP_LAG.observe(max(0.0, loop.time() - due))
            for consumption in self.policy.consumptions():
                await consumption.measure()
            await self._attend_to_halts()
            await self._probe_streams(loop.time())
            if not self.health.not_alive():
                unwell_since = None
            elif unwell_since is None:
                unwell_since = loop.time()
            elif loop.time() - unwell_since > _PATIENCE:
                self._give_up("; ".join(self.health.not_alive().values()), None)
                return

    async def _attend_to_halts(self) -> None:
        try:
            await self.halts.attend()
        except (DependencyDown, TransientError) as error:
            log.warning("halts_not_attended_to", error=str(error))

    async def _probe_streams(self, now: float) -> None:
        """A stream that nobody polls is beyond help only if the broker is there to be polled."""
        stalled = next(filter(None, (each.stalled(_UNPOLLED) for each in self.policy.consumptions())), None)
        if stalled is None or not await self.producer.reachable():
            self._probe, self._probed_since = None, now
        elif now - self._probed_since > _UNPOLLED:
            self._probe = stalled


def _path(route: BaseRoute) -> str:
    return str(getattr(route, "path", "unmatched"))


class _Server(uvicorn.Server):
    """A server that leaves signals to the process and says where it listens."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=True,
                timeout_keep_alive=65,
                timeout_graceful_shutdown=5,
                h11_max_incomplete_event_size=64 * 1024,
            )
        )
        self._socket: socket.socket | None = None
        self._over = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    def bind(self) -> None:
        """Take the port.

        Raises:
            OSError: somebody else has it.
        """
        made = socket.socket(socket.AF_INET6 if ":" in self.config.host else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((self.config.host, self.config.port))
        except OSError as error:
            made.close()
            raise OSError(error.errno, f"{self.config.host}:{self.config.port}: {error.strerror}") from error
        self._socket = made

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are the process's."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on the bound port until `should_exit`."""
        assert self._socket is not None
        try:
            await super().serve(sockets=[self._socket])
        finally:
            self._over.set()

    async def stopped(self, seconds: float) -> None:
        """Wait until it has answered what it had begun to answer."""
        if self.started:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)
