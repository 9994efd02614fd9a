"""A certificate verifies with tools that know nothing of this package."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from jiebang.certificate.verification import canonical, fingerprint
from tests.unit.certificate.issued import certificate, handed_over, issuer, write_dataset


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    folder = tmp_path / "certificate"
    with zipfile.ZipFile(BytesIO(handed_over())) as archive:
        archive.extractall(folder)
    return folder


def verify_py(folder: Path, *arguments: object, isolated: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own program; `-S -I`: with the standard library alone."""
    flags = ["-S", "-I"] if isolated else ["-I"]
    command = [sys.executable, *flags, str(folder / "verify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


ROOT = fingerprint(issuer().root.public)


def test_openssl_verifies_the_signature(unpacked: Path, tmp_path: Path) -> None:
    told = verify_py(unpacked, "--root", ROOT, "--for-openssl", tmp_path / "openssl")
    command = told.stdout.splitlines()[-1]
    assert "openssl pkeyutl -verify -pubin -rawin" in command
    checked = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.strip()) == (0, "Signature Verified Successfully")
    signed = bytearray((tmp_path / "openssl" / "signed.bin").read_bytes())
    signed[-1] ^= 1
    (tmp_path / "openssl" / "signed.bin").write_bytes(signed)
    refused = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert refused.returncode != 0


def test_securesystemslib_verifies_the_signature() -> None:
    envelope = Envelope.from_dict(json.loads(certificate().envelope))
    key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(issuer().key.public), keyid=issuer().key.id)
    assert set(envelope.verify([key], 1)) == {issuer().key.id}
    other = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(issuer().root.public), keyid=issuer().key.id)
    with pytest.raises(VerificationError):
        envelope.verify([other], 1)


def test_the_payload_is_an_in_toto_statement_in_canonical_json() -> None:
    envelope = json.loads(certificate().envelope)
    payload = base64.b64decode(envelope["payload"])
    statement = json.loads(payload)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert rfc8785.dumps(statement) == payload


def test_the_program_in_the_bundle_needs_nothing_but_python_and_openssl(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    dataset = write_dataset(tmp_path / "data")
    found = verify_py(unpacked, "--root", ROOT, "--dataset", dataset)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count("PASSED") == 12
    (dataset / "towers.csv").write_text("tower\n")
    refused = verify_py(unpacked, "--root", ROOT, "--dataset", dataset)
    assert refused.returncode == 1
    assert "FAILED" in refused.stdout
    assert "towers.csv is not the file that was certified" in refused.stdout


def test_the_program_finds_a_changed_signature_by_openssl_and_by_cryptography_alike(unpacked: Path) -> None:
    envelope = json.loads((unpacked / "certificate.json").read_bytes())
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[0] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    (unpacked / "certificate.json").write_bytes(canonical(envelope))
    for isolated in (True, False):
        found = verify_py(unpacked, "--root", ROOT, isolated=isolated)
        assert found.returncode == 1
        assert "the signature does not fit" in found.stdout


def test_the_program_gives_a_terminal_no_orders(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    dataset = write_dataset(tmp_path / "data")
    (dataset / "a\x1b[2J\nPASSED 巡检.csv").write_text("a\n")
    refused = verify_py(unpacked, "--root", ROOT, "--dataset", dataset)
    assert refused.returncode == 1
    assert r"a\x1b[2J\nPASSED 巡检.csv does not belong to the dataset" in refused.stdout
    assert "\x1b" not in refused.stdout
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("a\x1b[2J\nPASSED", b"")
    told = verify_py(unpacked, tmp_path / "c.zip", "--root", ROOT).stdout
    assert told == "FAILED  a\\x1b[2J\\nPASSED does not belong to a certificate\n"


def test_the_program_trusts_no_root_key_by_itself(unpacked: Path) -> None:
    found = verify_py(unpacked)
    assert found.returncode == 1
    assert "name the issuer's with --root" in found.stdout
    assert verify_py(unpacked, "--root", "0" * 64).returncode == 1
    # The file that lies in the bundle is named by whoever holds it, on their own word.
    assert verify_py(unpacked, "--root", unpacked / "root.pem").returncode == 0


text = st.text(st.characters(exclude_categories=["Cs"]))
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


@given(values)
def test_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)
