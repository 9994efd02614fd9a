"""DOC-1, documentation aspects.

Aligned with the description documents of TC609-5-2025-04 (0101 to 0104) and the understandability of ISO/IEC 5259-2.

Example: a README with a summary, a licence, the files and their fields, each under a heading with text: 4/20 =
0.200000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.package_measure import PackageMeasure, package_ratio
from jiebang.result import Evidence, MeasureResult
from jiebang.structure.aspects import ASPECTS, aspects_found

if TYPE_CHECKING:
    from jiebang.structure.package import Package

_NAMED = 5


def plan(package: Package) -> MeasureResult | None:
    """Aspects that the documents speak of / 20: four groups of five, aligned with TC609-5-2025-04, 0101 to 0104.

    The documents are a README, datasheet, dataset card or 说明文档. An aspect is found when a heading names it, in
    English or Chinese, and something is written under it, or when a line `name: text` says at least 30 characters of
    it. A placeholder says nothing; a heading that names more than three aspects, and a text that stands under more
    than three headings, count for none. So an empty skeleton moves it as little as a list of words.

    Not declared without a document; in a challenge failed.
    """
    if not package.documents:
        return None
    found = aspects_found(package.sections)
    first = package.documents[0].path
    evidence = [
        Evidence(first, note=f"says nothing of {aspect.en} ({aspect.zh})")
        for aspect in ASPECTS
        if aspect.id not in found
    ]
    return package_ratio(MEASURE.id, len(found), len(ASPECTS), evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    absent = [(pointer.note or "").removeprefix("says nothing of ") for pointer in result.evidence]
    more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
    return f"Write in `{result.evidence[0].file}`, each under a heading of its own: {', '.join(absent[:_NAMED])}{more}."


MEASURE = PackageMeasure("DOC-1", "documentation aspects", plan, advice, "Add a README.md that describes the dataset")
