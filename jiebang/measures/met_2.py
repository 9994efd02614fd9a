"""MET-2, manifest integrity.

Aligned with the traceability of ISO/IEC 5259-2; GB/T 36344-2018 has no counterpart.

Example: `SHA256SUMS` lists a.csv and b.csv, of which b.csv was changed since, and c.csv lies beside them: 1/3 =
0.333333.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from jiebang.measures.package_measure import PackageMeasure, package_ratio
from jiebang.result import Evidence, MeasureResult

if TYPE_CHECKING:
    from jiebang.structure.descriptors import Declared
    from jiebang.structure.package import Package

_MISSING = "declared and not there"
_OUTSIDE = "leads out of the dataset"
_NO_DIGEST = "declared without its SHA-256"
_OTHER = "its SHA-256 is another"
_UNDECLARED = "there and not declared"


def plan(package: Package) -> MeasureResult | None:
    """Files declared, present and with the declared SHA-256 / files declared or present.

    Declared are the FileObjects of Croissant, the resources of a Data Package, the lines of `SHA256SUMS` and the files
    of `manifest.json`; what they keep elsewhere on the web counts nowhere. Where several declare a file, all must be
    right. Present are the data files, in a challenge those of its tables; documents, licences and the descriptors
    themselves count only if declared. A path that leads out of the dataset is declared and never there. A changed byte,
    a file too many or too few moves it.

    Not declared without such a list; in a challenge failed.
    """
    if not package.descriptors:
        return None
    declared: dict[str, list[Declared]] = defaultdict(list)
    outside: dict[str, str] = {}
    for descriptor in package.descriptors:
        for file in descriptor.files:
            if file.path is None:
                outside.setdefault(file.named, file.by)
            else:
                declared[file.path].append(file)
    present = {file.path: file.sha256 for file in package.files}
    counts = {file.path for file in package.data_files}
    counted = sorted(counts | {path for path in declared if path not in present or package.counts_all})
    wrong = [(path, why) for path in counted if (why := _fault(path, present.get(path), declared.get(path, [])))]
    evidence = [Evidence(by, note=f"`{named[:80]}` {_OUTSIDE}") for named, by in sorted(outside.items())]
    evidence += [Evidence(path, note=why) for path, why in wrong]
    errors = [f"{descriptor.path}: {descriptor.error}" for descriptor in package.descriptors if descriptor.error]
    den = len(counted) + len(outside)
    return package_ratio(
        MEASURE.id, len(counted) - len(wrong), den, evidence=evidence, note="; ".join(errors[:3]) or None
    )


def _fault(path: str, sha256: str | None, declared: list[Declared]) -> str | None:
    if not declared:
        return _UNDECLARED
    if sha256 is None:
        return _MISSING
    digests = {file.sha256 for file in declared if file.sha256 is not None}
    if not digests:
        return _NO_DIGEST
    return None if digests == {sha256} else _OTHER


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    assert result.num is not None
    assert result.den is not None
    first = result.evidence[0]
    return (
        f"Declare {result.den - result.num} of {result.den} files as they are, with path and SHA-256, or hand them in; "
        f"the first is `{first.file}`: {first.note}."
    )


MEASURE = PackageMeasure(
    "MET-2",
    "manifest integrity",
    plan,
    advice,
    "List the files with their SHA-256 in a descriptor (`jiebang describe` drafts one) or in SHA256SUMS",
)
