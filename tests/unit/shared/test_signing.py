from __future__ import annotations

import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.signing import RECEIPT_TYPE, SignatureRefused, Signer, verify


def test_a_statement_verifies_with_the_public_key_alone() -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    envelope = signer.sign({"submission": "sub_1", "bytes": 12, "team": "队"}, RECEIPT_TYPE)
    body = verify(json.loads(json.dumps(envelope)), {signer.public.keyid: signer.public.raw}, RECEIPT_TYPE)
    assert body == '{"bytes":12,"submission":"sub_1","team":"队"}'.encode()


def test_a_changed_statement_type_signature_or_key_is_refused() -> None:
    signer, stranger = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
    keys = {signer.public.keyid: signer.public.raw}
    envelope = signer.sign({"bytes": 12}, RECEIPT_TYPE)
    changed = {**envelope, "payload": base64.b64encode(b'{"bytes":13}').decode()}
    forged = {**envelope, "signatures": [{"keyid": signer.public.keyid, "sig": base64.b64encode(bytes(64)).decode()}]}
    for bad in (changed, forged, {**envelope, "payloadType": "x"}, stranger.sign({"bytes": 12}, RECEIPT_TYPE), {}):
        with pytest.raises(SignatureRefused):
            verify(bad, keys, RECEIPT_TYPE)
    with pytest.raises(SignatureRefused):
        verify(envelope, {signer.public.keyid: stranger.public.raw}, RECEIPT_TYPE)


def test_processes_that_start_at_once_agree_on_one_key_that_only_they_can_read(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "receipt.pem"
    with ThreadPoolExecutor(8) as pool:
        keyids = {signer.public.keyid for signer in pool.map(lambda _: Signer.load(file), range(8))}
    assert len(keyids) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["receipt.pem"]


def test_the_pem_is_the_same_key_for_other_tools() -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    signer = Signer(Ed25519PrivateKey.generate())
    loaded = load_pem_public_key(signer.public.pem.encode())
    assert loaded.public_bytes_raw() == signer.public.raw  # type: ignore[union-attr]


def test_keys_of_before_stay_known_after_a_rotation(tmp_path: Path) -> None:
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    before = Signer.load(old)
    receipt = before.sign({"bytes": 12}, RECEIPT_TYPE)
    Signer.load(new)
    new.write_bytes(new.read_bytes() + before.public.pem.encode())
    after = Signer.load(new)
    assert after.public.keyid != before.public.keyid
    assert after.retired == (before.public,)
    keys = {public.keyid: public.raw for public in (after.public, *after.retired)}
    assert verify(receipt, keys, RECEIPT_TYPE) == b'{"bytes":12}'
    assert verify(after.sign({"bytes": 12}, RECEIPT_TYPE), keys, RECEIPT_TYPE) == b'{"bytes":12}'
    new.write_bytes(before.public.pem.encode() + new.read_bytes())
    assert Signer.load(new).public == after.public, "in any order"
