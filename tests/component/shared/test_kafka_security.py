"""A broker that lets in a known user over TLS alone: every client of the platform comes through, and nobody else."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.local.fetch import Programs
from deploy.local.kafka import KafkaServer
from deploy.local.ports import stored_port
from shared.clock import SystemClock
from shared.dead_letters import Cemetery
from shared.failures import DependencyDown, FailurePolicy
from shared.kafka import Producer, create_broker, ensure_topics, handled, read_records
from shared.settings import Settings, SettingsError
from tests.eventually import eventually

PASSWORD = "never shown: 7f2c"


class GuardedKafka(KafkaServer):
    """A broker with one more listener, behind TLS and passwords."""

    format_options = ("--add-scram", f"SCRAM-SHA-512=[name=jiebang,password={PASSWORD}]")

    @property
    def guarded(self) -> str:
        """The address of that listener."""
        return f"127.0.0.1:{stored_port(self.folder, 'guarded')}"

    @property
    def authority(self) -> Path:
        """Who vouches for the broker."""
        return self.folder / "ca.pem"

    def _properties(self, data: Path) -> str:
        write_certificate(self.authority, self.folder / "broker.pem")
        more = {
            "listeners": f"GUARDED://{self.guarded}",
            "advertised.listeners": f"GUARDED://{self.guarded}",
            "listener.security.protocol.map": "GUARDED:SASL_SSL",
        }
        lines = []
        for line in super()._properties(data).splitlines():
            key, _, value = line.partition("=")
            lines.append(f"{key}={value},{more[key]}" if key in more else line)
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        lines += [
            "sasl.enabled.mechanisms=SCRAM-SHA-512",
            f"listener.name.guarded.scram-sha-512.sasl.jaas.config={login}",
            "listener.name.guarded.ssl.keystore.type=PEM",
            f"listener.name.guarded.ssl.keystore.location={self.folder / 'broker.pem'}",
        ]
        return "".join(f"{line}\n" for line in lines)


def write_certificate(authority: Path, broker: Path) -> None:
    """A certificate for this machine that vouches for itself, and with its key for the broker."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test broker")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    authority.write_bytes(pem)
    broker.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)


@pytest.fixture(scope="module")
async def guarded(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GuardedKafka]:
    server = GuardedKafka(tmp_path_factory.mktemp("guarded"), programs)
    await server.start()
    yield server
    await server.stop()


def settings(server: GuardedKafka, **other: object) -> Settings:
    known = {"kafka_username": "jiebang", "kafka_password": PASSWORD, "kafka_ca_file": server.authority}
    return Settings(kafka_bootstrap=(server.guarded,), **{**known, **other})  # type: ignore[arg-type]


async def test_every_client_of_the_platform_comes_through(guarded: GuardedKafka) -> None:
    known = settings(guarded)
    await ensure_topics(known)
    producer = Producer(known)
    await producer.start()
    try:
        await producer.publish("board.teams", key=b"k", value=b"v", headers=[])
        broker = create_broker(known, FailurePolicy(Cemetery(producer, SystemClock())))
        await broker.start()
        await broker.stop()
    finally:
        await producer.stop()
    records = [record async for batch in read_records(known, "board.teams") for record in batch]
    assert [record.value for record in records] == [b"v"]

    async def groups_are_told() -> bool:
        try:
            return await handled(known, service="ingest", topic="board.teams") == {}
        except DependencyDown:
            return False  # a new broker makes its topic of groups when it is first asked for one

    await eventually(groups_are_told)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kafka_password": "another"},
        {"kafka_username": "", "kafka_password": ""},
        {"kafka_ca_file": None},
    ],
    ids=["with another password", "without a user", "without TLS"],
)
async def test_nobody_else_does(guarded: GuardedKafka, wrong: dict[str, object]) -> None:
    producer = Producer(settings(guarded, **wrong))
    with pytest.raises(DependencyDown):
        await producer.start()


def test_a_user_without_a_password_is_refused_and_a_password_is_never_shown() -> None:
    with pytest.raises(SettingsError, match="go together"):
        Settings.load({"JIEBANG_KAFKA_USERNAME": "jiebang"})
    loaded = Settings.load({"JIEBANG_KAFKA_USERNAME": "jiebang", "JIEBANG_KAFKA_PASSWORD": PASSWORD})
    assert PASSWORD not in repr(loaded)
    with pytest.raises(SettingsError) as refused:
        Settings.load({"JIEBANG_KAFKA_PASSWORD": PASSWORD})
    assert PASSWORD not in str(refused.value)
