"""What the reading of a file gives: batches of parsed records, and counts of those attempted, parsed and failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jiebang.declaration import MAX_COLUMNS
from jiebang.result import Evidence

MAX_FAILURES = 20
"""How many failed records are pointed at; all are counted."""

MAX_RECORD_BYTES = 16 << 20
"""A record longer than this fails, so that no single line can take the memory of the whole machine."""

TOO_MANY_COLUMNS = f"it has more than {MAX_COLUMNS:,} columns"


@dataclass
class Tally:
    """The counts of one file, complete when its reading is."""

    path: str
    attempted: int = 0
    records: int = 0
    failures: list[Evidence] = field(default_factory=list)

    def failed(self, ordinal: int, why: str) -> None:
        """Note a failed record by its ordinal (from 1) and the reason, never its text."""
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(Evidence(file=self.path, row=ordinal, note=why))


@dataclass(frozen=True)
class Batch:
    """Some parsed records: their ordinals, one array per wanted column, and how many bytes of the file they took.

    `proven` says by the place of a column which of its cells are proved to be canonical text as they stand, and longer
    than any missing marker; a column that is not there has no proofs.
    """

    ordinals: npt.NDArray[np.int64]
    columns: list[pa.Array]
    bytes_read: int = 0
    proven: Mapping[int, npt.NDArray[np.bool_]] = field(default_factory=dict)
