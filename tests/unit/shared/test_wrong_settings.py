"""What shows only when a setting is used: a file, an address, a key. It ends a start with one line all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from shared.app import Service
from shared.clock import SystemClock
from shared.dead_letters import Cemetery
from shared.failures import FailurePolicy
from shared.kafka import Producer, create_broker, security
from shared.mongo import client
from shared.objects import Objects
from shared.sandboxes import exit_unless_confined
from shared.settings import Settings, SettingsError

SECRET = "canary"


class ServiceSettings(Settings, process="ingest"):
    pass


@pytest.fixture
def not_pem(tmp_path: Path) -> Path:
    file = tmp_path / "not.pem"
    file.write_text("certainly no certificate")
    return file


def test_an_authority_that_is_not_there_or_none_is_named(tmp_path: Path, not_pem: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JIEBANG_KAFKA_CA_FILE: .*gone.pem: No such file or directory$"):
        security(Settings(kafka_ca_file=tmp_path / "gone.pem"))
    with pytest.raises(SettingsError, match=r"^JIEBANG_KAFKA_CA_FILE: .*not.pem holds no certificate \(PEM\)$"):
        security(Settings(kafka_ca_file=not_pem))


@pytest.mark.parametrize(
    "address",
    [
        "",
        f"mongodb://user:{SECRET}@host:99999/",
        f"mongodb://user:{SECRET}@host/?tls=true&tlsCAFile=/not/there.pem",
        f"mongodb://user:{SECRET}@host/?tls=true&tlsCertificateKeyFile=/not/there.pem",
        f"mongodb://us@er:{SECRET}@host/",
        f"mongodb://user:{SECRET}%@host/",
        f"postgres://user:{SECRET}@host/",
    ],
)
def test_an_address_that_the_driver_refuses_is_told_without_its_password(address: str) -> None:
    with pytest.raises(SettingsError, match=r"^JIEBANG_MONGO_URI: ") as told:
        client(Settings(mongo_uri=address))
    assert SECRET not in str(told.value)


def test_a_file_for_tls_that_the_database_cannot_use_is_told(not_pem: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JIEBANG_MONGO_URI: "):
        client(Settings(mongo_uri=f"mongodb://host/?tls=true&tlsCAFile={not_pem}"))


@pytest.mark.parametrize("address", ["/a/folder", "s3://", "s3:///prefix", "ftp://host/", "file:///proc/nowhere"])
def test_an_object_store_that_cannot_be_is_told(address: str) -> None:
    with pytest.raises(SettingsError, match=r"^JIEBANG_OBJECTS_URL: file:///a/folder or s3://"):
        Objects(address)


def test_half_a_pair_of_keys_for_the_object_store_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"^JIEBANG_OBJECTS_URL: .*SecretAccessKey$"):
        Objects("s3://bucket/prefix")


@pytest.mark.parametrize("what", ["no PEM", "another kind of key", "a password", "a folder"])
def test_a_file_that_holds_no_signing_key_ends_the_start(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key.pem"
    key = generate_private_key(SECP256R1())
    match what:
        case "no PEM":
            file.write_text("key")
        case "another kind of key":
            file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        case "a password":
            locked = BestAvailableEncryption(b"secret")
            file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        case _:
            file.mkdir()
    with pytest.raises(SystemExit) as left:
        _ = Service("ingest", ServiceSettings(signing_key_file=file)).signer
    assert left.value.code == 2
    assert f"JIEBANG_SIGNING_KEY_FILE: {file}" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["signer", "objects"])
def test_what_a_process_needs_and_is_not_told_ends_its_start(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        getattr(Service("ingest", ServiceSettings()), missing)
    assert left.value.code == 2
    assert " is needed: " in capsys.readouterr().err


def test_a_scratch_folder_that_cannot_be_made_is_told() -> None:
    with pytest.raises(SettingsError, match=r"^JIEBANG_SCRATCH_DIR: /proc/nowhere/scoring: "):
        exit_unless_confined(Path("/proc/nowhere/scoring"))


def test_the_broker_is_not_made_with_a_wrong_authority(not_pem: Path) -> None:
    settings = ServiceSettings(kafka_ca_file=not_pem)
    with pytest.raises(SettingsError):
        create_broker(settings, FailurePolicy(Cemetery(Producer(settings), SystemClock())))


@pytest.mark.parametrize(
    "command", [["services.ingest.app"], ["services.scoring.worker"], ["services.board.issue", "--role", "operator"]]
)
def test_a_process_says_it_in_a_line_and_exits_with_2(command: list[str], tmp_path: Path, not_pem: Path) -> None:
    given = {
        "JIEBANG_KAFKA_CA_FILE": str(not_pem),
        "JIEBANG_OBJECTS_URL": (tmp_path / "objects").as_uri(),
        "JIEBANG_SCRATCH_DIR": str(tmp_path / "scratch"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", *command], env={**os.environ, **given}, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2, ended.stderr
    said = ended.stderr.splitlines()
    assert said[0].endswith("cannot start with these settings:")
    assert said[1:] == [f"  JIEBANG_KAFKA_CA_FILE: {not_pem} holds no certificate (PEM)"]
