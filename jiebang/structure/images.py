"""Images of strangers: their sizes, and what a full decode says, bounded in pixels before any is decoded.

Everything is counted in integers, so that the same bytes give the same answer. This module is imported before a child
is confined, since a confined child may load no library: every plugin that it may need is named here.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

MOST_PIXELS = 64_000_000
"""An image with more is not decoded: a few kilobytes may say that they are gigabytes."""

_STRIP = 256

# What the decoders raise for damaged and hostile files, found by feeding them such.
_DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    ArithmeticError, struct.error, zlib.error, Image.DecompressionBombError, MemoryError,
)  # fmt: skip


class Undecodable(Exception):
    """An image that cannot be decoded, with the reason in words of our own."""


@dataclass(frozen=True)
class ImageFacts:
    """What a whole decode says: sides in pixels, the sum of the luma, and the sums of its Laplacian.

    Luma is 0 to 255 a pixel. The Laplacian (the four neighbours less four times the pixel) is taken of the pixels that
    have four neighbours; there are `inner` of them.
    """

    width: int
    height: int
    luma: int
    inner: int
    laplacian: int
    laplacian_squares: int

    @property
    def pixels(self) -> int:
        """How many pixels there are."""
        return self.width * self.height

    def is_sharp(self, least: int) -> bool:
        """Whether the variance of the Laplacian is at least this."""
        return self.inner * self.laplacian_squares - self.laplacian**2 >= least * self.inner**2 and self.inner > 0


@contextmanager
def _opened(location: Path) -> Iterator[ImageFile.ImageFile]:
    """An image whose header was read; raises Undecodable."""
    # A stream and not a path: the name of a file chooses no decoder.
    with location.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow finds odd is no affair of who judges
        try:
            image = Image.open(stream, formats=FORMATS)
        except _DAMAGED:
            raise Undecodable("it cannot be read as an image") from None
        with image:
            if image.width * image.height > MOST_PIXELS:
                raise Undecodable(f"it has more than {MOST_PIXELS:,} pixels")
            yield image


def image_size(location: Path) -> tuple[int, int]:
    """Width and height by the header alone. Raises Undecodable."""
    with _opened(location) as image:
        return image.width, image.height


def decode(location: Path) -> ImageFacts:
    """Decode an image, of several frames the first, to its last pixel. Raises Undecodable.

    `verify()` of Pillow checks the frame of a file and would pass one whose pixels are cut off.
    """
    with _opened(location) as image:
        try:
            image.load()
            luma = np.asarray(image.convert("L"))
        except _DAMAGED:
            raise Undecodable("its pixels cannot be decoded") from None
    return _facts(luma)


def _facts(luma: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> ImageFacts:
    height, width = luma.shape
    total = sums = squares = 0
    for top in range(0, height, _STRIP):
        total += int(luma[top : top + _STRIP].sum(dtype=np.int64))
    for top in range(1, height - 1, _STRIP):
        rows = luma[top - 1 : min(top + _STRIP, height - 1) + 1].astype(np.int32)
        inner = rows[1:-1, 1:-1]
        around = rows[:-2, 1:-1] + rows[2:, 1:-1] + rows[1:-1, :-2] + rows[1:-1, 2:]
        laplacian = around - 4 * inner
        sums += int(laplacian.sum(dtype=np.int64))
        squares += int((laplacian.astype(np.int64) ** 2).sum())
    return ImageFacts(width, height, total, max(0, width - 2) * max(0, height - 2), sums, squares)
