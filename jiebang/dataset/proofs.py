"""Proving by their bytes that cells are canonical text as they stand: trimmed, composed, and no missing marker.

A proof here is one look at a whole block, much cheaper than a regular expression for every cell. What is not proved is
read as it would be without: a proof may fail for any cell, and may never hold for one that is not canonical.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jiebang.dataset.text_columns import Block, Positions

Mask = npt.NDArray[np.bool_]

# The first and last bytes of trimmed characters (and of others: U+00A0 is C2 A0, U+3000 is E3 80 80).
_BLANK_FIRST = np.zeros(256, dtype=np.bool_)
_BLANK_FIRST[[0x09, 0x0A, 0x0D, 0x20, 0xC2, 0xE3]] = True
_BLANK_LAST = np.zeros(256, dtype=np.bool_)
_BLANK_LAST[[0x09, 0x0A, 0x0D, 0x20, 0xA0, 0x80]] = True

_PIECE = 1 << 18


def unstable(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where characters begin that may not be their own composed form wherever they stand; `data` is strict UTF-8.

    Stable, and not returned: U+0000–02FF, U+2010–2027, U+3000–3029, U+3030–3098, U+30A0–30FF, U+4000–9FFF and
    U+FF00–FF7F, none of which composes, decomposes or combines (a test asks for each).
    """
    found = []
    # In pieces that stay in the cache, which is several times faster.
    suspect, other = np.empty(_PIECE, dtype=np.bool_), np.empty(_PIECE, dtype=np.bool_)
    shifted = np.empty(_PIECE, dtype=np.uint8)
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        size = len(piece)
        # Leads up to CB are of U+0000–02FF, E4 to E9 of U+4000–9FFF; what is below E4 wraps around.
        np.greater_equal(piece, 0xCC, out=suspect[:size])
        np.greater(np.subtract(piece, 0xE4, out=shifted[:size]), 5, out=other[:size])
        suspect[:size] &= other[:size]
        found.append(np.flatnonzero(suspect[:size]) + start)
    places = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    lead = data[places]
    # A lead byte of three has two behind it; the others are not looked at.
    is_triple = (lead == 0xE2) | (lead == 0xE3) | (lead == 0xEF)
    triple = places[is_triple]
    lead, second, third = data[triple], data[triple + 1], data[triple + 2]
    stable = (lead == 0xE2) & (second == 0x80) & (third >= 0x90) & (third <= 0xA7)
    stable |= (lead == 0xE3) & (second == 0x80) & ((third <= 0xA9) | (third >= 0xB0))
    stable |= (lead == 0xE3) & ((second == 0x81) | (second == 0x83))
    stable |= (lead == 0xE3) & (second == 0x82) & ((third <= 0x98) | (third >= 0xA0))
    stable |= (lead == 0xEF) & ((second == 0xBC) | (second == 0xBD))
    return np.sort(np.concatenate((places[~is_triple], triple[~stable])))


def whole_texts(block: Block, starts: Positions, lengths: Positions, longest_marker: int) -> Mask:
    """Which cells are longer than any missing marker and neither begin nor end with a trimmed character."""
    proven = lengths > longest_marker
    proven &= ~_BLANK_FIRST[block.bytes[starts]]
    proven &= ~_BLANK_LAST[block.bytes[starts + np.maximum(lengths, 1) - 1]]
    return proven
