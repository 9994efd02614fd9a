"""Jiebang judges a dataset to the integer: gates, measures, a grade, and what to fix.

    import jiebang

    report = jiebang.score("penguins.csv", label="species")
    report.total, report.grade, report["COM-1"].num
    report.save("report.html")

In a notebook a report draws itself. `jiebang.scan` runs the gates alone, `jiebang.verify` checks a receipt offline.
Importing this package is cheap: what a call needs is loaded by the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jiebang.declaration import Declaration
    from jiebang.judge import Paths, Report, ScanResult
    from jiebang.rubric import Rubric

__all__ = ["Report", "__version__", "scan", "score", "verify"]


def score(
    paths: Paths,
    *,
    declare: Declaration | Mapping[str, Any] | str | Path | None = None,
    demand: Declaration | Mapping[str, Any] | str | Path | None = None,
    rubric: Rubric | Mapping[str, Any] | str | Path = "core-0",
    threads: int | None = None,
    memory: int | None = None,
    distributions: bool = False,
    **declared: Any,
) -> Report:
    """Judge a dataset (a file, several, a folder or an archive) and return its Report.

    Every key of the declaration may be given by name: `label="species"`, `key=["id"]`, `required=[…]`, `types={…}`,
    `missing=[…]`, `records=344`, `foreign_keys=[…]`, `tables={…}`; they are added to those of `declare`. `demand` is a
    challenge's data demand, whose word alone counts. `memory` is in bytes. With `distributions` a saved page shows how
    the values of each column are distributed.

    Raises DatasetRefused when nothing can be read, DeclarationError when the declaration or the rubric is wrong.
    """
    from jiebang import judge
    from jiebang.declaration import Declaration

    if declared:
        known = judge.read_declaration(declare, closed=False).as_dict()
        names = ("key", "required", "series", "text", "classes")
        single = {key: [value] if key in names and isinstance(value, str) else value for key, value in declared.items()}
        declare = Declaration.parse({**known, **single})
    return judge.score(
        paths,
        declare=declare,
        demand=demand,
        rubric=rubric,
        threads=threads,
        memory=memory,
        distributions=distributions,
    )


def scan(paths: Paths) -> ScanResult:
    """Run every gate alone over a dataset: archive, types, secrets, sensitive personal information."""
    from jiebang import judge

    return judge.scan(paths)


def verify(receipt: Mapping[str, Any] | str | Path, keys: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """What the platform has signed in a receipt, checked offline against its public keys, both as JSON or files.

    `keys` is what `GET /v1/keys` answers. Raises `jiebang.receipt.NotGenuine` when no signature is good.
    """
    import json

    from jiebang.receipt import verify_receipt

    def read(document: Mapping[str, Any] | str | Path) -> Mapping[str, Any]:
        if isinstance(document, Mapping):
            return document
        return dict(json.loads(Path(document).read_text(encoding="utf-8")))

    envelope = read(receipt)
    return verify_receipt(envelope.get("receipt", envelope), read(keys))


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("jiebang")
    if name == "Report":
        from jiebang.judge import Report

        return Report
    raise AttributeError(f"module 'jiebang' has no attribute {name!r}")
