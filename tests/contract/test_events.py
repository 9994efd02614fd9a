"""Events keep their word: to old readers, to new readers, and to readers that nobody here wrote."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.contracts.asyncapi import event_schema
from shared.contracts.compatibility import breaks
from shared.contracts.envelope import Event, UnknownEvent
from shared.contracts.generate import EXAMPLES, broken, documents
from shared.contracts.registry import FACTS, MalformedEvent, parse, topics

EXAMPLE_FILES = sorted(EXAMPLES.glob("*.json"))


def example(event_type: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{event_type}.json").read_text("utf-8"))
    return document


def test_every_event_type_has_a_golden_example() -> None:
    assert {path.stem for path in EXAMPLE_FILES} == set(FACTS)


def test_every_event_type_belongs_to_a_topic_that_is_listed() -> None:
    assert {fact.topic for fact in FACTS.values()} == {topic.name for topic in topics()}


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: path.stem)
def test_a_golden_example_parses_and_is_written_back_without_loss(path: Path) -> None:
    text = path.read_text("utf-8")
    event = parse(text.encode())
    assert isinstance(event, Event)
    assert json.loads(event.encode()) == json.loads(text)
    assert (event.subject, event.partitionkey) == (event.data.subject, event.data.key)


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: path.stem)
def test_a_golden_example_is_valid_under_the_committed_schema(path: Path) -> None:
    schema = json.loads((path.parent.parent / "schemas" / path.name).read_text("utf-8"))
    Draft202012Validator(schema).validate(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: path.stem)
def test_a_reader_ignores_fields_that_a_newer_writer_added(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    newer = {**document, "nextextension": "x", "data": {**document["data"], "next_field": {"a": [1]}}}
    assert parse(json.dumps(newer).encode()) == parse(json.dumps(document).encode())


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: path.stem)
def test_what_may_be_nothing_may_be_nothing_in_every_event(path: Path) -> None:
    """Nothing is written by leaving the field out, so a field that may be null must also be one that may be absent."""
    document = json.loads(path.read_text("utf-8"))
    fact = FACTS[path.stem]
    for name in document["data"]:
        emptied = json.dumps({**document, "data": {**document["data"], name: None}}).encode()
        if type(None) in get_args(fact.model_fields[name].annotation):
            event = parse(emptied)
            assert isinstance(event, Event)
            assert parse(event.encode()) == event


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: path.stem)
def test_the_official_sdk_reads_our_bytes(path: Path) -> None:
    event = parse(path.read_bytes())
    assert isinstance(event, Event)
    seen = from_structured_event(
        KafkaMessage(headers={"content-type": b"application/cloudevents+json"}, key=None, value=event.encode())
    )
    assert (seen.get_id(), seen.get_type(), seen.get_subject()) == (event.id, event.type, event.subject)
    assert seen.get_time() == event.time
    assert seen.get_data() == json.loads(event.encode())["data"]


def test_the_generated_documents_are_up_to_date() -> None:
    stale = [path.name for path, text in documents().items() if not path.exists() or path.read_text("utf-8") != text]
    assert stale == [], "run `make contracts` and commit what it writes"


def test_nothing_in_this_tree_breaks_a_version() -> None:
    assert broken() == {}


def _without(field: str) -> Any:
    def change(schema: dict[str, Any]) -> None:
        del schema["$defs"]["SubmissionReceived"]["properties"][field]

    return change


def _required(schema: dict[str, Any]) -> None:
    schema["$defs"]["SubmissionReceived"]["properties"]["licence"] = {"type": "string"}
    schema["$defs"]["SubmissionReceived"]["required"].append("licence")


def _optional_now(schema: dict[str, Any]) -> None:
    schema["$defs"]["SubmissionReceived"]["required"].remove("team")


def _retyped(schema: dict[str, Any]) -> None:
    schema["$defs"]["SubmissionReceived"]["properties"]["bytes"]["type"] = "string"


def _narrowed(schema: dict[str, Any]) -> None:
    schema["$defs"]["SubmissionReceived"]["properties"]["team"]["pattern"] = "^team_"


@pytest.mark.parametrize("change", [_without("phase"), _required, _optional_now, _retyped, _narrowed])
def test_the_gate_refuses_a_change_that_is_not_additive(change: Any) -> None:
    old = event_schema("submission.received.v1")
    new = copy.deepcopy(old)
    change(new)
    assert breaks(old, old) == []
    assert len(breaks(old, new)) == 1


def test_the_gate_lets_a_new_optional_field_through() -> None:
    old = event_schema("submission.received.v1")
    new = copy.deepcopy(old)
    new["$defs"]["SubmissionReceived"]["properties"]["licence"] = {"type": "string", "default": "unknown"}
    assert breaks(old, new) == []


def test_an_enum_may_not_grow_since_old_readers_refuse_the_new_word() -> None:
    old = event_schema("credential.issued.v1")
    new = copy.deepcopy(old)
    new["$defs"]["Role"]["enum"].append("judge")
    assert breaks(old, new) != []


def test_an_unknown_type_is_not_an_error() -> None:
    event = parse(json.dumps({**example("score.completed.v1"), "type": "score.completed.v9"}).encode())
    assert isinstance(event, UnknownEvent)
    assert event.type == "score.completed.v9"


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"type":"score.completed.v1"}', b"[" * 100_000, b'{"id":1}'],
)
def test_what_is_not_an_event_is_malformed_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(MalformedEvent):
        parse(raw)


def test_data_against_its_schema_is_malformed_and_names_the_field() -> None:
    document = example("score.completed.v1")
    document["data"]["total"] = 92.41
    with pytest.raises(MalformedEvent, match=r"data\.total"):
        parse(json.dumps(document).encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_the_parser_fail_otherwise(raw: bytes) -> None:
    with contextlib.suppress(MalformedEvent):
        assert isinstance(parse(raw), Event | UnknownEvent)


def test_a_moment_is_written_in_utc_whatever_zone_it_came_in() -> None:
    document = example("submission.received.v1")
    document["data"]["received_at"] = "2026-03-02T16:15:02.000451+08:00"
    event = parse(json.dumps(document).encode())
    assert isinstance(event, Event)
    assert b'"received_at":"2026-03-02T08:15:02.000451Z"' in event.encode()
