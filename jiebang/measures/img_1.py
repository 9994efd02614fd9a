"""IMG-1, image quality.

Aligned with the brightness and the resolution under the balance of ISO/IEC 5259-2; GB/T 36344-2018 has no counterpart.

Example: of 50 images one is cut off in the middle and two are 16 pixels wide: 47/50 = 0.940000.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from jiebang.measures.definition import POINTERS
from jiebang.measures.package_measure import PackageMeasure, package_ratio
from jiebang.result import Evidence, MeasureResult

if TYPE_CHECKING:
    from jiebang.dataset.opening import DataFile
    from jiebang.structure.images import ImageFacts
    from jiebang.structure.package import Package

LEAST_SIDE = 32
DARKEST, BRIGHTEST = 15, 240
LEAST_VARIANCE = 10
MOST_ASPECT = 4
SAMPLE = 20_000
_NAMED = 3


def plan(package: Package) -> MeasureResult | None:
    """Images that pass all checks / images.

    An image passes when its pixels decode to the last, its shorter side has at least 32 pixels and its longer at most
    four times as many, its mean luma lies between 15 and 240 of 255, and the variance of its Laplacian is at least 10,
    below which nothing in it is sharp. One with more than 64 million pixels is not decoded and does not pass. Of more
    than 20,000 images those with the smallest hashes of their paths are looked at, and the result says so.

    Images of equal bytes count once, so repeating the good ones does not help. Of the images that a challenge needs,
    those that are lacking do not pass, so neither does leaving out the bad ones.

    Not applicable without images; in a challenge that demands images failed.
    """
    from jiebang.structure.images import Undecodable, decode

    if package.needed_images is not None and not package.annotated.images:
        return None
    images = tuple({file.sha256: file for file in reversed(package.annotated.images)}.values())[::-1]
    chosen = _sampled(images) if len(images) > SAMPLE else images
    failed = 0
    evidence: list[Evidence] = []
    causes: Counter[str] = Counter()
    for file in chosen:
        try:
            fault = _fault(decode(file.location))
        except Undecodable as undecodable:
            fault = str(undecodable)
        if fault is not None:
            failed += 1
            causes[fault] += 1
            if len(evidence) < POINTERS:
                evidence.append(Evidence(file.path, note=fault))
    why = "; ".join(f"{cause} ({count})" for cause, count in sorted(causes.items(), key=lambda one: (-one[1], one[0])))
    sample = len(chosen) if len(images) > SAMPLE else None
    passed = len(chosen) - failed
    # What a challenge needs and is not there does not pass either, so leaving out the bad ones gains nothing.
    den = len(chosen) if sample else max(len(chosen), package.needed_images or 0)
    return package_ratio(MEASURE.id, passed, den, evidence=evidence, note=why or None, sample=sample)


def _sampled(images: tuple[DataFile, ...]) -> list[DataFile]:
    """The images with the smallest hashes, in the order of their paths."""

    def place(file: DataFile) -> bytes:
        return hashlib.blake2b(f"{MEASURE.id}\0{file.path}\0001".encode(), digest_size=16).digest()

    return sorted(sorted(images, key=place)[:SAMPLE], key=lambda file: file.path.encode())


def _fault(image: ImageFacts) -> str | None:
    """The first check that an image does not pass; None when it passes all."""
    shorter, longer = sorted((image.width, image.height))
    if shorter < LEAST_SIDE:
        return f"its shorter side has less than {LEAST_SIDE} pixels"
    if longer > MOST_ASPECT * shorter:
        return f"one side is more than {MOST_ASPECT} times the other"
    if image.luma < DARKEST * image.pixels:
        return "it is too dark"
    if image.luma > BRIGHTEST * image.pixels:
        return "it is too bright"
    return None if image.is_sharp(LEAST_VARIANCE) else "nothing in it is sharp"


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    assert result.num is not None
    assert result.den is not None
    causes = "; ".join((result.note or "some that are needed are not there").split("; ")[:_NAMED])
    return f"Replace {result.den - result.num} of {result.den} images: {causes}."


MEASURE = PackageMeasure(
    "IMG-1", "image quality", plan, advice, "Add images", reads=lambda package: package.annotated.paths
)
