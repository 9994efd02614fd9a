"""Problems instead of errors, bounded bodies, conditional reads, cursors: the edge that every API has."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared import metrics, problems
from shared.contracts.envelope import rfc3339
from shared.failures import DependencyDown, TransientError
from shared.http import (
    GONE,
    BoundedJson,
    GivenMoment,
    Observed,
    conditional,
    cursor_of,
    fingerprint,
    link_next,
    place_of,
)
from shared.objects import StorageFull
from shared.problems import Problem, not_found


class Body(BaseModel):
    name: str


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(BoundedJson)
    problems.install(app)
    app.add_middleware(Observed)

    @app.get("/fail/{how}")
    async def fail(how: str) -> None:
        match how:
            case "bug":
                raise ZeroDivisionError("secret detail")
            case "down":
                raise DependencyDown("mongodb")
            case "transient":
                raise TransientError("busy")
            case "full":
                raise StorageFull
            case _:
                raise Problem(429, "quota_exhausted", "No.", "Wait.", retry_after=timedelta(seconds=1.2), limit=3)

    @app.post("/echo")
    async def echo(body: Body) -> dict[str, str]:
        return {"name": body.name}

    @app.get("/thing")
    async def thing(request: Request) -> Response:
        response = conditional(request, b'{"a":1}')
        link_next(request, response, cursor_of("sub_1", 7))
        return response

    @app.get("/since")
    async def since(moment: GivenMoment) -> dict[str, str]:
        return {"moment": rfc3339(moment)}

    return app


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["code"] == code
    assert document["type"].endswith(code)
    assert document["title"]
    return document


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("bug", 503, "platform_fault"),
        ("down", 503, "platform_fault"),
        ("transient", 503, "platform_fault"),
        ("full", 507, "storage_full"),
    ],
)
async def test_what_is_our_fault_says_so_and_when_to_come_back(
    api: httpx.AsyncClient, how: str, status: int, code: str
) -> None:
    answer = await api.get(f"/fail/{how}")
    document = is_problem(answer, status, code)
    assert document["fault"] == "platform"
    assert int(answer.headers["retry-after"]) == document["retry_after"] > 0
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_problem_carries_the_fields_of_its_case(api: httpx.AsyncClient) -> None:
    answer = await api.get("/fail/quota")
    document = is_problem(answer, 429, "quota_exhausted")
    assert document["limit"] == 3
    assert answer.headers["retry-after"] == "2"
    assert document["detail"] == "Wait."


async def test_unknown_routes_and_methods_are_problems(api: httpx.AsyncClient) -> None:
    is_problem(await api.get("/nothing"), 404, "not_found")
    answer = await api.put("/echo")
    is_problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 422, "invalid_request"),
        (b'{"name": 5}', 422, "invalid_request"),
        (b"\xff\xfe", 422, "invalid_text"),
        (b"[" * 100_000, 400, "bad_request"),
        (b'{"name": "\\ud800"}', 422, "invalid_text"),
        (b"", 422, "invalid_request"),
        (b'{"name": "' + b"x" * 2_000_000 + b'"}', 413, "body_too_large"),
    ],
)
async def test_a_body_that_cannot_be_read_is_the_senders_problem(
    api: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    answer = await api.post("/echo", content=body, headers=JSON)
    document = is_problem(answer, status, code)
    assert document["fault"] == "participant"


async def test_an_endless_body_is_refused_while_it_is_read(api: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    is_problem(await api.post("/echo", content=endless(), headers=JSON), 413, "body_too_large")
    assert sent < 2_000_000


async def test_a_version_that_the_caller_has_is_not_sent_again(api: httpx.AsyncClient) -> None:
    first = await api.get("/thing")
    assert first.json() == {"a": 1}
    for known in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        again = await api.get("/thing", headers={"if-none-match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]
    assert (await api.get("/thing", headers={"if-none-match": '"other"'})).status_code == 200


async def test_a_list_links_to_its_next_page(api: httpx.AsyncClient) -> None:
    link = (await api.get("/thing?limit=5&after=old")).links["next"]["url"]
    assert httpx.URL(link).params["limit"] == "5"
    assert place_of(httpx.URL(link).params["after"]) == ("sub_1", 7)


@given(st.lists(st.one_of(st.text(), st.integers()), max_size=5))
def test_a_cursor_leads_back_to_its_place(place: list[str | int]) -> None:
    try:
        cursor = cursor_of(*place)
    except UnicodeEncodeError:
        return  # half a character is never in an id
    assert place_of(cursor) == tuple(place)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_cursors(text: str) -> None:
    try:
        place = place_of(text)
    except Problem as problem:
        refused = problem
        place = None
    assert (place is None and refused.code == "invalid_cursor") or isinstance(place, tuple)


def test_a_cursor_that_spells_half_a_character_is_none_of_ours() -> None:
    forged = base64.urlsafe_b64encode(b'["\\ud800"]').decode()
    with pytest.raises(Problem) as refused:
        place_of(forged)
    assert refused.value.code == "invalid_cursor"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_moment_that_is_outside_the_calendar_in_utc_is_refused(api: httpx.AsyncClient, moment: str) -> None:
    is_problem(await api.get("/since", params={"moment": moment}), 422, "invalid_request")


async def test_a_moment_is_given_in_any_offset_and_taken_in_utc(api: httpx.AsyncClient) -> None:
    answer = await api.get("/since", params={"moment": "2026-03-01T08:00:00+08:00"})
    assert answer.json() == {"moment": "2026-03-01T00:00:00.000000Z"}


def test_a_fingerprint_sees_values_and_not_spelling() -> None:
    assert fingerprint({"a": 1, "b": "é"}) == fingerprint({"b": "é", "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


async def test_methods_that_clients_make_up_are_one_label(api: httpx.AsyncClient) -> None:
    for number in range(3):
        assert (await api.request(f"MADEUP{number}", "/thing")).status_code == 405
    methods = {sample.labels["method"] for metric in metrics.REQUESTS.collect() for sample in metric.samples}
    assert "other" in methods
    assert not [method for method in methods if method.startswith("MADEUP")]


async def test_a_client_that_goes_away_in_the_middle_of_its_body_is_no_fault_of_ours() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/thing",
        "raw_path": b"/thing",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    before = counted(str(GONE))
    await application()(scope, receive, send)
    assert sent == []
    assert counted(str(GONE)) == before + 1


def counted(status: str) -> float:
    """How many requests were counted under a status."""
    return sum(
        sample.value
        for metric in metrics.REQUESTS.collect()
        for sample in metric.samples
        if sample.name == "http_requests_total" and sample.labels["status"] == status
    )


def test_what_is_missing_is_a_word_in_the_code_and_words_in_the_sentence() -> None:
    missing = not_found("dead_letter")
    assert (missing.code, missing.title) == ("unknown_dead_letter", "There is no such dead letter.")
