"""LIC-1, licence clarity.

Aligned with the compliance of ISO/IEC 5259-2, with the expressions of SPDX 2.3.

Example: of four data files a descriptor gives three CC-BY-4.0 and one `free to use`: 3/4 = 0.750000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiebang.measures.package_measure import PackageMeasure, package_ratio
from jiebang.result import Evidence, MeasureResult
from jiebang.structure.licensing import Licensing

if TYPE_CHECKING:
    from jiebang.structure.package import Package


def plan(package: Package) -> MeasureResult | None:
    """Data files under a licence that is clear / data files (in a challenge those of its tables).

    A licence is clear when it means an SPDX expression: in a descriptor (its own `licenses` of a file go before those
    of the whole), in the front matter of a README, or as the text of a LICENSE. What is said nearest to a file, in its
    folder or one above, decides; where two sources in one folder differ, neither is clear. A grant of one's own
    (`LicenseRef-…`, `GRANT.md`, 授权书) is clear when its text lies in the dataset and says grantor, uses and date.

    Not declared where nothing is said of a licence; in a challenge failed.
    """
    licensing = Licensing(package)
    if not licensing.says_anything:
        return None
    files = licensing.files()
    unclear = [file for file in files if file.expression is None]
    evidence = [Evidence(file.path, note=file.why) for file in unclear]
    return package_ratio(MEASURE.id, len(files) - len(unclear), len(files), evidence=evidence)


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    assert result.num is not None
    assert result.den is not None
    why = result.evidence[0].note or ""
    return f"Make the licence of {result.den - result.num} of {result.den} files clear: {why}."


MEASURE = PackageMeasure(
    "LIC-1", "licence clarity", plan, advice, "Name a licence in a LICENSE file, a descriptor or the README"
)
