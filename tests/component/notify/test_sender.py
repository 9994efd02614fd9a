"""One attempt at a receiver: signed as the standard says, bounded whatever the receiver does, to a checked address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.notify.delivery import Reply
from services.notify.sender import ANSWER_READ, Resolver, Sender
from services.notify.subscription import secret_of
from shared.clock import SystemClock
from tests.component.notify.receivers import (
    HugeAnswer,
    answer,
    certificate,
    drip,
    hang_up,
    never_answer,
    nonsense,
    receiver,
)

FIRST, SECOND = secret_of(b"1" * 32), secret_of(b"2" * 32)
BODY = '{"type":"score.completed.v1","data":{"total":"91.000000","名":"值"}}'


async def now() -> datetime:
    return SystemClock().now()


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    resolver = Resolver()
    async with Sender(now, resolver, allow_loopback=True, whole_time_out=1.0) as sender:
        yield sender
    resolver.close()


async def send(sender: Sender, url: str) -> Reply:
    return await sender.send("dlv_1", url, [FIRST], BODY)


async def test_the_unmodified_library_verifies_what_is_sent(sender: Sender) -> None:
    async with receiver(answer(204)) as there:
        reply = await send(sender, there.url)
    (request,) = there.received
    assert reply.taken
    assert (request.method, request.path) == ("POST", "/hook?key=1")
    assert request.headers["host"] == f"127.0.0.1:{there.port}"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == "dlv_1"
    assert Webhook(FIRST).verify(request.body, request.headers)["data"]["名"] == "值"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECOND).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(FIRST).verify(request.body + b" ", request.headers)


async def test_during_a_rotation_either_secret_verifies(sender: Sender) -> None:
    async with receiver(answer(200)) as there:
        await sender.send("dlv_1", there.url, [SECOND, FIRST], BODY)
    (request,) = there.received
    for secret in (FIRST, SECOND):
        assert Webhook(secret).verify(request.body, request.headers)


async def test_the_moment_of_a_signature_is_the_one_it_is_told_and_not_the_machines() -> None:
    """A worker whose clock is an hour off would sign what every receiver refuses."""
    told = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    async def elsewhere() -> datetime:
        return told

    async with (
        receiver(answer(503, Retry_After="Sun, 01 Mar 2026 08:02:00 GMT")) as there,
        Sender(elsewhere, Names("127.0.0.1"), allow_loopback=True) as sender,
    ):
        reply = await send(sender, there.url)
    (request,) = there.received
    assert request.headers["webhook-timestamp"] == str(int(told.timestamp()))
    assert reply.retry_after == timedelta(minutes=2)


async def test_status_answer_and_retry_after_come_back(sender: Sender) -> None:
    async with receiver(answer(429, b"slow down, please", Retry_After="120")) as there:
        reply = await send(sender, there.url)
    assert (reply.status, reply.answer, reply.error) == (429, "slow down, please", None)
    assert reply.retry_after == timedelta(seconds=120)
    assert not reply.taken


async def test_a_silent_receiver_costs_no_more_than_the_time_out(sender: Sender) -> None:
    async with receiver(never_answer) as there:
        reply = await send(sender, there.url)
    assert len(there.received) == 1
    assert (reply.status, reply.error) == (None, "time_out")


async def test_a_dripping_receiver_costs_no_more_than_the_time_out(sender: Sender) -> None:
    async with receiver(drip) as there:
        reply = await send(sender, there.url)
    assert (reply.status, reply.error, reply.taken) == (200, "time_out", False)
    assert reply.answer.startswith("..")


async def test_of_a_huge_answer_64_kilobytes_are_read_and_4_kept(sender: Sender) -> None:
    huge = HugeAnswer()
    async with receiver(huge) as there:
        reply = await send(sender, there.url)
    assert reply.taken
    assert len(reply.answer) == 4096
    # What left the receiver beyond what was read sits in socket buffers, far from a gigabyte.
    assert ANSWER_READ <= huge.sent < 64 * 1024 * 1024


async def test_a_redirect_is_not_followed(sender: Sender) -> None:
    async with receiver(answer(200)) as inside, receiver(answer(307, Location=inside.url)) as there:
        reply = await send(sender, there.url)
    assert (reply.status, reply.taken) == (307, False)
    assert (len(there.received), inside.connections) == (1, 0)


@pytest.mark.parametrize(("behaviour", "error"), [(nonsense, "protocol_error"), (hang_up, "protocol_error")])
async def test_what_is_not_http_is_an_error_of_the_protocol(sender: Sender, behaviour: object, error: str) -> None:
    async with receiver(behaviour) as there:  # type: ignore[arg-type]
        reply = await send(sender, there.url)
    assert len(there.received) == 1
    assert (reply.status, reply.error) == (None, error)


async def test_a_closed_port_is_a_refused_connection(sender: Sender) -> None:
    async with receiver(answer(200)) as there:
        pass
    assert (await send(sender, there.url)).error == "connection_refused"


async def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent(
    sender: Sender, tmp_path: Path
) -> None:
    server, _ = certificate(tmp_path, "hooks.example.org")
    async with receiver(answer(200), server) as there:
        reply = await send(sender, there.url)
    assert (reply.status, reply.error) == (None, "tls_failed")
    assert (there.connections, there.received) == (0, [])


async def test_a_name_is_kept_for_tls_and_host_while_the_address_is_what_was_checked(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "hooks.example.org")
    seen: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: seen.append(name)
    async with receiver(answer(200), server) as there:
        asked = Names("127.0.0.1")
        async with Sender(now, asked, allow_loopback=True, tls=trusting) as sender:
            reply = await send(sender, f"https://hooks.example.org:{there.port}/hook")
    assert reply.taken
    assert seen == ["hooks.example.org"]
    assert there.received[0].headers["host"] == f"hooks.example.org:{there.port}"
    assert asked.times == 1


async def test_a_good_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "hooks.example.org")
    async with (
        receiver(answer(200), server) as there,
        Sender(now, Names("127.0.0.1"), allow_loopback=True, tls=trusting) as sender,
    ):
        reply = await send(sender, f"https://other.example.org:{there.port}/hook")
    assert reply.error == "tls_failed"
    assert there.received == []


class Names:
    """A name server that gives one answer after the other, and the last one for ever."""

    def __init__(self, *answers: str | Sequence[str]) -> None:
        self.answers = [[entry] if isinstance(entry, str) else list(entry) for entry in answers]
        self.times = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.times += 1
        return self.answers[min(self.times, len(self.answers)) - 1]


async def test_a_name_that_turns_private_after_it_was_checked_is_refused_at_connect() -> None:
    """Fault 33. The very same name and receiver are reached where loopback is allowed, so the fault is a real one."""
    async with receiver(answer(200)) as there:
        url = f"http://rebinding.example.org:{there.port}/hook"
        async with Sender(now, Names("127.0.0.1"), allow_loopback=True) as careless:
            assert (await send(careless, url)).taken
        reached = there.connections
        async with Sender(now, Names("127.0.0.1"), allow_loopback=False) as careful:
            reply = await send(careful, url)
    assert reply.error == "address_refused"
    assert there.connections == reached


async def test_one_private_address_among_public_ones_refuses_them_all() -> None:
    async with receiver(answer(200)) as there:
        names = Names(["127.0.0.1", "10.0.0.1"])
        async with Sender(now, names, allow_loopback=True) as sender:
            reply = await send(sender, f"http://mixed.example.org:{there.port}/hook")
    assert reply.error == "address_refused"
    assert there.connections == 0


async def test_numbers_in_disguise_are_checked_as_what_they_resolve_to() -> None:
    resolver = Resolver()
    async with Sender(now, resolver) as sender:
        for host in ("2130706433", "0x7f000001", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"):
            reply = await send(sender, f"http://{host}/hook")
            assert reply.error in ("address_refused", "unresolvable"), host
    resolver.close()


async def test_a_proxy_in_the_environment_is_not_used(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(answer(200)) as proxy, receiver(answer(200)) as there:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await send(sender, there.url)).taken
    assert proxy.connections == 0


async def test_a_name_without_an_address_is_said_to_be_that(sender: Sender) -> None:
    assert (await send(sender, "https://no-such-host.invalid/hook")).error == "unresolvable"


async def test_slow_receivers_do_not_hold_up_a_good_one(sender: Sender) -> None:
    async with receiver(never_answer) as slow, receiver(answer(200)) as good:
        waiting = [asyncio.create_task(send(sender, slow.url)) for _ in range(40)]
        await slow.until(40)
        assert (await send(sender, good.url)).taken
        assert not any(task.done() for task in waiting)
        assert {reply.error for reply in await asyncio.gather(*waiting)} == {"time_out"}
