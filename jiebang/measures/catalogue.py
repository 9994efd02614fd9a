"""The measures as documentation: `python -m jiebang.measures.catalogue docs` writes a page each and their list."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from jiebang.measures import EVERY, Measure, PackageMeasure
from jiebang.report.reading import MEASURES as WORDINGS
from jiebang.rubric import Rubric, presets

BEGIN = "<!-- The list below is written by `python -m jiebang.measures.catalogue docs`. -->"
END = "<!-- End of what is written. -->"
_ALIGNED, _EXAMPLE = "Aligned with ", "Example: "

_NO_CLAIM = "The texts were read through secondary sources: nothing here claims to conform."

Described = Measure | PackageMeasure


def section() -> str:
    """The list of all measures, each with its formula and a link to its page."""
    lines = ["| measure | | formula |", "| --- | --- | --- |"]
    for measure in EVERY:
        formula = _paragraphs(measure.plan)[0].rstrip(".").replace("|", "\\|")
        lines.append(f"| [{measure.id}](measures/{measure.id}.md) | {measure.title} | {formula} |")
    return "\n".join([BEGIN, "", *lines, "", END])


def page(measure: Described) -> str:
    """The page of a measure, out of its own docstrings and the presets that list it."""
    formula, *moves = _paragraphs(measure.plan)
    moves += _paragraphs(measure.unmet) if isinstance(measure, Measure) and measure.unmet.__doc__ else []
    if measure.wanted:
        moves.append(f"{measure.wanted}, to have it measured.")
    said = _paragraphs(sys.modules[measure.plan.__module__])
    wording = WORDINGS[measure.id]
    parts = [
        f"# {measure.id} {measure.title} · {wording.zh}",
        f"<!-- Written by `python -m jiebang.measures.catalogue docs` from `{measure.plan.__module__}`. -->",
        "## Formula",
        formula,
        "## What moves it",
        *moves,
        "## Example",
        _told(said, _EXAMPLE),
        "## In the presets",
        *_listings(measure),
        "## The standards",
        f"Aligned with {_told(said, _ALIGNED)} {_NO_CLAIM}",
        "[All measures](../measures.md)",
    ]
    return "\n\n".join(parts) + "\n"


def _listings(measure: Described) -> Iterator[str]:
    rows = []
    for name in presets():
        rubric = Rubric.load(name)
        for dimension in rubric.dimensions:
            for criterion in dimension.criteria:
                if criterion.measure == measure.id:
                    numbers = (float(n) for n in (criterion.weight, criterion.floor, criterion.target))
                    weight, floor, target = (f"{number:g}" for number in numbers)
                    rows.append(f"| `{name}` | {dimension.name} | {weight} | {floor} | {target} |")
    if not rows:
        yield "No preset lists it."
        return
    yield "\n".join(
        ["| preset | dimension | weight in it | floor | target |", "| --- | --- | --- | --- | --- |", *rows]
    )


def _told(paragraphs: list[str], beginning: str) -> str:
    text = next(paragraph for paragraph in paragraphs if paragraph.startswith(beginning))
    rest = text.removeprefix(beginning)
    return rest if beginning == _ALIGNED else rest[0].upper() + rest[1:]


def _paragraphs(described: object) -> list[str]:
    text = inspect.getdoc(described) or ""
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def write(docs: Path) -> None:
    """Write the pages into `docs/measures`, and their list into `docs/measures.md` between its two marks."""
    folder = docs / "measures"
    folder.mkdir(exist_ok=True)
    for measure in EVERY:
        (folder / f"{measure.id}.md").write_text(page(measure), encoding="utf-8")
    overview = docs / "measures.md"
    before, _, rest = overview.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    overview.write_text(f"{before}{section()}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("docs", type=Path, help="the folder of the documentation")
    write(parser.parse_args().docs)
