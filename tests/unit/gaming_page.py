"""The table of tricks and what they do to the total: `python -m tests.unit.gaming_page` writes `docs/gaming.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.unit import test_gaming as tables
from tests.unit import test_gaming_series as series
from tests.unit.structure import test_images as images

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gaming.md"
RUBRIC = "core-1-draft"

_INTRODUCTION = f"""# Tricks, and what they do to the total

<!-- Written by `python -m tests.unit.gaming_page`. -->

Each trick is a change of a real dataset that has honest faults, handed in to a challenge whose demand names columns,
types, key, label, classes and the like; the rubric is `{RUBRIC}`. The tests (`tests/unit/test_gaming.py`,
`test_gaming_series.py`, `structure/test_images.py`) hold that none raises the total. What these measures cannot tell
from an honest repair stands at the end."""

_BLIND = """## Blind spots

Counting one dataset cannot tell these from honest work; only the sponsor's raw data can. They may gain, and are written
down so that a measure that sees them, when there is one, is noticed."""


@dataclass(frozen=True)
class Corpus:
    """A dataset, the demand it answers, and what is tried with it."""

    title: str
    demand: dict[str, Any]
    honest: Callable[[], tables.Files]
    tricks: dict[str, Callable[[tables.Files], tables.Files]]

    def total(self, files: tables.Files) -> Decimal:
        """The total of a dataset under the demand."""
        return tables.total(tables.judged(files, self.demand, RUBRIC))


def _blind(name: str) -> dict[str, Callable[[tables.Files], tables.Files]]:
    return {trick: change for trick, (dataset, change) in tables.BLIND_SPOTS.items() if dataset == name}


def _honest_images() -> tables.Files:
    return _as_bytes(images.honest_images())


def _as_bytes(files: Mapping[str, str | bytes]) -> tables.Files:
    return {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}


def _with_images(
    tricks: Mapping[str, Callable[[Any], Any]],
) -> dict[str, Callable[[tables.Files], tables.Files]]:
    def bound(trick: Callable[[Any], Any]) -> Callable[[tables.Files], tables.Files]:
        return lambda files: _as_bytes(trick(files))

    return {name: bound(trick) for name, trick in tricks.items()}


CORPORA = (
    Corpus("Penguins: one table", tables.PENGUINS, tables.penguins, tables.PENGUIN_TRICKS),
    Corpus("Flights: several tables", tables.FLIGHTS, tables.flights, tables.FLIGHT_TRICKS),
    Corpus("Penguins: what describes the data", tables.PENGUINS, tables.described, tables.DESCRIBED_TRICKS),
    Corpus("Weather: times, domains, rules, splits", series.WEATHER, series.weather, series.TRICKS),
    Corpus("Images and their boxes", images.IMAGES_DEMANDED, _honest_images, _with_images(images.TRICKS)),
)
BLIND_SPOTS = (
    Corpus("Penguins", tables.PENGUINS, tables.penguins, _blind("penguins")),
    Corpus("Flights", tables.FLIGHTS, tables.flights, _blind("flights")),
    Corpus("Weather", series.WEATHER, series.weather, series.BLIND_SPOTS),
    Corpus("Images", images.IMAGES_DEMANDED, _honest_images, _with_images(images.BLIND_SPOTS)),
)


def _table(corpus: Corpus, level: str) -> Iterator[str]:
    honest = corpus.total(corpus.honest())
    yield f"\n{level} {corpus.title}\n\nHanded in honestly: {honest:.2f}.\n"
    yield "| trick | total | change |\n| --- | --- | --- |"
    for name, trick in corpus.tricks.items():
        total = corpus.total(trick(corpus.honest()))
        yield f"| {name} | {total:.2f} | {total - honest:+.2f} |"


def page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    for corpus in CORPORA:
        lines += _table(corpus, "##")
    lines += ["", _BLIND]
    for corpus in BLIND_SPOTS:
        lines += _table(corpus, "###")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
