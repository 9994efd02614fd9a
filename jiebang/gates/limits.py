"""What a dataset may be at most, and the reasons that say where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jiebang.result import Reason

MAX_REASONS = 20


@dataclass(frozen=True)
class Limits:
    """The limits of gate G1; sizes and ratios are counted on the bytes that are written, never on declared ones."""

    entries: int = 100_000
    expanded: int = 20_000_000_000
    member_ratio: int = 200
    total_ratio: int = 50
    depth: int = 2
    path_bytes: int = 1_024
    name_bytes: int = 255


class GateFails(Exception):
    """What was being opened fails a gate; `reason` says why. `final` ends the opening of everything."""

    def __init__(self, code: str, sentence: str, *, final: bool = False, **fields: Any) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.final = final
        self.fields = fields

    def reason(self, path: str | None) -> Reason:
        """The reason as a gate tells it; `path` is the file or archive that was being opened."""
        return Reason(self.code, self.sentence, path=path, fields=self.fields)


class Budget:
    """The entries and written bytes that are left of a dataset's limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._entries = 0
        self._written = 0
        self._handed_in = 0

    def hand_in(self, size: int) -> None:
        """Count bytes that were handed in: the total ratio is over all of them."""
        self._handed_in += size
        self._check_size(self._handed_in)

    def enter(self) -> None:
        """Count one entry."""
        self._entries += 1
        if self._entries > self.limits.entries:
            raise GateFails(
                "too_many_entries",
                f"There are more than {self.limits.entries:,} entries; join small files.",
                final=True,
                limit=self.limits.entries,
            )

    def write(self, size: int) -> None:
        """Count bytes that an archive or a compressed file expanded to."""
        self._written += size
        self._check_size(self._written)
        if self._written > self.limits.total_ratio * self._handed_in:
            raise GateFails(
                "ratio_too_high",
                f"It expands to more than {self.limits.total_ratio} times its size; hand the files in uncompressed.",
                final=True,
                limit=self.limits.total_ratio,
            )

    def read(self, size: int) -> None:
        """Check a size that is only to be read, never written: that of a Parquet file's cells, a byte each."""
        self._check_size(size)

    def _check_size(self, size: int) -> None:
        if size > self.limits.expanded:
            raise GateFails(
                "too_large",
                f"The dataset is larger than {self.limits.expanded:,} bytes; hand in less of it.",
                final=True,
                limit=self.limits.expanded,
            )

    def member(self, stored: int) -> MemberBudget:
        """The budget of one compressed member that takes `stored` bytes."""
        return MemberBudget(self, stored)


class MemberBudget:
    """Counts what one compressed member expands to, and passes it on."""

    def __init__(self, budget: Budget, stored: int) -> None:
        self._budget = budget
        self._most = budget.limits.member_ratio * stored
        self._written = 0

    def write(self, size: int) -> None:
        """Count written bytes of the member."""
        self._written += size
        if self._written > self._most:
            limit = self._budget.limits.member_ratio
            raise GateFails(
                "ratio_too_high",
                f"A member expands to more than {limit} times its size; hand the files in uncompressed.",
                limit=limit,
            )
        self._budget.write(size)
