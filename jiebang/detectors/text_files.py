"""Looking through text that is in no cell: documents of a package, and lines that the tables leave out."""

from __future__ import annotations

import codecs
import datetime
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from jiebang.dataset.encoding import Encoding, decide_encoding, utf8_blocks
from jiebang.detectors.catalogue import CLASSES
from jiebang.detectors.finds import Found
from jiebang.detectors.scanning import Cells, Scanner

_HEAD = 1 << 16
_ASCII = bytes(range(0x80)) + b" " * 0x80
_BLOCK = 4 << 20
_OVERLAP = 1 << 14

LONGEST_PIECE = 1 << 20
"""A line of more characters is looked at piece by piece."""

MOST_PIECES = 1 << 16
"""The most lines or pieces of lines that are looked at together."""


def is_text(location: Path) -> bool:
    """Whether a file looks like text: no NUL in its beginning, or throughout in an encoding of text."""
    with location.open("rb") as stream:
        head = stream.read(_HEAD)
    encoding = decide_encoding(location) if b"\0" in head else None
    return encoding is None or encoding.strict or not encoding.is_utf8


def found_in_text(path: str, location: Path, scanner: Scanner, as_of: datetime.date) -> list[Found]:
    """What is found in a file, by class, with the first line and the number of lines; NULs in it hide nothing.

    Of a file that is no text ASCII alone is looked at, in UTF-16 without a mark too. What is compressed is not seen.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    count: Counter[int] = Counter()
    for numbers, texts in _lines(location):
        places, classes = scanner.scan(Cells.of_texts(texts), as_of)
        hits = {(numbers[place], number) for place, number in zip(places.tolist(), classes.tolist(), strict=True)}
        for line, number in sorted(hits):
            first.setdefault(number, line)
            # Lines come in order, so of those before only the last can come again, in another piece.
            count[number] += last.get(number) != line
            last[number] = line
    return [Found(CLASSES[number].name, path, count[number], line=first[number]) for number in sorted(first)]


def _lines(location: Path) -> Iterator[tuple[list[int], list[str]]]:
    """Some lines at a time with their numbers from 1; a very long line comes in overlapping pieces of one number."""
    numbers: list[int] = []
    texts: list[str] = []
    held = 0
    for number, piece in _numbered_pieces(location):
        numbers.append(number)
        texts.append(piece)
        # With its line feed, without which empty lines would weigh nothing.
        held += len(piece) + 1
        if held > _BLOCK or len(texts) >= MOST_PIECES:
            yield numbers, texts
            numbers, texts, held = [], [], 0
    yield numbers, texts


def _numbered_pieces(location: Path) -> Iterator[tuple[int, str]]:
    number = 1
    rest = ""
    for text in _texts(location):
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            for piece in _pieces(line):
                yield number, piece
            number += 1
        while len(rest) > 2 * LONGEST_PIECE:
            piece, rest = _piece(rest)
            yield number, piece
    for piece in _pieces(rest):
        yield number, piece


def _texts(location: Path) -> Iterator[str]:
    """The file's text block by block, without NULs."""
    if not is_text(location):
        # Bytes beyond ASCII as blanks: to read them as text is slow, and an image has millions.
        for block in utf8_blocks(location, Encoding("utf-8")):
            yield block.translate(_ASCII, b"\0").decode("ascii")
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for block in utf8_blocks(location, decide_encoding(location)):
        yield decoder.decode(block).replace("\0", "")


def _pieces(line: str) -> Iterator[str]:
    while len(line) > LONGEST_PIECE:
        piece, line = _piece(line)
        yield piece
    yield line


def _piece(line: str) -> tuple[str, str]:
    """The first piece of a long line and what follows, overlapping, cut at blanks so that no value is cut in both."""
    end = line.rfind(" ", LONGEST_PIECE - _OVERLAP // 2, LONGEST_PIECE)
    end = end if end > 0 else LONGEST_PIECE
    start = line.find(" ", end - _OVERLAP, end)
    return line[:end], line[start if start > 0 else end - _OVERLAP :]
