"""Annotations of images as boxes: where they come from, and which of them are valid."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction

TOLERANCE = 1
"""By how many pixels a box may pass the far edges of its image, since sides are rounded."""


@dataclass(frozen=True)
class Box:
    """One box as its file says it, in pixels; None for what cannot be read or is not there.

    `file` and `number` are where it stands, `image` is the size of its image, `category` whether its category is
    known, `identity` by what equal boxes of one image are known however they are written: image, category and sides,
    where these are numbers. `slack` is by how many pixels it may begin before the near edges, where sides are given as
    rounded shares.
    """

    file: str
    number: int
    image: tuple[int, int] | None
    category: bool
    sides: tuple[Fraction, Fraction, Fraction, Fraction] | None
    identity: tuple[Hashable, ...]
    slack: int = 0

    def fault(self) -> str | None:
        """Why it is not valid; None when it is."""
        if self.image is None:
            return "its image is not known"
        if not self.category:
            return "its category is not known"
        if self.sides is None:
            return "it is not four numbers"
        x, y, width, height = self.sides
        if width <= 0 or height <= 0:
            return "it has no extent"
        if x < -self.slack or y < -self.slack:
            return "it begins outside its image"
        if x + width > self.image[0] + TOLERANCE or y + height > self.image[1] + TOLERANCE:
            return "it reaches beyond its image"
        return None


@dataclass(frozen=True)
class Annotations:
    """The boxes of one file; `error` says why it could not be read."""

    path: str
    boxes: Sequence[Box] = ()
    error: str | None = None
