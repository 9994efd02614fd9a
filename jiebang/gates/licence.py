"""Gate G6: every data file stands under a licence, or a grant of its own, that permits what the data are wanted for."""

from __future__ import annotations

from collections.abc import Sequence

from jiebang.gates.limits import MAX_REASONS
from jiebang.gates.paths import shown
from jiebang.result import GateResult, GateStatus, Reason
from jiebang.structure.licences import permits
from jiebang.structure.licensing import Licensed, Licensing
from jiebang.structure.package import Package

_TO_DO = "Name one in a LICENSE file, a descriptor or the README, as an SPDX expression such as CC-BY-4.0."


def licence_gate(package: Package, use: Sequence[str]) -> GateResult:
    """Gate G6 for these uses; alike files share a reason, at the first of them."""
    licensing = Licensing(package)
    if not licensing.says_anything:
        reasons = [Reason("no_licence", f"Nothing says under which licence the data stand. {_TO_DO}")]
    else:
        found = (_reason(file, use, licensing.granted) for file in licensing.files())
        alike = {reason.sentence: reason for reason in reversed([reason for reason in found if reason])}
        reasons = sorted(alike.values(), key=lambda reason: reason.path or "")
    status = GateStatus.FAILED if reasons else GateStatus.PASSED
    return GateResult("G6", status, tuple(reasons[:MAX_REASONS]))


def _reason(file: Licensed, use: Sequence[str], granted: dict[str, frozenset[str]]) -> Reason | None:
    if file.expression is None:
        return Reason("licence_unclear", f"No licence is clear: {file.why}. {_TO_DO}", shown(file.path))
    withheld = [name for name in use if not permits(file.expression, granted, name)]
    if not withheld:
        return None
    return Reason(
        "licence_incompatible",
        f"{file.expression} is not known to permit what the data are wanted for: {', '.join(withheld)}. "
        "Hand in data that may be used so, or a grant (GRANT.md) that says who grants which uses since when.",
        shown(file.path),
        {"licence": file.expression, "withheld": withheld},
    )
