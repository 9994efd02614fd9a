"""AsyncAPI 3 documents: which events a service writes and reads."""

from __future__ import annotations

from typing import Any

from shared.contracts.envelope import CONTENT_TYPE
from shared.contracts.registry import FACTS, event_class, topics

SERVICES = ("board", "ingest", "scoring", "ranking", "notify")


def event_schema(event_type: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one event with its envelope."""
    fact = FACTS[event_type]
    schema = event_class(fact).model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:jiebang:event:{event_type}"  # so that its own references resolve wherever it is embedded
    schema["title"] = event_type
    schema["description"] = (fact.__doc__ or "").strip()
    schema["properties"]["type"] = {"const": event_type, "type": "string"}
    return schema


def asyncapi(service: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of one service: a channel per topic it touches, an operation per direction."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic in topics():
        writes, reads = topic.owner == service, service in topic.readers
        if not (writes or reads):
            continue
        types = [name for name, fact in FACTS.items() if fact.topic == topic.name]
        channels[topic.name] = {
            "address": topic.name,
            "description": f"Keyed by {topic.key}; {topic.partitions} partitions.",
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in types},
        }
        for name in types:
            schema = event_schema(name)
            messages[name] = {
                "name": name,
                "contentType": CONTENT_TYPE,
                "summary": schema["description"],
                "payload": {
                    "schemaFormat": "application/schema+json;version=draft-2020-12",
                    "schema": schema,
                },
            }
        action, verb = ("send", "writes") if writes else ("receive", "reads")
        operations[f"{verb}.{topic.name}"] = {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"jiebang {service}", "version": "1"},
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
