"""The measures as a section of the documentation: `python -m jiebang.measures.catalogue` prints it."""

from __future__ import annotations

import inspect
import sys

from jiebang.measures import EVERY, Measure, PackageMeasure

BEGIN = "<!-- The measures below are written by `python -m jiebang.measures.catalogue`. -->"
END = "<!-- End of what is written. -->"


def section() -> str:
    """Every measure with its formula and what moves it, out of its own docstrings."""
    return "\n\n".join([BEGIN, *(_entry(measure) for measure in EVERY), END])


def _entry(measure: Measure | PackageMeasure) -> str:
    formula, *rest = _paragraphs(measure.plan)
    parts = [f"**{measure.id} {measure.title}.** {formula}", *rest]
    if isinstance(measure, Measure) and measure.unmet.__doc__:
        parts += _paragraphs(measure.unmet)
    return "\n".join(parts)


def _paragraphs(described: object) -> list[str]:
    text = inspect.getdoc(described) or ""
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


if __name__ == "__main__":
    sys.stdout.write(section() + "\n")
