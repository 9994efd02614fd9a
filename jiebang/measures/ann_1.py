"""ANN-1, box validity.

Aligned with the accuracy of ISO/IEC 5259-2 and the correctness of content (数据内容正确性) of GB/T 36344-2018.

Example: of 200 boxes three end more than a pixel beyond their image and one has no width: 196/200 = 0.980000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING

from jiebang.measures.definition import POINTERS
from jiebang.measures.package_measure import PackageMeasure, package_ratio
from jiebang.result import Evidence, MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.structure.package import Package

_NAMED = 3


def plan(package: Package) -> MeasureResult | None:
    """Valid boxes / boxes of the annotations, which are those of COCO and YOLO.

    A box is valid when its image is there and can be read, its category is among those that are named, it has width
    and height, begins within the image and ends at most one pixel beyond it; sides are the image's own, not those that
    a file claims. A box of YOLO is in shares of the sides, so it may also begin one pixel before them; an outline
    counts as the box that holds it. Without any image in the dataset the sizes that COCO lists are taken. Equal boxes
    of one image count once, so repeating the good ones does not help.

    Not applicable without images and annotations; not declared where images have none, in a challenge failed. It fails
    when an annotation file cannot be read.
    """
    annotated = package.annotated
    if not annotated.files.paths:
        return None if annotated.images or package.needed_images is not None else package_ratio(MEASURE.id, 0, 0)
    boxes = invalid = 0
    evidence: list[Evidence] = []
    causes: Counter[str] = Counter()
    known: set[tuple[Hashable, ...]] = set()
    for read in annotated.annotations():
        if read.error is not None:
            told = Evidence(read.path, note=read.error)
            note = f"{read.path}: {read.error}"
            return MeasureResult(MEASURE.id, 1, Status.FAILED, evidence=(told,), note=note)
        for box in read.boxes:
            if box.identity in known:
                continue
            known.add(box.identity)
            boxes += 1
            fault = box.fault()
            if fault is None:
                continue
            invalid += 1
            causes[fault] += 1
            if len(evidence) < POINTERS:
                evidence.append(Evidence(box.file, box.number, note=fault))
    why = "; ".join(f"{cause} ({count})" for cause, count in sorted(causes.items(), key=lambda one: (-one[1], one[0])))
    return package_ratio(MEASURE.id, boxes - invalid, boxes, evidence=evidence, note=why or None)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    assert result.num is not None
    assert result.den is not None
    causes = "; ".join((result.note or "").split("; ")[:_NAMED])
    return f"Correct {result.den - result.num} of {result.den} boxes: {causes}."


MEASURE = PackageMeasure(
    "ANN-1",
    "box validity",
    plan,
    advice,
    "Add annotations of the images, in COCO or YOLO, that can be read",
    reads=lambda package: package.annotated.paths,
)
