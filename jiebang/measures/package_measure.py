"""Measures of the dataset as a whole: of what its package says of it, not of the cells of a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, ClassVar

from jiebang.measures.definition import LONG, POINTERS, ratio_value, six_places
from jiebang.result import Evidence, MeasureResult, Status

if TYPE_CHECKING:
    from jiebang.structure.package import Package


@dataclass(frozen=True)
class PackageMeasure:
    """A measure's definition: a pure function from what a package says to a result.

    `plan` measures, and answers None where the package says nothing of the kind: then the measure is not declared, or
    in a challenge failed, since leaving out a poor description may not gain. `wanted` says what to add to be measured,
    without a full stop; `advice` what to do about a result that is not full, with its numbers; `reads` names the files
    that it looks at, so that nobody is told that nothing of them is read.
    """

    id: str
    title: str
    plan: Callable[[Package], MeasureResult | None]
    advice: Callable[[MeasureResult], str]
    wanted: str
    reads: Callable[[Package], Iterable[str]] = field(default=lambda package: package.described_by)
    version: int = 1
    derived: ClassVar[bool] = False
    worst: ClassVar[bool] = False

    @property
    def doc(self) -> str:
        """The description: formula, and what moves it."""
        return (self.plan.__doc__ or "").strip()

    def measure(self, package: Package, *, closed: bool) -> MeasureResult:
        """The dataset's result; `closed` in a challenge."""
        started = time.perf_counter()
        result = self.plan(package)
        if result is None:
            status = Status.FAILED if closed else Status.NOT_DECLARED
            return MeasureResult(self.id, self.version, status)
        return replace(result, cost_ms=round((time.perf_counter() - started) * 1000))

    def advise(self, result: MeasureResult) -> str:
        """What to do about a result that is not full."""
        return f"{self.wanted}." if result.num is None else self.advice(result)


def package_ratio(
    measure: str,
    num: int,
    den: int,
    *,
    evidence: Iterable[Evidence] = (),
    note: str | None = None,
    sample: int | None = None,
) -> MeasureResult:
    """The result of a ratio over the whole dataset, or over a `sample` of so many; 0/0 is not applicable."""
    status = Status.MEASURED if den else Status.NOT_APPLICABLE
    value = ratio_value(num, den) if den else None
    ci95 = wilson(num, den) if sample and den else None
    shown = tuple(evidence)[:POINTERS]
    return MeasureResult(measure, 1, status, num, den, value, evidence=shown, note=note, ci95=ci95, sample=sample)


def wilson(num: int, den: int) -> tuple[str, str]:
    """Wilson's interval of a share at 95 %, as decimals of six places."""
    n, p, z = Decimal(den), LONG.divide(Decimal(num), Decimal(den)), Decimal("1.959964")
    with localcontext(LONG):
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        spread = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).sqrt()
        return six_places(max(Decimal(0), centre - spread)), six_places(min(Decimal(1), centre + spread))
