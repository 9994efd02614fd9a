"""Datasets written for a test, and judged by single measures of what they say of themselves."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import jiebang
from jiebang.judge import Report

Files = dict[str, str | bytes]


def rubric(*measures: str) -> dict[str, Any]:
    """A rubric of these measures alone, from nothing to full."""
    listed = {measure: {"floor": 0, "target": 1} for measure in measures}
    return {"id": "-".join(measures), "dimensions": {"documentation": {"weight": 1, "measures": listed}}}


def judged(files: Files, *measures: str, **options: Any) -> Report:
    """The report of a folder with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return jiebang.score(folder, rubric=rubric(*measures), **options)


def share(report: Report, measure: str) -> tuple[int | None, int | None]:
    """A measure's integers."""
    return report[measure].num, report[measure].den


def notes(report: Report, measure: str) -> dict[str | None, str | None]:
    """What a measure's evidence says of each file."""
    return {pointer.file: pointer.note for pointer in report[measure].evidence}


def sha256(content: str | bytes) -> str:
    """The digest of a file, as descriptors write it."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def croissant(**changes: Any) -> str:
    """A whole Croissant descriptor of `t.csv`, with changes; None leaves a property out."""
    whole = {
        "@context": {"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/"},
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "penguins",
        "description": "Penguins of three islands.",
        "license": "https://spdx.org/licenses/CC0-1.0.html",
        "url": "https://example.org/penguins",
        "creator": {"@type": "Person", "name": "K. Gorman"},
        "datePublished": "2020-06-11",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "t.csv",
                "contentUrl": "t.csv",
                "encodingFormat": "text/csv",
                "sha256": sha256(TABLE),
            }
        ],
        **changes,
    }
    return json.dumps({name: value for name, value in whole.items() if value is not None})


TABLE = "a,b\n1,2\n"
