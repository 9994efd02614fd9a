"""Runs the plans of all measures over all tables together, round by round, in as few scans as possible."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from jiebang.measures.definition import Aggregate, Answers, Ask, Measure, Plan, Row, Rows, Subject
from jiebang.result import MeasureResult


class Engine(Protocol):
    """What answers the asks of measures: it reads the portable subset of SQL."""

    def aggregates(self, relation: str, expressions: list[str]) -> list[int | None]:
        """The integers of many aggregates over one relation."""
        ...

    def rows(self, sql: str) -> list[Row]:
        """All rows of a query."""
        ...


@dataclass
class _Run:
    measure: Measure
    subject: Subject
    plan: Plan
    asks: Sequence[Ask] = ()
    result: MeasureResult | None = None
    seconds: float = 0.0

    def go_on(self, answers: Answers | None) -> None:
        try:
            self.asks = next(self.plan) if answers is None else self.plan.send(answers)
        except StopIteration as stop:
            self.asks = ()
            self.result = stop.value


@dataclass
class _Found:
    engine: Engine
    answers: dict[str, dict[Ask, int | list[Row] | None]] = field(default_factory=dict)
    seconds: dict[tuple[str, Ask], float] = field(default_factory=dict)

    def forget_rows(self) -> None:
        """Let go of the rows of the round before; the few integers stay, since later rounds ask them again."""
        for found in self.answers.values():
            for ask in [ask for ask in found if isinstance(ask, Rows)]:
                del found[ask]

    def answer(self, runs: Sequence[_Run]) -> None:
        """Answer everything the runs ask that is not known yet, what several ask once."""
        wanted: dict[str, dict[Ask, None]] = {}
        for run in runs:
            known = self.answers.setdefault(run.subject.table.relation, {})
            fresh = wanted.setdefault(run.subject.table.relation, {})
            fresh.update(dict.fromkeys(ask for ask in run.asks if ask not in known))
        for relation, asks in wanted.items():
            found = self.answers[relation]
            aggregates = [ask for ask in asks if isinstance(ask, Aggregate)]
            if aggregates:
                started = time.perf_counter()
                values = self.engine.aggregates(relation, [ask.sql for ask in aggregates])
                share = (time.perf_counter() - started) / len(aggregates)
                for ask, value in zip(aggregates, values, strict=True):
                    found[ask] = value
                    self.seconds[relation, ask] = share
            for rows in (ask for ask in asks if isinstance(ask, Rows)):
                started = time.perf_counter()
                found[rows] = self.engine.rows(rows.sql)
                self.seconds[relation, rows] = time.perf_counter() - started


@dataclass(frozen=True)
class Measured:
    """The results, in the order of the tables and then of the measures, and the integers they came from."""

    results: tuple[MeasureResult, ...]
    found: dict[str, dict[Ask, int | list[Row] | None]]

    def integer(self, relation: str, ask: Aggregate) -> int | None:
        """An integer that some measure asked for, None where none did."""
        value = self.found.get(relation, {}).get(ask)
        return value if isinstance(value, int) else None


def run_measures(
    measures: Sequence[Measure],
    subjects: Sequence[Subject],
    engine: Engine,
    progress: Callable[[float], None] | None = None,
) -> Measured:
    """Measure every subject."""
    runs = [_Run(item, subject, item.measure(subject)) for subject in subjects for item in measures]
    for run in runs:
        run.go_on(None)
    found = _Found(engine)
    while waiting := [run for run in runs if run.result is None]:
        found.forget_rows()
        found.answer(waiting)
        for run in waiting:
            relation = run.subject.table.relation
            run.seconds += sum(found.seconds[relation, ask] for ask in run.asks)
            run.go_on(Answers(found.answers[relation]))
        if progress is not None:
            progress(sum(run.result is not None for run in runs) / len(runs))
    results = (replace(run.result, cost_ms=round(run.seconds * 1000)) for run in runs if run.result is not None)
    return Measured(tuple(results), found.answers)
