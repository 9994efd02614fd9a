"""The dimensions as a radar: the shape of a dataset at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from jiebang.report.reading import DimensionLine

# Fewer corners make no area; what is compared then is better read off the bars.
FEWEST_CORNERS = 3
_RADIUS = 100.0
_LABEL_RADIUS = 118.0


@dataclass(frozen=True, slots=True)
class Corner:
    """One dimension's place: its corner on the rim, its label, and how the label's text is aligned."""

    line: DimensionLine
    rim: tuple[float, float]
    label: tuple[float, float]
    anchor: str


@dataclass(frozen=True, slots=True)
class Radar:
    """A drawing around (0, 0), the rim at 100; `shape` and `rings` are points of polygons as SVG writes them."""

    corners: tuple[Corner, ...]
    shape: str
    rings: tuple[str, ...]
    before: str
    """The shape of an earlier version; empty where it has no value in one of the dimensions."""

    def words(self, language: str) -> str:
        """The drawing as a sentence."""
        return ", ".join(
            f"{corner.line.wording.zh or corner.line.wording.en if language == 'zh' else corner.line.wording.en} "
            f"{_rounded(corner.line.value or Decimal(0))}"
            for corner in self.corners
        )


def radar(lines: Sequence[DimensionLine], before: Mapping[str, Decimal] | None = None) -> Radar | None:
    """The radar of the dimensions that have a value, over their values of `before`; None when fewer than three have."""
    earlier = before or {}
    valued = [(line, line.value) for line in lines if line.value is not None]
    if len(valued) < FEWEST_CORNERS:
        return None
    angles = [2 * math.pi * index / len(valued) - math.pi / 2 for index in range(len(valued))]
    corners = tuple(
        Corner(line, _at(angle, _RADIUS), _at(angle, _LABEL_RADIUS), _anchor(angle))
        for (line, _), angle in zip(valued, angles, strict=True)
    )
    return Radar(
        corners=corners,
        shape=_points(_at(angle, float(value)) for (_, value), angle in zip(valued, angles, strict=True)),
        rings=tuple(_points(_at(angle, share * _RADIUS) for angle in angles) for share in (0.25, 0.5, 0.75, 1.0)),
        before=(
            _points(_at(angle, float(earlier[line.name])) for (line, _), angle in zip(valued, angles, strict=True))
            if all(line.name in earlier for line, _ in valued)
            else ""
        ),
    )


def _at(angle: float, radius: float) -> tuple[float, float]:
    return round(radius * math.cos(angle), 2) + 0.0, round(radius * math.sin(angle), 2) + 0.0


def _anchor(angle: float) -> str:
    side = math.cos(angle)
    return "middle" if abs(side) < 0.1 else "start" if side > 0 else "end"


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _rounded(value: Decimal) -> str:
    return f"{value:.1f}"
