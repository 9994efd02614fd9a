"""An organiser certifies on the command line; a sponsor verifies, offline, step by step."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from jiebang.certificate.issuer import Issuer
from jiebang.certificate.signing import KeyList, SigningKey
from jiebang.certificate.verification import fingerprint
from tests.unit.certificate.issued import DECLARE, write_dataset
from tests.unit.cli.conftest import Command
from tests.unit.cli.platform import Platform


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    return write_dataset(folder)


@pytest.fixture
def report(jiebang: Command, dataset: Path, tmp_path: Path) -> Path:
    declaration = tmp_path / "declare.yaml"
    declaration.write_text(yaml.safe_dump(DECLARE, allow_unicode=True))
    file = tmp_path / "report.json"
    file.write_text(jiebang("score", dataset, "--declare", declaration, "--json").out)
    return file


@pytest.fixture
def issuer(jiebang: Command, tmp_path: Path) -> Path:
    folder = tmp_path / "issuer"
    assert jiebang("certificate", "issuer", folder).code == 0
    return folder


@pytest.fixture
def certificate(jiebang: Command, report: Path, issuer: Path, tmp_path: Path) -> Path:
    file = tmp_path / "handed-over" / "certificate.zip"
    file.parent.mkdir()
    assert jiebang("certificate", "issue", report, "--issuer", issuer, "--output", file).code == 0
    return file


def steps(found: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["outcome"] for step in found["steps"]}


def test_a_certificate_is_issued_and_verified(jiebang: Command, certificate: Path, issuer: Path, dataset: Path) -> None:
    shown = jiebang("verify", certificate, "--root", issuer / "root.pem", "--dataset", dataset)
    assert shown.code == 0
    assert shown.out.count("✓") == 12
    assert "The certificate is valid" in shown.out
    assert "It does not claim" in shown.out
    found = jiebang("verify", certificate, "--root", issuer / "root.pem", "--dataset", dataset, "--json")
    assert found.json["valid"] is True
    assert set(steps(found.json).values()) == {"passed"}


def test_the_root_key_is_named_by_its_fingerprint_or_its_file(
    jiebang: Command, certificate: Path, issuer: Path
) -> None:
    unknown = jiebang("verify", certificate, "--json")
    assert unknown.code == 1
    assert unknown.json["failed"] == "root"
    listed = jiebang("certificate", "issuer", issuer, "--json").json
    assert jiebang("verify", certificate, "--root", listed["root"]).code == 0
    other = jiebang("verify", certificate, "--root", "f" * 64, "--json")
    assert (other.code, other.json["failed"]) == (1, "root")
    assert jiebang("verify", certificate, "--root", issuer / "root.pem").code == 0
    assert jiebang("verify", certificate, "--root", "nowhere.pem").code == 2


def test_a_root_key_that_lies_beside_the_certificate_is_nobodys_word(
    jiebang: Command, platform: Platform, certificate: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(certificate) as archive:
        archive.extract("root.pem", certificate.parent)
    unknown = jiebang("verify", certificate, "--json")
    assert (unknown.code, unknown.json["failed"]) == (1, "root")
    other = Issuer.create(tmp_path / "other", now=datetime.now(UTC))
    keys = {"root": fingerprint(other.keys.root), "keys": json.loads(other.keys.signed)}
    platform.answers["GET", "/v1/certificates/keys"] = (200, keys, {})
    assert jiebang("login", platform.url, "--key", "jb_team_k1_secret").code == 0
    forged = jiebang("verify", certificate, "--json")
    assert (forged.code, forged.json["failed"]) == (1, "root"), "the root key kept by login decides"


def test_an_unpacked_certificate_is_one_too(jiebang: Command, certificate: Path, issuer: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(certificate) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert jiebang("verify", tmp_path / "unpacked", "--root", issuer / "root.pem").code == 0
    (tmp_path / "unpacked" / "rubric.json").write_text("{}")
    changed = jiebang("verify", tmp_path / "unpacked", "--root", issuer / "root.pem", "--json")
    assert (changed.code, changed.json["failed"]) == (1, "rubric")


def test_another_dataset_is_told_by_the_name_of_its_file(
    jiebang: Command, certificate: Path, issuer: Path, dataset: Path
) -> None:
    (dataset / "towers.csv").write_text("tower\nT1\n")
    found = jiebang("verify", certificate, "--root", issuer / "root.pem", "--dataset", dataset, "--json")
    assert (found.code, found.json["failed"]) == (1, "dataset")
    assert "towers.csv" in next(step["detail"] for step in found.json["steps"] if step["outcome"] == "failed")


def test_a_dataset_in_an_archive_is_opened(
    jiebang: Command, certificate: Path, issuer: Path, dataset: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.make_archive(str(packed / "dataset"), "zip", dataset)
    for given in (packed / "dataset.zip", packed):
        found = jiebang("verify", certificate, "--root", issuer / "root.pem", "--dataset", given)
        assert found.code == 0, found.out


def test_a_damaged_file_is_no_certificate(jiebang: Command, certificate: Path) -> None:
    raw = bytearray(certificate.read_bytes())
    raw[0] ^= 1
    raw[len(raw) // 2] ^= 1
    certificate.write_bytes(raw)
    found = jiebang("verify", certificate, "--json")
    assert (found.code, found.json["failed"]) == (1, "bundle")


def test_a_strange_name_writes_no_line_of_its_own(jiebang: Command, tmp_path: Path) -> None:
    file = tmp_path / "certificate.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a\n✓ all is well", b"")
    shown = jiebang("verify", file)
    assert shown.code == 1
    assert r"a\n✓ all is well does not belong to a certificate" in shown.out


def test_a_revoked_certificate_stays_in_the_log(jiebang: Command, certificate: Path, issuer: Path) -> None:
    (entry,) = jiebang("certificate", "log", "--issuer", issuer, "--json").json["entries"]
    id, reason = entry["certificate"], "The rights were not the team's."
    assert jiebang("certificate", "revoke", id, "--reason", reason, "--issuer", issuer).code == 0
    assert jiebang("certificate", "revoke", id, "--reason", reason, "--issuer", issuer).code == 1
    assert jiebang("certificate", "revoke", "crt_0", "--reason", reason, "--issuer", issuer).code == 1
    entries = jiebang("certificate", "log", "--issuer", issuer, "--json").json["entries"]
    assert [(entry["event"], entry["certificate"]) for entry in entries] == [("issued", id), ("revoked", id)]
    known = ("verify", certificate, "--root", issuer / "root.pem")
    assert jiebang(*known).code == 0, "the list in the bundle is of an earlier day, and says so"
    newer = jiebang(*known, "--revocations", issuer / "revocations.json", "--json")
    assert (newer.code, newer.json["failed"]) == (1, "revocation")


def test_a_log_with_a_gap_is_no_log(jiebang: Command, certificate: Path, report: Path, issuer: Path) -> None:
    again = ("certificate", "issue", report, "--issuer", issuer, "--output", certificate)
    assert jiebang(*again).code == 0
    (issuer / "log" / "00000002.json").unlink()
    lost = jiebang("certificate", "log", "--issuer", issuer, "--json")
    assert (lost.code, lost.json["code"]) == (3, "log_rewritten")
    assert jiebang(*again).code == 3, "nothing is added to a log that is not whole"


def test_a_new_signing_key_leaves_old_certificates_valid(
    jiebang: Command, certificate: Path, report: Path, issuer: Path, tmp_path: Path
) -> None:
    offline = tmp_path / "offline.pem"
    (issuer / "root-key.pem").rename(offline)
    assert jiebang("certificate", "issuer", issuer, "--json").code == 3, "the root key is not here"
    rotated = jiebang("certificate", "issuer", issuer, "--root-key", offline, "--json").json
    assert rotated["version"] == 2
    newer = tmp_path / "newer.zip"
    assert jiebang("certificate", "issue", report, "--issuer", issuer, "--output", newer).code == 0
    details = []
    for file in (certificate, newer):
        found = jiebang("verify", file, "--root", issuer / "root.pem", "--json")
        assert found.code == 0
        details.append(next(step["detail"] for step in found.json["steps"] if step["step"] == "key"))
    assert details[0] != details[1]
    newer_list = (certificate, "--root", issuer / "root.pem", "--revocations", issuer / "revocations.json", "--json")
    assert jiebang("verify", *newer_list).json["failed"] == "revocation", "it does not know the new key"
    assert jiebang("verify", *newer_list, "--keys", issuer / "keys.json").code == 0
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"keys": json.loads((issuer / "keys.json").read_text())}))
    assert jiebang("verify", *newer_list, "--keys", answer).code == 0


def test_a_provisional_grade_is_not_certified(jiebang: Command, dataset: Path, issuer: Path, tmp_path: Path) -> None:
    report = tmp_path / "provisional.json"
    report.write_text(jiebang("score", dataset, "--json").out)
    refused = jiebang("certificate", "issue", report, "--issuer", issuer, "--output", tmp_path / "c.zip", "--json")
    assert (refused.code, refused.json["code"]) == (1, "provisional")
    assert not (tmp_path / "c.zip").exists()
    assert json.loads(report.read_text())["provisional"] is True


def test_the_platform_hands_out_its_certificates_and_login_keeps_its_root_key(
    jiebang: Command, platform: Platform, certificate: Path, issuer: Path, tmp_path: Path
) -> None:
    own = Issuer.open(issuer)
    keys = {"root": fingerprint(own.keys.root), "keys": json.loads(own.keys.signed)}
    platform.answers["GET", "/v1/certificates/keys"] = (200, keys, {})
    platform.answers["GET", "/v1/certificates/sub_1"] = (200, certificate.read_bytes(), {})
    assert jiebang("login", platform.url, "--key", "jb_team_k1_secret").code == 0
    fetched = tmp_path / "fetched.zip"
    assert jiebang("certificate", "get", "sub_1", "--output", fetched).code == 0
    assert fetched.read_bytes() == certificate.read_bytes()
    assert jiebang("verify", fetched).code == 0
    emptied = KeyList.sign(SigningKey.load(issuer / "root-key.pem"), (), version=9, now=datetime.now(UTC))
    platform.answers["GET", "/v1/certificates/keys"] = (200, {**keys, "keys": json.loads(emptied.signed)}, {})
    assert jiebang("login", platform.url, "--key", "jb_team_k1_secret").code == 0
    found = jiebang("verify", fetched, "--json")
    assert (found.code, found.json["failed"]) == (1, "key"), "the platform has taken its key off the list"


def test_an_organiser_revokes_on_the_platform(logged_in: Command, platform: Platform) -> None:
    platform.answers["POST", "/v1/certificates/crt_1/revoke"] = (200, {"id": "crt_1", "reason": "why"}, {})
    assert logged_in("certificate", "revoke", "crt_1", "--reason", "why", "--json").json["id"] == "crt_1"
    [(_, body)] = platform.asked("POST", "/v1/certificates/crt_1/revoke")
    assert body == {"reason": "why"}
