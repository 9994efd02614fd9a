"""A real Apache Kafka broker (KRaft, one node) in a folder of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
import uuid
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from deploy.local.fetch import Programs
from deploy.local.ports import listens, require_free, stored_port
from deploy.local.process import Process

READY_TOPIC = "local.ready"

_LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""
ANSWER_SECONDS = 20.0


class KafkaServer:
    """Starts, stops, kills, freezes and restarts one broker on the same disk and the same port."""

    format_options: tuple[str, ...] = ()
    """More for the formatting of a new disk: users and their passwords, say."""

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        *,
        for_tests: bool = False,
        address: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
    ) -> None:
        """`for_tests` adds a listener whose clients are told to come through `proxy_port`, where a test has a proxy.

        `prefix` is put before the command, to run it in a network namespace that has the `address`.
        """
        self.folder = folder
        self.address = address
        self.port = stored_port(folder, "kafka")
        self.behind_proxy = stored_port(folder, "behind_proxy") if for_tests else None
        self.proxy_port = stored_port(folder, "proxy") if for_tests else None
        self._controller_port = stored_port(folder, "controller")
        java = [*prefix, programs.java, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += [f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}", "-cp", f"{programs.kafka_jars}/*"]
        self._java = [str(word) for word in java]
        self.process = Process("Kafka", [*self._java, "kafka.Kafka", self._properties_file], log=folder / "kafka.log")

    @property
    def bootstrap(self) -> str:
        """The address for clients, `host:port`."""
        return f"{self.address}:{self.port}"

    @property
    def _properties_file(self) -> Path:
        return self.folder / "server.properties"

    async def start(self, timeout: float = 90.0) -> None:
        """Starts the broker on its disk (a new one is formatted first) and returns when it does its work.

        Raises:
            StartFailed: with the last lines of the log.
        """
        if not (self.folder / "data" / "meta.properties").exists():
            await self._format()
        require_free(self.port, "Kafka")
        self.process.start()
        await self.wait_ready(timeout)

    async def wait_ready(self, timeout: float = 90.0) -> None:
        """Returns when a topic exists and an idempotent record in it was acknowledged: an open port is not enough."""
        deadline = time.monotonic() + timeout
        while True:
            if not self.process.running:
                raise self.process.failed(f"ended with {self.process.exit_code} while starting")
            try:
                if listens(self.address, self.port):  # else aiokafka logs each vain attempt as an error
                    # A broker that dies under them leaves the clients asking for ever, and nobody to start it again.
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await self._answers()
                    return
                trouble = "it does not listen"
            except (KafkaError, OSError, AttributeError) as error:
                # AttributeError: what aiokafka makes of a broker that has just come back and knows no controller yet.
                trouble = repr(error)
            if time.monotonic() > deadline:
                raise self.process.failed(f"was not ready within {timeout:.0f} s ({trouble})")
            await asyncio.sleep(0.1)

    async def stop(self, grace: float = 20.0) -> None:
        """Lets the broker hand over and close its files, then ends it."""
        await self.process.stop(grace)

    def kill(self) -> None:
        """Kills the broker as `kill -9` does; its disk stays."""
        self.process.kill()

    async def restart(self) -> None:
        """Starts the broker again on the same disk and port, however it ended."""
        await self.process.stop()
        await self.start()

    def freeze(self) -> None:
        """Stops the broker where it stands; connections stay open and silent."""
        self.process.freeze()

    def thaw(self) -> None:
        """Lets a frozen broker go on."""
        self.process.thaw()

    async def _answers(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        try:
            await admin.start()
            with contextlib.suppress(TopicAlreadyExistsError):
                await admin.create_topics([NewTopic(READY_TOPIC, num_partitions=1, replication_factor=1)])
        finally:
            await admin.close()
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True, request_timeout_ms=5_000
        )
        await producer.start()
        try:
            await asyncio.wait_for(producer.send_and_wait(READY_TOPIC, b"ready"), 10)
        finally:
            await producer.stop()

    async def _format(self) -> None:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        self._properties_file.write_text(self._properties(data))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java, "kafka.tools.StorageTool", "format", "--ignore-formatted", *self.format_options]
        # In one word with its option: one id in 64 begins with a hyphen, and would be read as an option itself.
        command += [f"--cluster-id={cluster}", "-c"]
        formatting = Process("Kafka's formatting", [*command, self._properties_file], log=self.folder / "format.log")
        formatting.start()
        try:
            code = await formatting.wait()
        finally:
            formatting.kill()
        if code != 0:
            raise formatting.failed(f"ended with {code}")

    def _properties(self, data: Path) -> str:
        broker, controller = self.bootstrap, f"127.0.0.1:{self._controller_port}"
        proxied = ("", "", "")
        if self.behind_proxy is not None:
            listener, advertised = f"127.0.0.1:{self.behind_proxy}", f"127.0.0.1:{self.proxy_port}"
            proxied = (f",PROXIED://{listener}", f",PROXIED://{advertised}", ",PROXIED:PLAINTEXT")
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}{proxied[0]}",
            "advertised.listeners": f"PLAINTEXT://{broker}{proxied[1]}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{proxied[2]}",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(data),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            # With the defaults a killed broker is away for 18 seconds, with these for 5 to 8.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        return "".join(f"{key}={value}\n" for key, value in properties.items())
