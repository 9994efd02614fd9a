"""The sponsor's receiver of the demo believes nothing it cannot verify."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from deploy.local.demo.receiver import Delivery, Receiver

BODY = json.dumps({"type": "score.completed.v1", "data": {"total": "91.5"}})


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def signed(secret: str, body: str = BODY, *, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign("msg_1", at, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def test_a_signed_webhook_is_taken_and_handed_on() -> None:
    heard: list[Delivery] = []
    secret = new_secret()
    with Receiver(heard.append) as receiver:
        receiver.trust("museum", secret)
        answer = httpx.post(receiver.url_for("museum"), content=BODY, headers=signed(secret))
    assert answer.status_code == 204
    assert heard == receiver.deliveries
    assert [(got.sponsor, got.id, got.verified, got.event) for got in heard] == [
        ("museum", "msg_1", True, json.loads(BODY))
    ]


@pytest.mark.parametrize(
    "forgery", ["another secret", "another body", "an old time", "no signature", "another sponsor"]
)
def test_a_webhook_that_does_not_verify_is_refused_and_remembered(forgery: str) -> None:
    secret = new_secret()
    headers = signed(secret)
    if forgery == "another secret":
        headers = signed(new_secret())
    elif forgery == "an old time":
        headers = signed(secret, at=datetime.now(UTC) - timedelta(hours=1))
    elif forgery == "no signature":
        del headers["webhook-signature"]
    with Receiver() as receiver:
        receiver.trust("museum", secret)
        receiver.trust("airport", new_secret())
        answer = httpx.post(
            receiver.url_for("airport" if forgery == "another sponsor" else "museum"),
            content=BODY.replace("91.5", "99.5") if forgery == "another body" else BODY,
            headers=headers,
        )
    assert answer.status_code == 401
    assert [got.verified for got in receiver.deliveries] == [False]
