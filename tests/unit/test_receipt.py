"""A receipt verifies offline, and only as it was signed."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jiebang.receipt import NotGenuine, verify_receipt
from tests.unit.cli.platform import public_keys, signed_receipt

FACTS = {"submission": "sub_1", "digest": "ab" * 32}


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def test_a_genuine_receipt_says_what_was_signed(key: Ed25519PrivateKey) -> None:
    assert verify_receipt(signed_receipt(key, FACTS), public_keys(key)) == FACTS


def test_a_changed_receipt_is_refused(key: Ed25519PrivateKey) -> None:
    envelope = signed_receipt(key, FACTS)
    envelope["payload"] = base64.b64encode(json.dumps(FACTS | {"submission": "sub_2"}).encode()).decode()
    with pytest.raises(NotGenuine) as refusal:
        verify_receipt(envelope, public_keys(key))
    assert refusal.value.code == "wrong_signature"


def test_a_receipt_of_another_platform_is_refused(key: Ed25519PrivateKey) -> None:
    with pytest.raises(NotGenuine) as refusal:
        verify_receipt(signed_receipt(key, FACTS, keyid="key-2"), public_keys(key))
    assert refusal.value.code == "unknown_key"


def test_a_signature_by_another_key_of_the_same_name_is_refused(key: Ed25519PrivateKey) -> None:
    with pytest.raises(NotGenuine) as refusal:
        verify_receipt(signed_receipt(Ed25519PrivateKey.generate(), FACTS), public_keys(key))
    assert refusal.value.code == "wrong_signature"


@pytest.mark.parametrize(
    "envelope",
    [{}, {"payloadType": "x"}, {"payloadType": "text/plain", "payload": "", "signatures": []}, {"payload": 1}],
)
def test_something_else_is_not_a_receipt(key: Ed25519PrivateKey, envelope: dict[str, object]) -> None:
    with pytest.raises(NotGenuine) as refusal:
        verify_receipt(envelope, public_keys(key))
    assert refusal.value.code == "not_a_receipt"
