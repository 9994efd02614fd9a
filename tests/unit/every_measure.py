"""A rubric that lists every measure of tables, so that a report holds them all."""

from __future__ import annotations

from typing import Any

from jiebang.measures import MEASURES

EVERY_MEASURE: dict[str, Any] = {
    "id": "every-measure",
    "dimensions": {
        "all": {"weight": 1, "measures": {measure.id: {"floor": 0, "target": 1} for measure in MEASURES}},
    },
}
