"""The engine's answer comes out of a sandbox that opened hostile bytes: whatever it is, it becomes a sane verdict."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiebang.sandbox import Outcome, OutcomeStatus
from services.ingest.scanning import LONGEST_TEXT, MOST_REASONS, ScanCrashed, Verdict, verdict_of

DIGEST = "e" * 64
ALL = ("csv", "jsonl", "parquet")


def answer(**changes: Any) -> Outcome:
    """An answer of the engine about one good CSV."""
    result = {
        "dataset": {
            "digest": DIGEST,
            "kinds": {"csv": 1},
            "files": [{"path": "a.csv", "bytes": 3, "sha256": "a" * 64, "kind": "csv"}],
        },
        "gates": [{"id": "G1", "status": "passed", "reasons": []}],
        "warnings": ["x"],
        "passed": True,
    }
    return Outcome(OutcomeStatus.DONE, result | changes)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_nothing_against_it_is_accepted() -> None:
    assert verdict_of(answer(), ALL) == Verdict(DIGEST, 1, (), ("x",))


def test_a_failed_gate_gives_its_reasons() -> None:
    failed = {"id": "G3", "status": "failed", "reasons": [{"code": "pickle", "sentence": "No.", "path": "a.pkl"}]}
    verdict = verdict_of(answer(gates=[failed]), ("parquet",))
    assert not verdict.passed
    (reason,) = verdict.reasons
    assert (reason.code, reason.sentence, reason.gate, reason.path) == ("pickle", "No.", "G3", "a.pkl")


@pytest.mark.parametrize("status", ["failed", "not_scanned", "unheard_of", None])
def test_a_gate_that_did_not_pass_is_against_it_even_without_a_reason(status: str | None) -> None:
    assert len(verdict_of(answer(gates=[{"id": "G1", "status": status}]), ALL).reasons) == 1


@pytest.mark.parametrize(
    ("kinds", "formats", "refused"),
    [
        (["csv"], ("parquet",), ["format_not_allowed"]),
        (["csv", "parquet", "other"], ("csv", "parquet"), []),
        (["json"], ("jsonl",), []),
        (["json"], ("json",), []),
        (["json"], ("csv",), ["format_not_allowed"]),
        (["other", "parquet"], ("csv",), ["format_not_allowed"]),
        (["csv"], (), []),
    ],
)
def test_a_challenge_takes_the_kinds_of_file_it_names(
    kinds: list[str], formats: tuple[str, ...], refused: list[str]
) -> None:
    files = [{"path": f"{number}", "kind": kind} for number, kind in enumerate(kinds)]
    dataset = {"digest": DIGEST, "kinds": dict.fromkeys(kinds, 1), "files": files}
    assert codes(verdict_of(answer(dataset=dataset), formats)) == refused


def test_a_kind_that_is_not_taken_is_seen_beyond_the_files_that_are_listed() -> None:
    dataset = {"digest": DIGEST, "kinds": {"csv": 20_000, "parquet": 1}, "files": [{"path": "a.csv", "kind": "csv"}]}
    (reason,) = verdict_of(answer(dataset=dataset), ("csv",)).reasons
    assert (reason.code, reason.path) == ("format_not_allowed", None)
    assert verdict_of(answer(dataset=dataset), ALL).files == 20_001


def test_what_the_engine_refuses_to_open_is_rejected_in_its_words() -> None:
    refusal = {"code": "not_a_dataset", "title": "Nothing.", "detail": "Name a file.", "fault": "participant"}
    (reason,) = verdict_of(Outcome(OutcomeStatus.REFUSED, refusal), ALL).reasons
    assert (reason.code, reason.sentence) == ("not_a_dataset", "Nothing. Name a file.")


@pytest.mark.parametrize(
    ("status", "code"),
    [(OutcomeStatus.KILLED_MEMORY, "needs_too_much_memory"), (OutcomeStatus.KILLED_TIME, "takes_too_long")],
)
def test_a_dataset_that_needs_too_much_is_rejected(status: OutcomeStatus, code: str) -> None:
    assert codes(verdict_of(Outcome(status), ALL)) == [code]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(OutcomeStatus.CRASHED),
        Outcome(OutcomeStatus.REFUSED, {"code": "x", "fault": "platform"}),
        Outcome(OutcomeStatus.DONE, {}),
        answer(dataset={"digest": "../../etc/passwd", "files": []}),
    ],
)
def test_what_may_be_our_own_fault_is_no_verdict(outcome: Outcome) -> None:
    with pytest.raises(ScanCrashed):
        verdict_of(outcome, ALL)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(
    JSON,
    st.lists(st.fixed_dictionaries({"id": JSON, "status": JSON, "reasons": JSON | st.lists(JSON)}) | JSON, max_size=30),
    JSON,
)
def test_any_answer_at_all_is_bounded_text_or_a_crash(files: Any, gates: Any, warnings: Any) -> None:
    verdict = verdict_of(answer(dataset={"digest": DIGEST, "files": files}, gates=gates, warnings=warnings), ALL)
    assert len(verdict.reasons) <= MOST_REASONS
    for reason in verdict.reasons:
        assert reason.code.isascii()
        assert len(reason.code) <= 64
        for text in (reason.sentence, reason.gate, reason.path or ""):
            assert len(text) <= LONGEST_TEXT + 1
            text.encode()
