"""What a scan found: the engine's answer, read as the hostile thing it may be, becomes a verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jiebang.sandbox import Outcome, OutcomeStatus
from services.ingest.submission import Reason
from shared.failures import TransientError
from shared.sandboxes import Sandboxes

MOST_REASONS = 20
LONGEST_TEXT = 500

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KIND_AS = {"json": "jsonl"}
"""Kinds of file that a challenge allows under the name of another: an array of records is as good as their lines."""

_NO_DATA = ("", "other")
_MOST_FILES = 10**9


class ScanCrashed(TransientError):
    """The scan's process ended without an answer: it may have been killed from outside, or have met a bug of ours."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scan found: reasons against the dataset, or none and its digest."""

    dataset_digest: str | None
    files: int
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is against the dataset."""
        return not self.reasons and self.dataset_digest is not None


class Scanner(Protocol):
    """Scans the dataset of an upload."""

    async def scan(self, upload: str, order: Mapping[str, Any]) -> Outcome:
        """The engine's answer about an upload, scanned by the order of its challenge: its `demand` and `rubric`."""
        ...


class SandboxedScanner:
    """Scans in a fresh confined child per dataset."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes

    async def scan(self, upload: str, order: Mapping[str, Any]) -> Outcome:
        """See `Scanner`."""
        return await self._sandboxes.run("scan", upload, dict(order), lambda outcome, _output: outcome)


class RecordedScanner:
    """Gives every dataset the same recorded answer: what is left is the cost of the platform itself."""

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self._recorded = dict(recorded)

    async def scan(self, upload: str, order: Mapping[str, Any]) -> Outcome:
        """See `Scanner`."""
        return Outcome(OutcomeStatus.DONE, self._recorded)


def verdict_of(outcome: Outcome, formats: Sequence[str]) -> Verdict:
    """The verdict in the engine's answer about a dataset, in a challenge that allows these kinds of file.

    Raises:
        ScanCrashed: there is no answer, and it may not be the dataset's fault.
    """
    match outcome.status:
        case OutcomeStatus.DONE:
            return _answer(outcome.result, formats)
        case OutcomeStatus.REFUSED:
            if outcome.result.get("fault") in ("platform", "sponsor"):
                raise ScanCrashed(str(outcome.result.get("code")))
            return _refused(_reason_of(outcome.result, gate="opening"))
        case OutcomeStatus.KILLED_MEMORY:
            return _refused(
                Reason(
                    code="needs_too_much_memory",
                    sentence="Opening the dataset needs more memory than a submission may use. Hand in less, or split "
                    "what is packed too tightly.",
                    gate="opening",
                )
            )
        case OutcomeStatus.KILLED_TIME:
            return _refused(
                Reason(
                    code="takes_too_long",
                    sentence="Opening the dataset takes longer than a submission may take. Hand in less, or in a "
                    "simpler form.",
                    gate="opening",
                )
            )
        case OutcomeStatus.CRASHED:
            raise ScanCrashed(outcome.detail or "no answer")


def _refused(*reasons: Reason) -> Verdict:
    return Verdict(None, 0, reasons)


def _answer(result: Mapping[str, Any], formats: Sequence[str]) -> Verdict:
    dataset = _mapping(result.get("dataset"))
    # The list of files is cut where there are very many; the count of each kind is of all.
    files = [_mapping(file) for file in _list(dataset.get("files"))]
    kinds = {
        _text(kind): count
        for kind, count in _mapping(dataset.get("kinds")).items()
        if isinstance(count, int) and 0 < count <= _MOST_FILES
    }
    digest = dataset.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ScanCrashed("the answer has no digest")
    reasons = [reason for gate in _list(result.get("gates")) for reason in _gate_reasons(_mapping(gate))]
    # What a gate refused is often not even listed, so that its kind would be a second and wrong reason.
    reasons = reasons or _kinds_refused(kinds, files, formats)
    warnings = tuple(_text(warning) for warning in _list(result.get("warnings"))[:MOST_REASONS])
    return Verdict(digest, sum(kinds.values()), tuple(reasons[:MOST_REASONS]), warnings)


def _gate_reasons(gate: Mapping[str, Any]) -> list[Reason]:
    id = _text(gate.get("id"))[:16] or "unknown"
    if gate.get("status") == "passed":
        return []
    reasons = [_reason_of(_mapping(reason), gate=id) for reason in _list(gate.get("reasons"))]
    if reasons:
        return reasons
    sentence = f"The gate {id} could not be passed."
    return [Reason(code="gate_failed" if gate.get("status") == "failed" else "not_scanned", sentence=sentence, gate=id)]


def _kinds_refused(
    kinds: Mapping[str, int], files: Sequence[Mapping[str, Any]], formats: Sequence[str]
) -> list[Reason]:
    """The data files whose kind the challenge does not allow; files that hold no data are no matter."""
    if not formats:
        return []
    allowed = ", ".join(formats)
    refused = []
    for kind in kinds:
        if kind in _NO_DATA or _KIND_AS.get(kind, kind) in formats or kind in formats:
            continue
        listed = [_text(file.get("path")) for file in files if file.get("kind") == kind]
        refused += [
            Reason(
                code="format_not_allowed",
                sentence=f"This challenge takes {allowed}, and the file is {kind}. Convert it.",
                gate="G3",
                path=path or None,
            )
            for path in listed or [""]
        ]
    return refused


def _reason_of(found: Mapping[str, Any], *, gate: str) -> Reason:
    code = found.get("code")
    known = isinstance(code, str) and _CODE.fullmatch(code) is not None
    sentence = _text(found.get("sentence")) or " ".join(
        part for part in (_text(found.get("title")), _text(found.get("detail"))) if part
    )
    return Reason(
        code=str(code) if known else "unreadable",
        sentence=sentence or "The dataset cannot be opened.",
        gate=gate,
        path=_text(found.get("path")) or None,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """A text that can be stored and shown: bounded, and without half characters."""
    if not isinstance(value, str):
        return ""
    return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()
