"""YOLO annotations: one text file an image, a box a line in shares of its sides, and the names of the classes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path

from jiebang.structure.boxes import Annotations, Box
from jiebang.structure.descriptors import folder_of
from jiebang.structure.names import stem
from jiebang.structure.reading import read_text

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
CLASSES = "classes.txt"

MOST_LINES = 100_000
LONGEST_LINE = 10_000
MOST_CLASSES = 100_000

_HEAD = 1 << 12
_NUMBER = r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?"
_LINE = re.compile(rf"[0-9]{{1,9}}(?:[ \t]+{_NUMBER}){{4,}}")
_CLASS = re.compile(r"[0-9]{1,9}")
_NAMES = re.compile(r"^names:[ \t]*(?:(\[|\{)([^\]}]*)|(?:#[^\n]*)?\n)", re.MULTILINE)
_ENTRY = re.compile(r"(?:[ \t]*-[ \t]+|[ \t]+[0-9]{1,6}[ \t]*:[ \t]*)[^ \t]")
_COUNT = re.compile(r"^nc:[ \t]*([0-9]{1,9})[ \t]*(?:#.*)?$", re.MULTILINE)
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_PLAIN = re.compile(_NUMBER)


def image_stems(path: str) -> Iterator[str]:
    """The paths without ending at which the image of a label file may lie: beside it, or in `images/` for `labels/`."""
    beside = stem(path)
    yield beside
    parts = beside.split("/")
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "labels":
            yield "/".join([*parts[:place], "images", *parts[place + 1 :]])


def is_label_file(path: str, location: Path, images: Collection[str]) -> bool:
    """Whether a text file lies as the labels of an image (`images`: their paths without ending) and looks like them."""
    if not path.lower().endswith(".txt") or not any(place in images for place in image_stems(path)):
        return False
    with location.open("rb") as stream:
        head = stream.read(_HEAD)
    lines = head.decode("utf-8", "replace").splitlines()
    whole = lines if len(head) < _HEAD else lines[:-1]
    return all(_LINE.fullmatch(line.strip()) for line in whole if line.strip())


def class_count(names: str | None, classes: str | None) -> int:
    """How many classes there are, by the text of a `data.yaml` or, without one, of a `classes.txt`; 0 if none says."""
    if names is not None:
        return _named(names)
    return sum(bool(line.strip()) for line in (classes or "").split("\n")[:MOST_CLASSES])


def _named(text: str) -> int:
    """The entries of a list or mapping under `names`, else the number under `nc`.

    Counted line by line, without a YAML parser: so nothing in it is built or followed, and any text takes little time.
    """
    match = _NAMES.search(text)
    count = 0
    if match is not None and match[1]:
        count = sum(bool(part.strip()) for part in _QUOTED.sub("x", match[2]).split(",", MOST_CLASSES))
    elif match is not None:
        for line in text[match.end() :].split("\n", MOST_CLASSES):
            if _ENTRY.match(line):
                count += 1
            elif line.strip() and not line.lstrip().startswith("#"):
                break
    number = _COUNT.search(text)
    return count or (min(MOST_CLASSES, int(number[1])) if number else 0)


def read_labels(
    path: str, location: Path, image_path: str | None, image: tuple[int, int] | None, classes: int
) -> Annotations:
    """The boxes of a label file, `image` the size of its image; outlines of three points or more are the boxes that
    hold them.
    """
    text = read_text(location)
    boxes = []
    for number, line in enumerate(text.split("\n")[:MOST_LINES], start=1):
        if line.strip():
            boxes.append(_box(path, number, line, image_path or path, image, classes))
    return Annotations(path, boxes)


def _box(path: str, number: int, line: str, place: str, image: tuple[int, int] | None, classes: int) -> Box:
    name, *rest = line[:LONGEST_LINE].split()
    known = _CLASS.fullmatch(name) is not None and int(name) < classes
    values = [Fraction(text) for text in rest if _PLAIN.fullmatch(text)]
    sides = None
    if image is not None and len(values) == len(rest):
        sides = _of_shares(values, image)
    # The class stays a text, so that no box of YOLO is one of COCO, which numbers its categories on its own.
    kind = str(int(name)) if _CLASS.fullmatch(name) else name
    return Box(path, number, image, known, sides, (place, kind, tuple(rest) if sides is None else sides), slack=1)


def _of_shares(values: list[Fraction], image: tuple[int, int]) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
    width, height = image
    if len(values) in (4, 5):  # the fifth is how sure a detector was
        x, y, w, h = values[:4]
        return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
    if len(values) < 6 or len(values) % 2:
        return None
    across, down = values[0::2], values[1::2]
    left, top = min(across), min(down)
    return left * width, top * height, (max(across) - left) * width, (max(down) - top) * height


def nearest(path: str, texts: dict[str, str]) -> str | None:
    """Of texts by the folder they lie in, the one nearest above a path."""
    folder = folder_of(path)
    while folder and folder not in texts:
        folder = folder_of(folder[:-1])
    return texts.get(folder)
