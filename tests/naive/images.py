"""ANN-1 and IMG-1 read naively: boxes by plain arithmetic, pixels one by one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


def ann_1(coco: dict[str, Any], sizes: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Valid boxes and boxes of a COCO object, equal ones once, with the sizes of the images that are there."""
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    categories = [category["id"] for category in coco["categories"]]
    valid = 0
    distinct = {str((a["image_id"], a["category_id"], a["bbox"])): a for a in coco["annotations"]}
    for annotation in distinct.values():
        size = sizes.get(names.get(annotation["image_id"], ""))
        if size is None or annotation["category_id"] not in categories:
            continue
        x, y, w, h = (Fraction(str(side)) for side in annotation["bbox"])
        valid += w > 0 and h > 0 and x >= 0 and y >= 0 and x + w <= size[0] + 1 and y + h <= size[1] + 1
    return valid, len(distinct)


def passes(rows: list[list[int]]) -> bool:
    """Whether a grey image of these rows of luma passes every check."""
    height, width = len(rows), len(rows[0])
    if min(height, width) < 32 or max(height, width) > 4 * min(height, width):
        return False
    mean = Fraction(sum(map(sum, rows)), height * width)
    if not 15 <= mean <= 240:
        return False
    values = [
        rows[y - 1][x] + rows[y + 1][x] + rows[y][x - 1] + rows[y][x + 1] - 4 * rows[y][x]
        for y in range(1, height - 1)
        for x in range(1, width - 1)
    ]
    average = Fraction(sum(values), len(values))
    return sum((value - average) ** 2 for value in values) / len(values) >= 10
