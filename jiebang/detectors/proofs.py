"""Whole cells that are proved at once, for columns that are full of one class.

In a column of phones every cell is a candidate, and to look at each by itself is what costs. A proof is true only where
a cell as a whole is a value of its class and can hold no other class: what it says is what a scan would say. All other
cells are scanned.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jiebang.detectors.finance import NETWORKS
from jiebang.detectors.identity import OF_AGE, PROVINCES, WEIGHTS
from jiebang.detectors.scanning import offsets_of

Mask = npt.NDArray[np.bool_]
Proven = list[tuple[str, Mask]]
"""Classes, and which cells are proved to hold each."""

# Letters and at most eight digits, so that neither side of the @ has room for a number of another class; the ends are
# no reserved domain and no file's.
_MAILBOX = (
    r"\A[a-z][a-z_-]{0,14}[0-9]{0,8}@[a-z0-9]{1,10}(?:\.[a-z]{2,10}){0,2}"
    r"\.(?:com|cn|net|org|edu|gov|io|co|me|info|biz|hk|tw|jp|uk|de|fr|ru)\z"
)


class _Cells:
    """The bytes of a column of strings, and where each cell begins and how long it is."""

    def __init__(self, column: pa.Array) -> None:
        offsets = offsets_of(column).astype(np.int64)
        self.starts = offsets[:-1]
        self.lengths = np.diff(offsets)
        self.bytes = np.frombuffer(column.buffers()[2] or b"", dtype=np.uint8)

    def digits(self, chosen: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """The characters of the chosen cells, which have that length, as the values of digits: others are beyond 9."""
        places = self.starts[chosen][:, None] + np.arange(length)
        values: npt.NDArray[np.int64] = self.bytes[places].astype(np.int64)
        return values - ord("0")


def _phones(column: pa.Array, as_of: datetime.date) -> Proven:
    cells = _Cells(column)
    decimal = pc.ascii_is_decimal(column).to_numpy(zero_copy_only=False)
    chosen = np.flatnonzero((cells.lengths == 11) & decimal)
    first, second = cells.bytes[cells.starts[chosen]], cells.bytes[cells.starts[chosen] + 1]
    return [("phone", _marked(len(column), chosen[(first == ord("1")) & (second >= ord("3"))]))]


def _mailboxes(column: pa.Array, as_of: datetime.date) -> Proven:
    mailbox = pc.match_substring_regex(column, _MAILBOX)
    # Nobody's, and the user of a service; a name that merely holds the word is left to the scan.
    mailbox = pc.and_not(mailbox, pc.starts_with(column, "git@"))
    if b"example" in bytes(column.buffers()[2]):
        mailbox = pc.and_not(mailbox, pc.match_substring(column, "example"))
    return [("email", mailbox.to_numpy(zero_copy_only=False))]


def _identities(column: pa.Array, as_of: datetime.date) -> Proven:
    cells = _Cells(column)
    chosen = np.flatnonzero(cells.lengths == 18)
    digits = cells.digits(chosen, 18)
    last = np.where(digits[:, 17] == ord("X") - ord("0"), 10, digits[:, 17])
    province = digits[:, 0] * 10 + digits[:, 1]
    year = digits[:, 6:10] @ np.array([1000, 100, 10, 1])
    month, day = digits[:, 10] * 10 + digits[:, 11], digits[:, 12] * 10 + digits[:, 13]
    right = (
        _numeric(digits[:, :17])
        & ((digits[:, :17] @ np.array(WEIGHTS) + last) % 11 == 1)
        & (last >= 0)
        & (last <= 10)
        # 62 is a province, and what begins a card.
        & np.isin(province, [int(code) for code in PROVINCES if code != "62"])
        & (year >= 1900)
        & (month >= 1)
        & (month <= 12)
        # Later days are a matter of the month; the few of them are left to the scan.
        & (day >= 1)
        & (day <= 28)
    )
    born = year * 10_000 + month * 100 + day
    today = as_of.year * 10_000 + as_of.month * 100 + as_of.day
    of_age = today - OF_AGE * 10_000
    size = len(column)
    return [
        ("id_card", _marked(size, chosen[right & (born <= of_age)])),
        ("child_id_card", _marked(size, chosen[right & (born > of_age) & (born <= today)])),
    ]


def _cards(column: pa.Array, as_of: datetime.date) -> Proven:
    cells = _Cells(column)
    found = np.zeros(len(column), dtype=np.bool_)
    # 15 digits may be an IMEI too, and 18 a person's number.
    for length in (16, 17, 19):
        chosen = np.flatnonzero(cells.lengths == length)
        digits = cells.digits(chosen, length)
        doubled = digits * np.where(np.arange(length)[::-1] % 2, 2, 1)
        check = (doubled - np.where(doubled > 9, 9, 0)).sum(axis=1) % 10 == 0
        begins = digits[:, :4] @ np.array([1000, 100, 10, 1])
        network = np.zeros(len(chosen), dtype=np.bool_)
        for low, high, lengths in NETWORKS:
            scale = 10 ** (4 - len(str(low)))
            if length in lengths:
                network |= (begins >= low * scale) & (begins < (high + 1) * scale)
        found[chosen[_numeric(digits) & check & network]] = True
    return [("bank_card", found)]


def _numeric(digits: npt.NDArray[np.int64]) -> Mask:
    return np.asarray(((digits >= 0) & (digits <= 9)).all(axis=1))


def _marked(size: int, chosen: npt.NDArray[np.int64]) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    mask[chosen] = True
    return mask


PROOFS: dict[str, Callable[[pa.Array, datetime.date], Proven]] = {
    "phone": _phones,
    "email": _mailboxes,
    "id_card": _identities,
    "child_id_card": _identities,
    "bank_card": _cards,
}
"""The proofs there are, by the class of which a column is full; each takes a column of strings without nulls."""
