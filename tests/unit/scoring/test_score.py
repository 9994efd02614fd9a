"""What becomes a score, and what an attempt without one leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiebang.sandbox import OutcomeStatus
from services.scoring.score import Assignment, Next, ReportRefused, Score, ScoreState, Terms, after, code_of, verdict
from shared.contracts.intake import SubmissionAccepted
from shared.contracts.scoring import ScoreCompleted, ScoreFailed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATASET, RUBRIC = "d" * 64, "e" * 64

ACCEPTED = SubmissionAccepted(
    submission="sub_1",
    challenge="chl_1",
    challenge_version=2,
    phase="preliminary",
    team="team_1",
    upload="upl_1",
    digest="a" * 64,
    bytes=10,
    received_at=NOON,
    dataset_digest=DATASET,
    files=1,
)
GRADING = {
    "id": "own",
    "dimensions": {"completeness": {}, "balance": {}, "$ 均衡.": {}},
    "grades": {"B": {}, "合格": {}},
}
TERMS = Terms("chl_1", 2, "spn_1", {"label": "species"}, GRADING, RUBRIC)
ASSIGNMENT = Assignment.of(ACCEPTED, TERMS)


def report(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": {"digest": DATASET},
        "engine": {"version": "0.1.0", "rubric": "core-0"},
        "rubric": {"id": "core-0", "digest": RUBRIC},
        "total": "87.125000",
        "dimensions": {"completeness": "90.000000", "balance": None},
        "coverage": "0.900000",
        "grade": "B",
        "provisional": False,
        **changes,
    }


def test_dimensions_and_grades_are_named_as_the_sponsor_names_them() -> None:
    found = verdict(report(grade="合格", dimensions={"$ 均衡.": "1.000000"}), ASSIGNMENT, TERMS)
    assert (found.grade, dict(found.dimensions)) == ("合格", {"$ 均衡.": "1.000000"})


def test_an_accepted_submission_makes_one_assignment_per_rubric() -> None:
    assert ASSIGNMENT.id == f"sub_1:{RUBRIC}"
    assert Assignment.of(ACCEPTED, replace(TERMS, rubric_digest="f" * 64)).id != ASSIGNMENT.id
    assert ASSIGNMENT.report_key("report.json") == f"reports/sub_1/{RUBRIC}/report.json"


def test_the_numbers_of_an_honest_report_are_taken_as_they_are_written() -> None:
    found = verdict(report(), ASSIGNMENT, TERMS)
    assert (found.total, found.coverage, found.grade) == ("87.125000", "0.900000", "B")
    assert found.dimensions == {"completeness": "90.000000"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"total": None}, "gate_failed"),
        ({"total": 87.125}, "report_malformed"),
        ({"total": "NaN"}, "report_malformed"),
        ({"total": "100.000001"}, "report_malformed"),
        ({"total": "-1.000000"}, "report_malformed"),
        ({"total": "87.125"}, "report_malformed"),
        ({"total": "８7.125000"}, "report_malformed"),
        ({"coverage": None}, "report_malformed"),
        ({"grade": "A"}, "report_malformed"),
        ({"grade": ["A"]}, "report_malformed"),
        ({"provisional": 0}, "report_malformed"),
        ({"dimensions": []}, "report_malformed"),
        ({"dimensions": {"balance": "Infinity"}}, "report_malformed"),
        ({"dimensions": {"$where": "1.000000"}}, "report_malformed"),
        ({"dataset": {"digest": "0" * 64}}, "dataset_changed"),
        ({"dataset": None}, "report_malformed"),
        ({"rubric": {"digest": "0" * 64}}, "rubric_changed"),
        ({"engine": {"version": 1}}, "report_malformed"),
    ],
)
def test_a_report_that_is_not_what_was_asked_for_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(ReportRefused) as refused:
        verdict(report(**change), ASSIGNMENT, TERMS)
    assert refused.value.code == code


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(report())), json_values))
def test_no_report_whatever_its_shape_makes_anything_but_a_score_or_a_refusal(changes: dict[str, Any]) -> None:
    try:
        found = verdict(report(**changes), ASSIGNMENT, TERMS)
    except ReportRefused:
        return
    score, facts = Score.completed(ASSIGNMENT, found, report_sha256="1" * 64, page_sha256="2" * 64, at=NOON)
    assert score.state is ScoreState.COMPLETED
    assert isinstance(facts[0], ScoreCompleted)


def test_a_completed_score_says_where_its_report_lies() -> None:
    _, [fact] = Score.completed(
        ASSIGNMENT, verdict(report(), ASSIGNMENT, TERMS), report_sha256="1" * 64, page_sha256="2" * 64, at=NOON
    )
    assert isinstance(fact, ScoreCompleted)
    assert fact.report_key == ASSIGNMENT.report_key("report.json")
    assert fact.key == "chl_1"
    assert fact.subject == ASSIGNMENT.id


def test_a_failed_score_carries_a_code() -> None:
    score, [fact] = Score.failed(ASSIGNMENT, "out_of_memory", at=NOON)
    assert isinstance(fact, ScoreFailed)
    assert (score.state, fact.code) == (ScoreState.FAILED, "out_of_memory")


@pytest.mark.parametrize("ending", [OutcomeStatus.CRASHED, OutcomeStatus.KILLED_TIME])
def test_a_disturbed_attempt_is_repeated_once(ending: OutcomeStatus) -> None:
    assert after(ending, disturbed_before=0) is Next.AGAIN
    assert after(ending, disturbed_before=1) is Next.FAIL


@pytest.mark.parametrize("ending", [OutcomeStatus.KILLED_MEMORY, OutcomeStatus.REFUSED])
def test_what_the_bytes_themselves_cause_is_final(ending: OutcomeStatus) -> None:
    assert after(ending, disturbed_before=0) is Next.FAIL


@pytest.mark.parametrize(
    ("ending", "refusal", "code"),
    [
        (OutcomeStatus.CRASHED, None, "measuring_crashed"),
        (OutcomeStatus.KILLED_MEMORY, None, "out_of_memory"),
        (OutcomeStatus.KILLED_TIME, None, "out_of_time"),
        (OutcomeStatus.REFUSED, "not_a_dataset", "not_a_dataset"),
        (OutcomeStatus.REFUSED, "<script>", "dataset_refused"),
        (OutcomeStatus.REFUSED, None, "dataset_refused"),
    ],
)
def test_every_end_without_a_report_has_a_stable_code(ending: OutcomeStatus, refusal: str | None, code: str) -> None:
    assert code_of(ending, refusal) == code
