"""SCL-1, scale.

Aligned with the effectiveness of ISO/IEC 5259-2 (enough data for the task); GB/T 36344-2018 has no counterpart.

Example: `records: 4000` over 3,060 records of which 60 repeat others: 3000/4000 = 0.750000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.definition import Measure, Plan, Subject, ratio
from jiebang.measures.distinct import DistinctRecords, unlike_the_demand
from jiebang.measures.package_measure import package_ratio
from jiebang.result import MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.declaration import Declaration
    from jiebang.structure.package import Package


def unmet(subject: Subject) -> Status | None:
    """Not declared without the number of records that are needed. In a challenge it fails as DUP-1 does."""
    return Status.NOT_DECLARED if subject.declared.records is None else unlike_the_demand(subject)


def plan(subject: Subject) -> Plan:
    """min(distinct records, records needed) / records needed, the need being the declared `records`.

    Repeated records do not count, so neither copying what is there nor dropping what is bad gains here. In a dataset
    without tables images are counted instead, those with equal bytes once, and the need is the declared `images`.
    """
    needed = subject.declared.records or 1
    found, _ = yield from DistinctRecords(subject).find()
    return ratio(MEASURE.id, subject, min(found, needed), needed)


def of_files(package: Package, declaration: Declaration) -> MeasureResult:
    """The scale of a dataset of images."""
    images = package.annotated.images
    if declaration.images is None:
        return MeasureResult(MEASURE.id, 1, Status.NOT_DECLARED if images else Status.NOT_APPLICABLE)
    found = len({image.sha256 for image in images})
    return package_ratio(MEASURE.id, min(found, declaration.images), declaration.images)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the demanded records."
    what = "images" if result.table is None else "records"
    return f"Add {result.den - result.num} distinct {what} to the {result.num} there are: {result.den} are needed."


MEASURE = Measure("SCL-1", "scale", plan, advice, unmet, declares="records", of_files=of_files)
