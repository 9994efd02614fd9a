"""Bytes to records: encodings, delimiters, CSV and JSON records."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any

TRIMMED = " \t\r\n\u00a0\u3000"
DELIMITERS = ",\t;|"


@dataclass
class File:
    """A data file as read: column names, parsed records (cell texts or None, by name), and what was attempted."""

    path: str
    kind: str
    columns: list[str] = field(default_factory=list)
    records: list[dict[str, str | None]] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    attempted: int = 0


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def undecodable(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def decode(data: bytes, encoding: str | None) -> str:
    """The text of a file; bytes that cannot be decoded become lone surrogates, which fail their record."""
    if encoding is not None:
        return data.decode(encoding, errors="surrogateescape").removeprefix("\ufeff")
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", errors="surrogateescape")
    for mark, codec in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            body = data[2:]
            text = body[: len(body) // 2 * 2].decode(codec, errors="surrogatepass")
            return text + ("\udc80" if len(body) % 2 else "")
    for codec in ("utf-8", "gb18030"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="surrogateescape")


def is_blank(line: str, delimiter: str | None) -> bool:
    return not line.strip(TRIMMED) and (delimiter is None or delimiter not in line)


def find_delimiter(text: str) -> str | None:
    """The one of comma, tab, semicolon, pipe most often outside quotes in the header record."""
    start = 0
    while True:
        counts = dict.fromkeys(DELIMITERS, 0)
        quoted = False
        field_start = True
        position = start
        while position < len(text):
            character = text[position]
            if quoted:
                if character == '"':
                    if text[position + 1 : position + 2] == '"':
                        position += 1
                    else:
                        quoted = False
            elif character in "\r\n":
                break
            elif character == '"' and field_start:
                quoted = True
                field_start = False
            elif character in counts:
                counts[character] += 1
                field_start = True
            else:
                field_start = False
            position += 1
        line = text[start:position]
        if line.strip(TRIMMED) or position >= len(text):
            best = max(DELIMITERS, key=lambda delimiter: counts[delimiter])  # the first of equals
            return best if counts[best] else None
        start = position + 1


def split_csv(text: str, delimiter: str | None) -> list[tuple[str, list[str], bool]]:
    """Every record as (its text, its fields, whether it is well formed), blank lines left out."""
    records = []
    position = 0
    while position < len(text):
        start = position
        fields: list[str] = []
        sound = True
        while True:  # one field a turn
            value = ""
            if text[position : position + 1] == '"':
                position += 1
                while True:
                    end = text.find('"', position)
                    if end < 0:  # still open at the end of the file
                        value += text[position:]
                        position = len(text)
                        sound = False
                        break
                    value += text[position:end]
                    position = end + 1
                    if text[position : position + 1] != '"':
                        break
                    value += '"'
                    position += 1
                after = position
                while position < len(text) and text[position] not in "\r\n" and text[position] != delimiter:
                    position += 1
                if position > after:
                    sound = False
                value += text[after:position]
            else:
                after = position
                while position < len(text) and text[position] not in "\r\n" and text[position] != delimiter:
                    position += 1
                value = text[after:position]
            fields.append(value)
            if position < len(text) and text[position] == delimiter:
                position += 1
                continue
            break
        raw = text[start:position]
        if text[position : position + 2] == "\r\n":
            position += 2
        else:
            position += 1
        if not is_blank(raw, delimiter):
            records.append((raw, fields, sound))
    return records


def unique_names(names: list[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f"{name}#{number}", number + 1
        taken.append(candidate)
    return taken


def read_csv(path: str, data: bytes, encoding: str | None) -> File:
    text = decode(data, encoding)
    file = File(path, "csv")
    delimiter = find_delimiter(text)
    records = split_csv(text, delimiter)
    if not records:
        return file
    header = records[0]
    file.columns = unique_names([nfc(name.strip(TRIMMED)) for name in header[1]])
    for ordinal, (raw, fields, sound) in enumerate(records[1:], start=1):
        file.attempted += 1
        if sound and len(fields) == len(file.columns) and not undecodable(raw):
            file.records.append(dict(zip(file.columns, fields, strict=True)))
            file.ordinals.append(ordinal)
    return file


class Lexeme(str):
    """The source text of a JSON number or constant."""

    __slots__ = ()


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [nfc(name) for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name is repeated")
    return dict(zip(names, (value for _, value in pairs), strict=True))


def parse_json(text: str) -> Any:
    return json.loads(
        text, object_pairs_hook=_object, parse_int=Lexeme, parse_float=Lexeme, parse_constant=_refuse_constant
    )


def json_text(value: Any) -> str:
    """Compact JSON, names sorted by code point, strings NFC, numbers as they were written."""
    if isinstance(value, dict):
        inner = ",".join(f"{json_text(name)}:{json_text(value[name])}" for name in sorted(value))
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ",".join(json_text(item) for item in value) + "]"
    if isinstance(value, Lexeme):
        return str(value)
    if isinstance(value, str):
        return json.dumps(nfc(value), ensure_ascii=False)
    return {None: "null", True: "true", False: "false"}[value]


def cell_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    return json_text(value)


def read_json(path: str, data: bytes, encoding: str | None) -> File:
    text = decode(data, encoding)
    file = File(path, "json")
    values: list[Any] = []
    if path.lower().endswith(".json") and text.lstrip(" \t\r\n")[:1] == "[":
        values = parse_json(text)
    else:
        lines = [text] if path.lower().endswith(".json") and _is_one_object(text) else text.split("\n")
        for line in lines:
            if not line.strip(TRIMMED):
                continue
            try:
                values.append(parse_json(line))
            except ValueError:
                values.append(ValueError)
    for ordinal, value in enumerate(values, start=1):
        file.attempted += 1
        if not isinstance(value, dict) or undecodable(json_text(value)):
            continue
        file.records.append({name: cell_text(entry) for name, entry in value.items()})
        file.ordinals.append(ordinal)
        file.columns.extend(name for name in value if name not in file.columns)
    return file


def _is_one_object(text: str) -> bool:
    try:
        return isinstance(parse_json(text), dict)
    except ValueError:
        return False


def read_file(path: str, data: bytes, encoding: str | None = None) -> File:
    if path.lower().endswith((".jsonl", ".ndjson", ".json")):
        return read_json(path, data, encoding)
    return read_csv(path, data, encoding)
