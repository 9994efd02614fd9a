"""The schema gate: what may change inside one version of an event, and what needs a new one.

Old and new processes run side by side and topics are replayed from their first record, so a schema must read its old
events and its new events must be readable by old code. That leaves one change: a new field that may be absent.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_WORDS = ("title", "description", "examples")


def breaks(old: Schema, new: Schema) -> list[str]:
    """The changes from `old` to `new` that are not additive, a sentence each; empty when there are none."""
    return _compare(old, new, old.get("$defs", {}), new.get("$defs", {}), "")


def _compare(old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, where: str) -> list[str]:
    old, new = _resolved(old, old_defs), _resolved(new, new_defs)
    found: list[str] = []
    here = where or "the event"
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name, schema in old_fields.items():
        path = f"{where}.{name}".lstrip(".")
        if name not in new_fields:
            found.append(f"{path} is gone: old readers need it")
        else:
            found += _compare(schema, new_fields[name], old_defs, new_defs, path)
    found += [
        f"{where}.{name}".lstrip(".") + " is required now: old events lack it"
        for name in new.get("required", [])
        if name not in old.get("required", [])
    ]
    found += [
        f"{where}.{name}".lstrip(".") + " may be absent now: old readers need it"
        for name in old.get("required", [])
        if name in new_fields and name not in new.get("required", [])
    ]
    for keyword in ("items", "additionalProperties"):
        before, after = old.get(keyword), new.get(keyword)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _compare(before, after, old_defs, new_defs, f"{where}[]")
        elif before != after:
            found.append(f"{here}: {keyword} changed")
    before_choices, after_choices = old.get("anyOf", []), new.get("anyOf", [])
    if len(before_choices) != len(after_choices):
        found.append(f"{here}: its alternatives changed")
    else:
        for before, after in zip(before_choices, after_choices, strict=True):
            found += _compare(before, after, old_defs, new_defs, where)
    compared = {"properties", "required", "items", "additionalProperties", "anyOf", "$defs", "$schema", "$id", *_WORDS}
    found += [
        f"{here}: {keyword} changed from {old.get(keyword)!r} to {new.get(keyword)!r}"
        for keyword in sorted((old.keys() | new.keys()) - compared)
        if old.get(keyword) != new.get(keyword)
    ]
    return found


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    # Contracts hold no recursive models but free JSON values, whose definition refers to itself: it is never entered.
    name = reference.rsplit("/", 1)[1]
    return {"const": "any JSON"} if name == "JsonValue" else definitions[name]
