"""The whole platform on one machine: Kafka, MongoDB, every service as a process of its own, and one origin."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from deploy.local.fetch import Programs, Say, fetch_all, say
from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from deploy.local.ports import stored_port
from deploy.local.process import Process, StartFailed
from deploy.local.prometheus import Target, find_prometheus, prometheus_part, write_targets
from deploy.local.services import SERVICE_PROCESSES, HttpPart, gateway_part, service_part
from deploy.local.state import hold
from deploy.local.supervisor import Part, Supervisor
from jiebang.certificate.issuer import ROOT, Issuer
from shared.failures import DependencyDown
from shared.kafka import ensure_topics
from shared.settings import Settings, SettingsError

# These concern the local platform itself; the services refuse variables that they do not know.
OWN_VARIABLES = frozenset(
    {"JIEBANG_CACHE_DIR", "JIEBANG_STATE_DIR", "JIEBANG_GATEWAY_PORT", "JIEBANG_MAVEN_REPOSITORY"}
    | {"JIEBANG_URL", "JIEBANG_KEY", "JIEBANG_PROMETHEUS"}
)


class Platform:
    """Starts, watches and stops all parts over one state folder; tests kill and freeze its parts by name."""

    def __init__(
        self,
        state: Path,
        *,
        programs: Programs | None = None,
        settings: Mapping[str, str] | None = None,
        gateway_port: int | None = None,
        restart: bool = True,
        for_tests: bool = False,
        prometheus: bool = False,
        alert_time_factor: float = 1.0,
        say: Say = say,
    ) -> None:
        """`settings` are `JIEBANG_*` variables for the services; `restart=False` leaves what ends as it is.

        With `prometheus` a Prometheus watches it, in whose alerts every length of time is multiplied by
        `alert_time_factor`.
        """
        self.state = state.absolute()
        self.parts: dict[str, Part] = {}
        self._programs = programs
        self._given = {**os.environ, **(settings or {})}
        self._gateway_port = gateway_port
        self._restart = restart
        self._for_tests = for_tests
        self._prometheus = prometheus
        self._alert_time_factor = alert_time_factor
        self._say = say
        self._supervisor = Supervisor(say)
        self._lock: IO[str] | None = None
        self.environment: dict[str, str] = {}

    # --- what others need to know of it --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The one origin of the API."""
        return f"http://127.0.0.1:{self._gateway_port}"

    @property
    def kafka_bootstrap(self) -> str:
        """The address of the broker in use."""
        return self.environment["JIEBANG_KAFKA_BOOTSTRAP"]

    @property
    def mongo_uri(self) -> str:
        """The address of the database in use."""
        return self.environment["JIEBANG_MONGO_URI"]

    @property
    def prometheus_url(self) -> str:
        """The address of the Prometheus that watches this platform."""
        return f"http://127.0.0.1:{stored_port(self.state, 'prometheus')}"

    def process(self, name: str) -> Process:
        """The process of a part: `kafka`, `mongo`, `gateway`, `prometheus` or a row of the table of services."""
        return self.parts[name].process

    # --- starting and stopping -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts everything and returns when every part does its work.

        Raises:
            StartFailed: a part did not come up; everything started is stopped again.
            FetchFailed: Kafka, MongoDB or Java could not be had.
        """
        begun = time.monotonic()
        if self._prometheus:
            find_prometheus()
        self._take_state()
        try:
            await self._start_servers()
            await self._create_topics()
            await self._start_services()
        except BaseException:
            await self.stop()
            raise
        self._write_status()
        self._say(f"the platform is ready at {self.url} ({time.monotonic() - begun:.0f} s)")

    async def stop(self) -> None:
        """Stops everything in the order that loses no work in progress: origin, services, then the servers."""
        await self._supervisor.release(self.parts.values())
        servers = [self.parts[name] for name in ("kafka", "mongo") if name in self.parts]
        gateway = [self.parts[name] for name in ("gateway",) if name in self.parts]
        services = [part for part in self.parts.values() if part not in servers and part not in gateway]
        for group in (gateway, services, servers):
            await asyncio.gather(*(part.stop() for part in group if part.process.running))
        self.parts.clear()
        (self.state / "platform.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_state(self) -> None:
        self._lock = hold(self.state)
        logs = self.state / "logs"
        logs.mkdir(exist_ok=True)
        for log in logs.glob("*.log"):
            log.replace(log.with_suffix(".log.1"))  # the run before this one

    async def _start_servers(self) -> None:
        bootstrap, uri = self._given.get("JIEBANG_KAFKA_BOOTSTRAP"), self._given.get("JIEBANG_MONGO_URI")
        servers: list[Part] = []
        if bootstrap is None or uri is None:
            programs = self._programs or fetch_all(self._say)
            if bootstrap is None:
                kafka = KafkaServer(self.state / "kafka", programs)
                self.parts["kafka"], bootstrap = kafka, kafka.bootstrap
                servers.append(kafka)
            if uri is None:
                mongo = MongoServer(self.state / "mongo", programs, for_tests=self._for_tests)
                self.parts["mongo"], uri = mongo, mongo.uri
                servers.append(mongo)
        self.environment = {"JIEBANG_KAFKA_BOOTSTRAP": bootstrap, "JIEBANG_MONGO_URI": uri}
        if servers:
            self._say("starting " + " and ".join(server.process.name for server in servers))
        await _all(part.start() for part in servers)
        self._watch(servers)

    async def _create_topics(self) -> None:
        try:
            await ensure_topics(Settings.load(self.settings_of_services()))
        except DependencyDown as down:
            raise StartFailed(f"Kafka at {self.kafka_bootstrap} did not create the topics: {down}") from down
        except SettingsError as wrong:
            raise StartFailed(f"The services cannot start with these settings:\n{wrong}") from wrong

    async def _start_services(self) -> None:
        environment = self.settings_of_services()
        if self._gateway_port is None:
            self._gateway_port = stored_port(self.state, "gateway")
        services = [service_part(row, self.state, environment) for row in SERVICE_PROCESSES]
        parts: list[HttpPart] = [*services, gateway_part(self.state, self._gateway_port)]
        if self._prometheus:
            write_targets(self.state, [])
            parts.append(prometheus_part(self.state, time_factor=self._alert_time_factor))
        self.parts |= {part.name: part for part in parts}
        self._say(f"starting {len(services)} service processes")
        await _all(part.start() for part in parts)
        self._tell_prometheus()
        self._watch(parts)

    def _tell_prometheus(self) -> None:
        """Whom to ask: from when they are ready, and no longer than they are to run."""
        if not self._prometheus:
            return
        write_targets(
            self.state,
            [
                Target(row.name, name, stored_port(self.state, f"{name}.internal"))
                for row in SERVICE_PROCESSES
                for name in self.parts
                if name == row.name or (name.startswith(f"{row.name}-") and name.removeprefix(f"{row.name}-").isdigit())
            ],
        )

    def settings_of_services(self) -> dict[str, str]:
        """The environment of the services; settings given from outside win over those made here."""
        made = {
            **self.environment,
            "JIEBANG_OBJECTS_URL": (self.state / "objects").as_uri(),
            "JIEBANG_SCRATCH_DIR": str(self.state / "scratch"),
            "JIEBANG_SIGNING_KEY_FILE": str(self.state / "signing-key.pem"),
            "JIEBANG_SCORING_ISSUER": str(self.state / "issuer"),
            "JIEBANG_WEBHOOK_ALLOW_LOOPBACK": "true",
        }
        (self.state / "objects").mkdir(exist_ok=True)
        (self.state / "scratch").mkdir(exist_ok=True)
        if not (self.state / "issuer" / ROOT).exists():
            Issuer.create(self.state / "issuer", now=datetime.now(UTC))
        return {**made, **{name: value for name, value in self._given.items() if name not in OWN_VARIABLES}}

    def _write_status(self) -> None:
        status = {
            "url": self.url,
            "kafka": self.kafka_bootstrap,
            "mongo": self.mongo_uri,
            **({"prometheus": self.prometheus_url} if self._prometheus else {}),
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        written = self.state / "platform.json.new"
        written.write_text(json.dumps(status, indent=2) + "\n")
        written.replace(self.state / "platform.json")

    def _watch(self, parts: Iterable[Part]) -> None:
        if self._restart:
            for part in parts:
                self._supervisor.watch(part)

    async def ended(self) -> str:
        """Waits until a part has ended that is not to be started again, and returns the words to report it with."""
        if self._restart:
            await asyncio.Event().wait()  # what ends is started again, so nothing ever ends for good
        waits = {asyncio.create_task(part.process.wait()): part.process for part in self.parts.values()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        process = waits[done.pop()]
        return str(process.failed(f"ended with {process.exit_code}"))

    # --- disturbing it -------------------------------------------------------------------------------------------

    async def wait_ready(self) -> None:
        """Returns when every part is ready, those that are being started again too."""
        for part in self.parts.values():
            async with asyncio.timeout(90):
                while not part.process.running:  # noqa: ASYNC110  (the supervisor starts it again after its delay)
                    await asyncio.sleep(0.05)
            await part.wait_ready()

    @asynccontextmanager
    async def held_down(self, name: str) -> AsyncIterator[None]:
        """Kills a part (`kill -9`), keeps it down inside the block, and has it ready again at its end."""
        async with self._supervisor.held_down(self.parts[name]):
            yield

    async def scale(self, name: str, count: int) -> None:
        """Runs `count` processes of one row of the table of services; the gateway goes on using the first."""
        (row,) = [row for row in SERVICE_PROCESSES if row.name == name]
        wanted = [name if replica == 1 else f"{name}-{replica}" for replica in range(1, count + 1)]
        surplus = [
            self.parts.pop(running)
            for running in list(self.parts)
            if running.startswith(f"{name}-") and running.removeprefix(f"{name}-").isdigit() and running not in wanted
        ]
        self._tell_prometheus()
        await self._supervisor.release(surplus)
        environment = self.settings_of_services()
        added = [
            service_part(row, self.state, environment, replica=replica)
            for replica in range(2, count + 1)
            if wanted[replica - 1] not in self.parts
        ]
        self.parts |= {part.name: part for part in added}
        await _all([*(part.stop() for part in surplus), *(part.start() for part in added)])
        self._watch(added)
        self._tell_prometheus()


async def _all(starts: Iterable[object]) -> None:
    """Runs all at once; the first that fails is raised at once and the others are cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)  # type: ignore[arg-type]
    except* StartFailed as failures:
        raise failures.exceptions[0] from None
