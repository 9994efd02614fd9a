"""COCO annotations: one JSON object of images, categories and annotations, read without what a box does not need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from jiebang.structure.boxes import Annotations, Box

MOST_BYTES = 128 << 20
"""A longer file is not read."""

MOST_VALUES = 20_000_000
MOST_CONTAINERS = 4_000_000

_HEAD = 1 << 16
_FIRST_KEY = re.compile(rb'\s*\{\s*"(info|licenses|images|annotations|categories|type)"\s*:')
_NEEDED = frozenset(
    ("images", "annotations", "categories", "id", "image_id", "category_id", "bbox", "file_name", "width", "height")
)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")

Size = tuple[int, int]


class _NotCoco(Exception):
    """What is wrong with the file as a whole."""


def is_coco(location: Path) -> bool:
    """Whether a JSON file begins as COCO annotations do and holds their parts."""
    with location.open("rb") as stream:
        piece = stream.read(_HEAD)
        if not _FIRST_KEY.match(piece.removeprefix(b"\xef\xbb\xbf")):
            return False
        wanted = {b'"images"', b'"annotations"'}
        before = b""
        while piece:
            wanted = {name for name in wanted if name not in before + piece}
            if not wanted:
                return True
            before, piece = piece[-32:], stream.read(1 << 20)
    return False


def read_coco(
    path: str, location: Path, size_of: Callable[[str], Size | None] | None, path_of: Callable[[str], str]
) -> Annotations:
    """The boxes of a COCO file.

    `path_of` gives the path of the image that a `file_name` means, however it is written; `size_of` its size, None
    where it is not there or no image. Without `size_of` (a dataset of annotations alone) the sizes are those that the
    file lists.
    """
    try:
        data = _read(location)
        images = _images(data, size_of)
        paths = {_key(entry.get("id")): path_of(str(entry.get("file_name"))) for entry in _entries(data, "images")}
        categories = {_key(entry.get("id")) for entry in _entries(data, "categories")}
    except _NotCoco as error:
        return Annotations(path, error=str(error))
    boxes = []
    for number, entry in enumerate(_entries(data, "annotations"), start=1):
        if "bbox" in entry or "category_id" in entry:
            image = images.get(_key(entry.get("image_id")))
            known = _key(entry.get("category_id")) in categories
            sides, kind = _sides(entry.get("bbox")), _number(entry.get("category_id"))
            said = (
                paths.get(_key(entry.get("image_id")), ""),
                str(entry.get("category_id")) if kind is None else kind,
                str(entry.get("bbox")) if sides is None else sides,
            )
            boxes.append(Box(path, number, image, known, sides, said))
    return Annotations(path, boxes)


def _read(location: Path) -> dict[str, Any]:
    if location.stat().st_size > MOST_BYTES:
        raise _NotCoco(f"it has more than {MOST_BYTES:,} bytes")
    raw = location.read_bytes()
    if raw.count(b",") > MOST_VALUES or raw.count(b"[") + raw.count(b"{") > MOST_CONTAINERS:
        raise _NotCoco("it holds too many values")
    try:
        text = raw.decode("utf-8-sig")
        del raw
        data = json.loads(text, object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise _NotCoco("it is not UTF-8") from None
    except (ValueError, RecursionError):
        raise _NotCoco("it is not JSON") from None
    if not isinstance(data, dict):
        raise _NotCoco("it is not one JSON object")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without what a box does not need: outlines and counts of runs are most of a file."""
    found = {name: value for name, value in pairs if name in _NEEDED}
    if len(found) < sum(name in _NEEDED for name, _ in pairs):
        raise _NotCoco("it holds a name twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise _NotCoco(f"it holds {name}, which is not JSON")


def _entries(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = data.get(name)
    if not isinstance(entries, list):
        raise _NotCoco(f"it has no list of {name}")
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _key(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _images(data: Mapping[str, Any], size_of: Callable[[str], Size | None] | None) -> dict[str | None, Size | None]:
    found: dict[str | None, Size | None] = {}
    for entry in _entries(data, "images"):
        name, id = entry.get("file_name"), _key(entry.get("id"))
        if size_of is None:
            width, height = (_number(entry.get(side)) for side in ("width", "height"))
            whole = width is not None and height is not None and width.denominator == height.denominator == 1
            found[id] = (int(width or 0), int(height or 0)) if whole else None
        else:
            found[id] = size_of(name) if isinstance(name, str) else None
    found[None] = None
    return found


def _sides(value: Any) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = map(_number, value)
    if x is None or y is None or width is None or height is None:
        return None
    return x, y, width, height


def _number(value: Any) -> Fraction | None:
    """A JSON number exactly; numbers came as their text, which texts in quotes cannot be told from."""
    return Fraction(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None
