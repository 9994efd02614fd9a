"""MET-1, required fields of Croissant.

Aligned with Croissant 1.1 of MLCommons, the metadata (元数据) under the normativity of GB/T 36344-2018 and the
understandability of ISO/IEC 5259-2.

Example: a `croissant.json` that lacks `creator` and whose `datePublished` is `soon`: 8/10 = 0.800000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.package_measure import PackageMeasure, package_ratio
from jiebang.result import Evidence, MeasureResult
from jiebang.structure.croissant import REQUIRED

if TYPE_CHECKING:
    from jiebang.structure.package import Package

_NAMED = 5


def plan(package: Package) -> MeasureResult | None:
    """Valid required properties of `croissant.json` / 10: the nine that Croissant 1.1 requires, and `distribution`.

    They are `@context`, `@type`, `conformsTo`, `name`, `description`, `license`, `url`, `creator`, `datePublished`.
    Valid is more than present: an address has a host, a date exists, a creator is a Person or Organization with a name,
    a licence means an SPDX expression or is an address, and a mark that a person has still to fill in is no text. The
    descriptor nearest to the top counts; one that cannot be read has none.

    Not declared without one; in a challenge failed.
    """
    if not package.croissants:
        return None
    descriptor = package.croissants[0]
    if descriptor.error is not None:
        note = f"cannot be read: {descriptor.error}"
        return package_ratio(MEASURE.id, 0, len(REQUIRED), evidence=[Evidence(descriptor.path, note=note)], note=note)
    wrong = [(name, what) for name, what, valid in REQUIRED if not valid(descriptor.data)]
    evidence = [Evidence(descriptor.path, column=name, note=f"wanted: {what}") for name, what in wrong]
    return package_ratio(MEASURE.id, len(REQUIRED) - len(wrong), len(REQUIRED), evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    path = result.evidence[0].file
    if result.note:
        return f"Mend `{path}`: it {result.note}."
    names = [f"`{pointer.column}`" for pointer in result.evidence]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"Fill in {', '.join(names[:_NAMED])}{more} of `{path}`."


MEASURE = PackageMeasure(
    "MET-1", "Croissant required fields", plan, advice, "Add a croissant.json (`jiebang describe` drafts one)"
)
