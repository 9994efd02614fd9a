"""YAML and JSON as people write them: every value keeps the line it stands on, and scalars keep their text.

Plain YAML turns the marker `NO` into false, the class `007` into 7 and a date into an object. What is read here is
compared with the text of cells, so a scalar stays the text that was written; only an empty value or `null` is nothing.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jiebang.errors import DeclarationError

KeyPath = tuple[str | int, ...]

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 32
_NULL = re.compile(r"~|null|Null|NULL|")


@dataclass(frozen=True)
class Document:
    """A mapping read from a file, with the line (from 1) of every key and list item, by its path of keys."""

    data: dict[str, Any]
    name: str
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, path: Iterable[str | int]) -> int | None:
        """The line of a key, or of the nearest thing that holds it."""
        parts = tuple(path)
        while parts and parts not in self.lines:
            parts = parts[:-1]
        return self.lines.get(parts)

    def locate(self, error: DeclarationError, at: KeyPath = ()) -> DeclarationError:
        """The same error with the file's name and the line of the key it speaks of; `at` is where its paths begin."""
        path: KeyPath = (*at, *error.fields.get("path", ()))
        line = self.line(path)
        where = self.name if line is None else f"{self.name}, line {line}"
        fields = {**error.fields, "file": self.name, "line": line}
        return DeclarationError(error.code, f"{where}: {error.title}", error.detail, **fields)


def read_document(path: Path) -> Document:
    """Read a YAML or JSON file that holds one mapping.

    Raises DeclarationError naming the file and the line when it is not there, not UTF-8, too large, not well formed,
    repeats a key, uses an anchor (which can make a small file huge), or is not a mapping.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DeclarationError(
            "document_unreadable", f"{path} cannot be read: {error.strerror}.", "Name a YAML or JSON file."
        ) from error
    if len(raw) > _MAX_BYTES:
        raise DeclarationError(
            "document_too_large",
            f"{path} has {len(raw)} bytes.",
            f"At most {_MAX_BYTES} are read; a declaration is not the dataset.",
            limit=_MAX_BYTES,
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DeclarationError(
            "document_unreadable", f"{path}, line {line}: not UTF-8.", "Save the file as UTF-8.", line=line
        ) from error
    return parse_document(text, str(path), is_json=path.suffix.lower() == ".json")


def parse_document(text: str, name: str, *, is_json: bool = False) -> Document:
    """Read the text of a YAML or JSON document; `name` is what errors call it. Errors as `read_document`."""
    if is_json:
        _refuse_bad_json(text, name)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise DeclarationError(
            "document_malformed",
            f"{name}, line {line}: {error.problem or error.context}.",
            "Correct the YAML there; most often the indentation or a missing quote is at fault.",
            line=line,
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DeclarationError(
            "document_malformed", f"{name}: not YAML ({error}).", "Correct the file; it must be YAML or JSON."
        ) from error
    if not isinstance(node, yaml.MappingNode):
        raise DeclarationError(
            "document_malformed", f"{name} does not hold a mapping.", "Write `key: value` lines at its top."
        )
    lines: dict[KeyPath, int] = {}
    data = _build(node, (), lines, name, set())
    assert isinstance(data, dict)
    return Document(data, name, lines)


def _refuse_bad_json(text: str, name: str) -> None:
    # YAML reads nearly all JSON and knows the lines; what only JSON forbids (a trailing comma, a bare word) is
    # found here, so that a .json file that other programs cannot read is not accepted.
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise DeclarationError(
            "document_malformed", f"{name}, line {error.lineno}: {error.msg}.", "Correct the JSON.", line=error.lineno
        ) from error
    except RecursionError as error:
        raise DeclarationError("document_malformed", f"{name} is nested too deeply.", "Correct the JSON.") from error


def _build(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str, open_nodes: set[int]) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if id(node) in open_nodes or len(path) > _MAX_DEPTH:
        raise DeclarationError(
            "document_malformed", f"{name}, line {line}: nested too deeply.", "Write it flat.", line=line
        )
    if isinstance(node, yaml.ScalarNode):
        plain = node.style is None
        return None if plain and _NULL.fullmatch(node.value) else node.value
    if len(lines) > 200_000:
        raise DeclarationError("document_too_large", f"{name} holds too many values.", "Do not use anchors.")
    open_nodes = open_nodes | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), lines, name, open_nodes) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise DeclarationError(
                "document_malformed", f"{name}, line {key_line}: a key must be text.", "Quote the key.", line=key_line
            )
        key = key_node.value
        if key in mapping:
            raise DeclarationError(
                "document_repeats_key",
                f"{name}, line {key_line}: `{key}` is written twice.",
                "Keep one of the two.",
                line=key_line,
                key=key,
            )
        lines[(*path, key)] = key_line
        mapping[key] = _build(value_node, (*path, key), lines, name, open_nodes)
    return mapping


def refuse_unknown_keys(data: dict[str, Any], known: Iterable[str], path: KeyPath, what: str) -> None:
    """Raise DeclarationError for the first key of `data` that is not known, naming the nearest known one."""
    names = tuple(known)
    for key in data:
        if key in names:
            continue
        nearest = difflib.get_close_matches(str(key).lower(), names, n=1, cutoff=0.5)
        hint = f"Did you mean `{nearest[0]}`? " if nearest else ""
        raise DeclarationError(
            "unknown_key",
            f"`{key}` is not a key of {what}.",
            f"{hint}Known keys: {', '.join(names)}.",
            key=str(key),
            nearest=nearest[0] if nearest else None,
            path=[*path, str(key)],
        )
