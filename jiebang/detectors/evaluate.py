"""Precision and recall of the detectors on labelled lines: `python -m jiebang.detectors.evaluate LINES.jsonl`.

Each line of the file is an object: `text` (or its pieces, in a list), `classes` that are in it, and where it is the
cell of a column the `column`'s name, and whether that column is one of numbers (`numeric`).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jiebang.dataset.tables import Column, ColumnType
from jiebang.detectors.catalogue import CLASSES
from jiebang.detectors.cells import look_of
from jiebang.detectors.lists import AS_OF
from jiebang.detectors.scanning import Cells, scanner


@dataclass(frozen=True, slots=True)
class Line:
    """A labelled line."""

    text: str
    classes: frozenset[str]
    column: str | None = None
    numeric: bool = False

    def found(self) -> frozenset[str]:
        """The classes that the detectors find in it."""
        look = look_of(Column(self.column or "", 0, ColumnType.INTEGER if self.numeric else ColumnType.TEXT))
        _, classes = scanner().scan(Cells.of_texts([self.text], look.keyword), AS_OF, look.without)
        return frozenset(CLASSES[number].name for number in classes.tolist())


@dataclass(frozen=True, slots=True)
class Quality:
    """How one class is told: lines that were found rightly, wrongly, and missed."""

    name: str
    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """Of the lines that were found, the share that is right."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Of the lines that hold it, the share that is found."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def read_lines(path: Path) -> Iterator[Line]:
    """The labelled lines of a file."""
    for written in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(written)
        yield Line(
            "".join(entry["text"]), frozenset(entry["classes"]), entry.get("column"), entry.get("numeric", False)
        )


def qualities(lines: Iterable[Line]) -> list[Quality]:
    """The quality of every class that is in the lines or was found in them."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for line in lines:
        found = line.found()
        right.update(found & line.classes)
        wrong.update(found - line.classes)
        missed.update(line.classes - found)
    names = [found.name for found in CLASSES if right[found.name] + wrong[found.name] + missed[found.name]]
    return [Quality(name, right[name], wrong[name], missed[name]) for name in names]


def table(found: Iterable[Quality]) -> str:
    """The qualities as a table of text."""
    head = f"{'class':<20} {'lines':>6} {'precision':>10} {'recall':>8}\n"
    return head + "".join(
        f"{one.name:<20} {one.right + one.missed:>6} {one.precision:>10.3f} {one.recall:>8.3f}\n" for one in found
    )


if __name__ == "__main__":
    sys.stdout.write(table(qualities(read_lines(Path(sys.argv[1])))))
