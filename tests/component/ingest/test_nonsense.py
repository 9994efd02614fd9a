"""Whatever anyone sends, the answer is a problem document and never a 500."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import httpx

from shared.contracts.board import Role
from tests.component.ingest.stage import CSV, Stage, announce

IDS = ["nope", "%00", "..%2f..%2fetc", "😀", "a" * 3000, "sub_" + "0" * 26, "%ff%fe", "{}", "' or 1=1", "$where", "-1"]
NUMBERS = ["-1", "0", "1e9", "NaN", "9" * 400, "", "٣", "0x10", "+5", " 7"]
VALUES: list[Any] = [
    None, 0, -1, 1.5, 10**400, "", "x" * 5000, "\ud800", "\x00", [], {}, [[]], {"$gt": ""}, True, "chl_unknown",
]  # fmt: skip
BODIES = [b"", b"{", b"[]", b"null", b'{"a":1e999}', b"\xff\xfe", b"[" * 5000, b'"\\ud800"', b"{}" * 3, b"\x00" * 9]


def body(rng: random.Random) -> bytes:
    """A body that is hardly ever what a route takes."""
    if rng.random() < 0.4:
        return rng.choice(BODIES)
    names = ["challenge", "upload", "note", "ids", "all", "extra"]
    return json.dumps({name: rng.choice(VALUES) for name in rng.sample(names, rng.randrange(1, 5))}).encode()


def headers(rng: random.Random) -> dict[str, str]:
    """Headers that some route may read, mostly wrong."""
    possible = {
        "Idempotency-Key": rng.choice(["", "k", "x" * 400, "k\t"]),
        "Tus-Resumable": rng.choice(["1.0.0", "2", ""]),
        "Upload-Length": rng.choice(NUMBERS),
        "Upload-Offset": rng.choice(NUMBERS),
        "Upload-Metadata": rng.choice(["", "sha256", "a b c", ",,,", announce(CSV)["Upload-Metadata"], "x" * 5000]),
        "Upload-Checksum": rng.choice(["", "sha256", "sha256 %%%", "md5 abc"]),
        "X-HTTP-Method-Override": rng.choice(["PATCH", "DELETE", "TRACE", ""]),
        "Content-Type": rng.choice(["application/json", "application/offset+octet-stream", "text/plain", ";"]),
        "If-None-Match": rng.choice(["*", '"x"', ""]),
        "Last-Event-ID": rng.choice(NUMBERS),
        "Accept": rng.choice(["", "*/*", "text/html", ";;;"]),
        "Range": "bytes=0-",
    }
    return {name: value for name, value in possible.items() if rng.random() < 0.5}


async def test_nonsense_on_every_route_is_refused_and_never_a_500(stage: Stage, rng: random.Random) -> None:
    challenge = await stage.challenge()
    team = await stage.team(challenge)
    submission = await team.submitted(challenge)
    operator = await stage.client(Role.OPERATOR, "ops_a")
    document = (await team.http.get("/openapi.json")).json()
    routes = [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if not path.endswith("/events")
    ]
    assert len(routes) > 15, "the routes are taken from the document"
    answered: set[tuple[str, str, int]] = set()

    async def ask(method: str, path: str) -> None:
        id = rng.choice([*IDS, submission["id"], submission["upload"]])
        filled = path.replace("{id}", id).replace("{stream}", id)
        query = rng.choice(["", f"?limit={rng.choice(NUMBERS)}", "?after=%00", "?challenge=" + rng.choice(IDS), "?a=%"])
        client = operator if path.startswith("/v1/ops") else team.http
        try:
            answer = await client.request(method, filled + query, headers=headers(rng), content=body(rng))
        except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError):
            return  # the client itself would not send this
        answered.add((method, path, answer.status_code))
        assert answer.status_code < 500, (method, filled, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.headers["content-type"] == "application/problem+json", (method, filled, answer.text)
            assert {"type", "title", "status", "code", "fault"} <= answer.json().keys()

    for _ in range(12):
        await asyncio.gather(*(ask(method, path) for method, path in routes))
    assert {(method, path) for method, path, _ in answered} == set(routes)
    assert (await team.show(submission["id"]))["id"] == submission["id"]
    assert stage.api.process.running


async def test_a_body_that_is_not_http_at_all_does_not_stop_the_service(stage: Stage) -> None:
    host, port = stage.api.url.removeprefix("http://").split(":")
    for raw in (b"\x00\x01\x02", b"GET", b"POST /v1/uploads HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"A" * 70_000):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw)
        writer.write_eof()
        answer = await reader.read(100)
        assert not answer or b" 400 " in answer.splitlines()[0]
        writer.close()
    async with httpx.AsyncClient(base_url=stage.api.url, trust_env=False) as anyone:
        assert (await anyone.get("/v1/keys")).status_code == 200
