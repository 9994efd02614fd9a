"""One attempt at a scoring, with a measuring that answers as told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import jiebang
from jiebang.sandbox import Outcome, OutcomeStatus
from services.scoring import commands
from services.scoring.commands import Disturbed
from services.scoring.measuring import Measured, RecordedMeasuring
from services.scoring.score import Assignment, Score, ScoreState, Terms
from services.scoring.settings import WorkerSettings
from services.scoring.store import MemoryScores, MemoryTerms
from shared.contracts.scoring import ScoreCompleted, ScoreFailed
from shared.failures import DependencyDown
from shared.jobs import Job, JobState, Lease
from shared.objects import Objects
from shared.settings import SettingsError
from tests.fakes import FixedClock
from tests.unit.scoring.test_score import ASSIGNMENT, TERMS, report

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAGE = b"<!doctype html><p>87.125"


@dataclass
class ToldMeasuring:
    """Answers with what it was told; counts how often it was asked."""

    answer: Measured | Exception
    asked: int = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def measure(self, assignment: Assignment, terms: Terms) -> Measured:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def done(**changes: Any) -> Measured:
    return Measured(Outcome(OutcomeStatus.DONE, report(**changes)), PAGE)


def ended(status: OutcomeStatus, **result: Any) -> Measured:
    return Measured(Outcome(status, result, detail="as the test says"))


@dataclass
class Desk:
    """Everything that a scoring needs."""

    objects: Objects
    scores: MemoryScores = field(default_factory=MemoryScores)
    terms: MemoryTerms = field(default_factory=MemoryTerms)
    clock: FixedClock = field(default_factory=FixedClock)

    async def attempt(self, measuring: ToldMeasuring, attempt: int = 1) -> None:
        payload = {"assignment": commands._ASSIGNMENT.dump_python(ASSIGNMENT, mode="json"), "cause": "evt_1"}
        lease = Lease(ASSIGNMENT.id, payload, attempt, "worker", NOON, NOON)
        await commands.score(
            lease,
            all_terms=self.terms,
            measuring=measuring,
            objects=self.objects,
            scores=self.scores,
            clock=self.clock,
        )

    async def recorded(self) -> Score | None:
        return await self.scores.find(ASSIGNMENT.id)


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    made = Desk(Objects(f"file://{tmp_path}"))
    await made.terms.keep(TERMS)
    return made


async def test_a_measured_dataset_gets_a_score_and_its_report_is_kept(desk: Desk) -> None:
    await desk.attempt(ToldMeasuring(done()))
    [fact] = desk.scores.facts
    assert isinstance(fact, ScoreCompleted)
    kept = await desk.objects.get(fact.report_key)
    assert hashlib.sha256(kept).hexdigest() == fact.report_sha256
    assert json.loads(kept) == report()
    assert await desk.objects.get(ASSIGNMENT.report_key("report.html")) == PAGE


async def test_a_second_attempt_at_a_recorded_score_measures_nothing(desk: Desk) -> None:
    await desk.attempt(ToldMeasuring(done()))
    second = ToldMeasuring(done(total="1.000000"))
    await desk.attempt(second, attempt=2)
    assert second.asked == 0
    assert len(desk.scores.facts) == 1


async def test_a_worker_that_comes_late_with_another_result_changes_nothing(desk: Desk) -> None:
    await commands.fail(ASSIGNMENT, "attempts_exhausted", scores=desk.scores, clock=desk.clock)
    await desk.attempt(ToldMeasuring(done()), attempt=4)
    recorded = await desk.recorded()
    assert recorded is not None
    assert recorded.state is ScoreState.FAILED


@pytest.mark.parametrize("status", [OutcomeStatus.CRASHED, OutcomeStatus.KILLED_TIME])
async def test_a_disturbed_measuring_is_attempted_once_more_and_then_fails(desk: Desk, status: OutcomeStatus) -> None:
    with pytest.raises(Disturbed):
        await desk.attempt(ToldMeasuring(ended(status)))
    assert desk.scores.facts == []
    await desk.attempt(ToldMeasuring(ended(status)), attempt=2)
    [fact] = desk.scores.facts
    assert isinstance(fact, ScoreFailed)


async def test_a_refusal_of_our_own_doing_counts_as_a_disturbance(desk: Desk) -> None:
    refusal = ToldMeasuring(ended(OutcomeStatus.REFUSED, code="sandbox_unavailable", fault="platform"))
    with pytest.raises(Disturbed):
        await desk.attempt(refusal)


async def test_a_disturbed_measuring_that_goes_well_the_second_time_is_a_score(desk: Desk) -> None:
    with pytest.raises(Disturbed):
        await desk.attempt(ToldMeasuring(ended(OutcomeStatus.CRASHED)))
    await desk.attempt(ToldMeasuring(done()), attempt=2)
    assert isinstance(desk.scores.facts[0], ScoreCompleted)


@pytest.mark.parametrize(
    ("measured", "code"),
    [
        (ended(OutcomeStatus.KILLED_MEMORY), "out_of_memory"),
        (ended(OutcomeStatus.REFUSED, code="not_a_dataset"), "not_a_dataset"),
        (done(total=None, grade=None), "gate_failed"),
        (done(dataset={"digest": "0" * 64}), "dataset_changed"),
        (done(coverage="much"), "report_malformed"),
    ],
)
async def test_what_will_not_go_better_next_time_fails_at_once(desk: Desk, measured: Measured, code: str) -> None:
    await desk.attempt(ToldMeasuring(measured))
    [fact] = desk.scores.facts
    assert isinstance(fact, ScoreFailed)
    assert fact.code == code
    assert [info.name async for info in desk.objects.list("reports")] == []


async def test_an_object_store_that_is_away_records_nothing(desk: Desk) -> None:
    with pytest.raises(DependencyDown):
        await desk.attempt(ToldMeasuring(DependencyDown("object store")))
    assert desk.scores.facts == []


async def test_a_job_out_of_attempts_fails_its_submission_once(desk: Desk) -> None:
    payload = {"assignment": commands._ASSIGNMENT.dump_python(ASSIGNMENT, mode="json"), "cause": "evt_1"}
    job = Job(ASSIGNMENT.id, JobState.FAILED, payload, "team_1", 10, 3, NOON)
    for _ in range(2):
        await commands.give_up(job, scores=desk.scores, clock=desk.clock)
    [fact] = desk.scores.facts
    assert isinstance(fact, ScoreFailed)
    assert fact.code == "attempts_exhausted"


def test_equal_reports_are_equal_bytes_even_with_what_is_no_text() -> None:
    first, second = {"b": "中", "a": "\ud800"}, {"a": "\ud800", "b": "中"}
    assert commands.report_bytes(first) == commands.report_bytes(second)
    assert json.loads(commands.report_bytes(first)) == {"a": "?", "b": "中"}


# --- a benchmark's recorded report


def test_a_recorded_report_replaces_measuring_for_a_benchmark_only() -> None:
    variables = {"JIEBANG_SCORING_WORKER_RECORDED_RESULT": "/report.json"}
    with pytest.raises(SettingsError, match="JIEBANG_BENCH=1"):
        WorkerSettings.load(variables)
    assert WorkerSettings.load({**variables, "JIEBANG_BENCH": "1"}).recorded_result == Path("/report.json")
    with pytest.raises(ValidationError):
        WorkerSettings(recorded_result=Path("/report.json"))


async def test_a_recorded_report_is_a_score_for_every_dataset(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("species,mass\nAdelie,3700\nGentoo,5000\n")
    recorded = tmp_path / "recorded.json"
    measured = jiebang.score(tmp_path / "a.csv", label="species")
    recorded.write_text(measured.to_json())
    rubric = replace(TERMS, rubric=measured.rubric.as_dict())
    await desk.terms.keep(rubric)
    found = await RecordedMeasuring(recorded).measure(ASSIGNMENT, rubric)
    desk.terms = MemoryTerms()
    await desk.terms.keep(rubric)
    await desk.attempt(ToldMeasuring(found))
    [fact] = desk.scores.facts
    assert isinstance(fact, ScoreCompleted)
    assert (fact.total, fact.dataset_digest) == (measured.total, ASSIGNMENT.dataset_digest)
