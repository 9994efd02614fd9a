"""The whole judgement of a dataset: open, gates, canonical tables, measures, grade, what to fix."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from itertools import accumulate, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiebang.declaration import Declaration
from jiebang.errors import DeclarationError
from jiebang.fixes import Fix, declarations, fixes, fixes_beside
from jiebang.grading import Grade, combine_tables, grade
from jiebang.measures import FIRST_MEASURES, FOUND_MEASURES, MEASURES, PACKAGE_MEASURES, Measure, Subject, run_measures
from jiebang.measures.engines.duckdb import DuckDBEngine
from jiebang.measures.missing import present_cells
from jiebang.measures.planner import Measured
from jiebang.result import GateResult, GateStatus, MeasureResult
from jiebang.rubric import CONTENT_GATES, Rubric
from jiebang.structure.declaring import completed
from jiebang.structure.package import Package
from jiebang.structure.provenance import sourced_files

if TYPE_CHECKING:
    from jiebang.dataset.canonical import CanonicalDataset
    from jiebang.dataset.opening import DataFile, OpenedDataset
    from jiebang.dataset.tables import Column, Table

Paths = str | Path | Sequence[str | Path]
Progress = Callable[[str, float], None]

LISTED_BYTES = 2_000_000
"""About the most bytes that the list of a report's files takes, some 10,000 of them; the digest is of all."""

MOST_WARNINGS = 100
"""The most warnings that are written out; of more it is told how many."""


@dataclass(frozen=True)
class ScanResult:
    """What the gates say about a dataset, before anything is measured."""

    digest: str
    files: tuple[DataFile, ...]
    gates: tuple[GateResult, ...]
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no gate failed and none could not look."""
        return all(gate.status is GateStatus.PASSED for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        """The scan as JSON."""
        return {
            "dataset": _dataset(self.digest, self.files),
            "gates": [gate.as_dict() for gate in self.gates],
            "passed": self.passed,
            "warnings": list(self.warnings),
        }

    def to_json(self) -> str:
        """The scan as canonical JSON: equal text for equal bytes."""
        return canonical_json(self.as_dict())


@dataclass(frozen=True)
class Report:
    """A dataset's judgement: `report["COM-1"]` is the dataset's result of a measure, `report.total` its score.

    `measures` are the results table by table; `combined` those of the dataset. When a gate failed nothing is measured:
    total and grade are None and the gates say why.
    """

    digest: str
    files: tuple[DataFile, ...]
    gates: tuple[GateResult, ...]
    rubric: Rubric
    declaration: Declaration
    warnings: tuple[str, ...] = ()
    tables: tuple[dict[str, Any], ...] = ()
    measures: tuple[MeasureResult, ...] = ()
    combined: Mapping[str, MeasureResult] = field(default_factory=dict)
    judged: Grade | None = None
    fixes: tuple[Fix, ...] = ()
    declare: tuple[str, ...] = ()
    distributions: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """By table the distributions of its columns, where they were asked for; for the page, no part of the JSON."""

    def __getitem__(self, measure: str) -> MeasureResult:
        """The dataset's result of a measure."""
        return self.combined[measure]

    @property
    def total(self) -> str | None:
        """The total, 0 to 100 with six places; None when a gate failed."""
        return self.judged.total if self.judged else None

    @property
    def grade(self) -> str | None:
        """The grade; None when a gate failed."""
        return self.judged.grade if self.judged else None

    @property
    def provisional(self) -> bool:
        """Whether too little could be measured for the grade to stand; `declare` says what to declare."""
        return self.judged.provisional if self.judged else False

    @property
    def coverage(self) -> str | None:
        """The share of the rubric that was measured, of what applies."""
        return self.judged.coverage if self.judged else None

    @property
    def dimensions(self) -> dict[str, str]:
        """The score of each dimension, 0 to 100 with six places."""
        return dict(self.judged.dimensions) if self.judged else {}

    @property
    def passed(self) -> bool:
        """Whether every gate passed, so that the dataset was measured."""
        return all(gate.status is GateStatus.PASSED for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON, in the shape that `jiebang score --json` prints."""
        records = sum(table["records"] for table in self.tables) if self.passed else None
        scores = self.judged.scores if self.judged else {}
        return {
            "dataset": {**_dataset(self.digest, self.files), "records": records},
            "gates": [gate.as_dict() for gate in self.gates],
            "measures": [result.as_dict() for result in self.measures],
            "combined": [{**result.as_dict(), "score": scores.get(name)} for name, result in self.combined.items()],
            "dimensions": self.dimensions,
            "total": self.total,
            "grade": self.grade,
            "provisional": self.provisional,
            "coverage": self.coverage,
            "fixes": [fix.as_dict() for fix in self.fixes],
            "declare": list(self.declare),
            "warnings": list(self.warnings),
            "profile": {"tables": list(self.tables)},
            "rubric": {**self.rubric.as_dict(), "digest": self.rubric.digest},
            "declaration": self.declaration.as_dict(),
            "declaration_digest": self.declaration.digest,
            "challenge": self.declaration.closed,
            "as_of": self.declaration.as_of or self.rubric.as_of,
            "engine": {"version": version("jiebang"), "rubric": self.rubric.id},
        }

    def to_json(self) -> str:
        """The report as canonical JSON: equal text for equal bytes, so without what a run cost."""
        data = self.as_dict()
        for result in (*data["measures"], *data["combined"]):
            result["cost_ms"] = None
        return canonical_json(data)

    def save(self, path: str | Path) -> None:
        """Write the report as a page (`.html`) or as JSON (`.json`)."""
        target = Path(path)
        if target.suffix.lower() in (".html", ".htm"):
            target.write_text(self._html, encoding="utf-8")
        elif target.suffix.lower() == ".json":
            target.write_text(self.to_json(), encoding="utf-8")
        else:
            raise ValueError(f"{target}: name the report .html or .json")

    @cached_property
    def _html(self) -> str:
        from jiebang.report import render_html

        return render_html(self.as_dict(), distributions=self.distributions)

    def _repr_html_(self) -> str:
        from jiebang.report import render_card

        return render_card(self.as_dict())

    def __repr__(self) -> str:
        if not self.passed:
            failed = ", ".join(gate.id for gate in self.gates if gate.status is not GateStatus.PASSED)
            return f"<Report rejected by {failed}>"
        warned = f", {len(self.warnings)} in .warnings" if self.warnings else ""
        return f"<Report {self.total} {self.grade}{' provisional' if self.provisional else ''}{warned}>"


def canonical_json(data: Mapping[str, Any]) -> str:
    """JSON with sorted names and no blanks, so that equal data has equal text."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def scan(
    paths: Paths,
    *,
    declare: Declaration | Mapping[str, Any] | str | Path | None = None,
    demand: Declaration | Mapping[str, Any] | str | Path | None = None,
    rubric: Rubric | Mapping[str, Any] | str | Path | None = None,
    threads: int | None = None,
    memory: int | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> ScanResult:
    """Run the gates alone over a file, several files, a folder or an archive.

    With a rubric the gates are those that `score` runs under it, with the same answers; without one, all of them. The
    other arguments are those of `score`. Raises DatasetRefused when there is nothing to look at.
    """
    chosen = None if rubric is None else Rubric.load(rubric)
    declaration = _declaration(declare, demand)
    with ExitStack() as stack:
        folder = _scratch(scratch, stack)
        opened = _open(paths, folder, progress)
        package = Package(opened.files)
        gates = (*opened.gates, *_licence_gate(opened, package, declaration))
        declaration, warnings = _completed(declaration, chosen, opened, package)
        wanted = CONTENT_GATES if chosen is None else chosen.gates
        if wanted and all(gate.status is GateStatus.PASSED for gate in gates):
            from jiebang.dataset.canonical import canonicalise

            canonical = canonicalise(
                opened, declaration, scratch=folder, threads=threads, memory=memory, progress=progress
            )
            stack.callback(canonical.close)
            _, more = _look_through(opened, canonical, declaration, wanted, None if chosen is None else chosen.as_of)
            gates = (*gates, *more)
        return ScanResult(opened.digest, opened.files, gates, warnings)


def score(
    paths: Paths,
    *,
    declare: Declaration | Mapping[str, Any] | str | Path | None = None,
    demand: Declaration | Mapping[str, Any] | str | Path | None = None,
    rubric: Rubric | Mapping[str, Any] | str | Path = "core-0",
    threads: int | None = None,
    memory: int | None = None,
    scratch: Path | None = None,
    distributions: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Judge a dataset: gates, every measure, the grade under a rubric, and what to fix.

    `declare` is what is known about the dataset; `demand` is a challenge's data demand instead, whose word alone
    counts. Both may be a mapping or a YAML or JSON file. `memory` is in bytes; `scratch` a folder for what does not fit
    into it. `distributions` counts the columns' values too, for the page. Raises DatasetRefused when nothing can be
    read, DeclarationError when a declaration or rubric is wrong.
    """
    from jiebang.dataset.canonical import canonicalise

    chosen = Rubric.load(rubric)
    declaration = _declaration(declare, demand)
    with ExitStack() as stack:
        folder = _scratch(scratch, stack)
        opened = _open(paths, folder, progress)
        package = Package(opened.files)
        gates = (*opened.gates, *_licence_gate(opened, package, declaration))
        declaration, warnings = _completed(declaration, chosen, opened, package)
        report = Report(opened.digest, opened.files, gates, chosen, declaration, warnings)
        if not report.passed:
            return report
        measures = [m for m in MEASURES if m in FIRST_MEASURES or m.id in chosen.criteria]
        canonical = canonicalise(
            opened,
            declaration,
            scratch=folder,
            threads=threads,
            memory=memory,
            facts=frozenset().union(*(measure.facts for measure in measures)),
            progress=progress,
        )
        stack.callback(canonical.close)
        if chosen.gates or distributions or any(measure in FOUND_MEASURES for measure in measures):
            canonical, more = _look_through(opened, canonical, declaration, chosen.gates, chosen.as_of)
            report = replace(report, gates=(*report.gates, *more))
            if not report.passed:
                return report
        report = _judge(report, measures, canonical, package, progress)
        return replace(report, distributions=_distributions(canonical)) if distributions else report


def _judge(
    report: Report,
    measures: Sequence[Measure],
    canonical: CanonicalDataset,
    package: Package,
    progress: Progress | None,
) -> Report:
    declaration = report.declaration
    tables = canonical.tables
    declared = [declaration.for_table(table.name, table.files) for table in tables]
    any_reference = any(own.foreign_keys for own in declared)
    as_of = declaration.as_of or report.rubric.as_of
    sourced = sourced_files(package)
    subjects = [
        Subject(table, own, declaration.closed, tables, any_reference, as_of, sourced)
        for table, own in zip(tables, declared, strict=True)
    ]
    tell = None if progress is None else lambda share: progress("measure", share)
    measured = run_measures(measures, subjects, DuckDBEngine(canonical.connection), tell)
    listed = [measure for measure in PACKAGE_MEASURES if measure.id in report.rubric.criteria]
    if declaration.closed:
        files = (path for table in tables for path in table.files)
        package = package.for_demand(files, needed_images=declaration.images)
    results = (*measured.results, *(measure.measure(package, closed=declaration.closed) for measure in listed))
    if not tables:
        results = (*(measure.without_tables(package, declaration) for measure in measures), *results)
    names = [*(measure.id for measure in measures), *(measure.id for measure in listed)]
    by_measure: dict[str, list[MeasureResult]] = {name: [] for name in names}
    for result in results:
        by_measure[result.id].append(result)
    combined = {name: combine_tables(results) for name, results in by_measure.items() if results}
    judged = grade(combined, report.rubric)
    absent = {table.name for table in tables if table.missing}
    return replace(
        report,
        warnings=_told((*report.warnings, *canonical.warnings, *_absent(subjects))),
        tables=tuple(_profile(table, measured, LISTED_BYTES // len(tables)) for table in tables),
        measures=results,
        combined=combined,
        judged=judged,
        fixes=fixes_beside(absent, judged, results, report.rubric) if absent else fixes(judged, results, combined),
        declare=declarations(judged),
    )


def _distributions(canonical: CanonicalDataset) -> dict[str, tuple[dict[str, Any], ...]]:
    from jiebang.report.distributions import distributions

    return {
        table.name: tuple(one.as_dict() for one in distributions(canonical.connection, table))
        for table in canonical.tables
    }


def _look_through(
    opened: OpenedDataset,
    canonical: CanonicalDataset,
    declaration: Declaration,
    wanted: Sequence[str],
    as_of: str | None,
) -> tuple[CanonicalDataset, tuple[GateResult, ...]]:
    """The tables with what was found in their cells, and what the wanted gates of content say."""
    from jiebang.detectors.dataset_scan import scan_dataset
    from jiebang.detectors.lists import AS_OF
    from jiebang.gates.content_gates import content_gates

    day = declaration.as_of or as_of
    today = AS_OF if day is None else datetime.date.fromisoformat(day)
    scanned = scan_dataset(opened.files, canonical, declaration, today)
    return replace(canonical, tables=scanned.tables), content_gates(wanted, scanned.found)


def _licence_gate(opened: OpenedDataset, package: Package, declaration: Declaration) -> Iterator[GateResult]:
    """Gate G6, where it is said what the data are wanted for and the other gates let them be looked at."""
    if declaration.use and all(gate.status is GateStatus.PASSED for gate in opened.gates):
        from jiebang.gates.licence import licence_gate

        yield licence_gate(package, declaration.use)


def _completed(
    declaration: Declaration, rubric: Rubric | None, opened: OpenedDataset, package: Package
) -> tuple[Declaration, tuple[str, ...]]:
    """The declaration with what the package adds to it, unless a demand decides, and what is told of its files."""
    from jiebang.dataset.opening import unread

    if any(gate.status is not GateStatus.PASSED for gate in opened.gates):
        return declaration, opened.warnings
    read: set[str] = set()
    told: list[str] = []
    if not declaration.closed:
        declaration, found = completed(declaration, package)
        read.update(found.by)
        told += [f"{path}: what it declares is used where nothing else is declared." for path in found.by]
        told += [f"{fault} It is left out." for fault in found.left_out]
    if declaration.use:
        read |= package.described_by
    for measure in PACKAGE_MEASURES:
        if rubric is not None and measure.id in rubric.criteria:
            read.update(measure.reads(package))
    return declaration, (*unread(opened.files, read), *told)


def _absent(subjects: Sequence[Subject]) -> Iterator[str]:
    """A warning for each table that lacks what is declared."""
    for subject in subjects:
        if subject.table.missing:
            yield f"{subject.table.name}: demanded and not handed in."
        elif absence := subject.absence(subject.declared.named_columns()):
            yield f"{subject.table.name}: {absence}"


def _told(warnings: tuple[str, ...]) -> tuple[str, ...]:
    # One may be told of each of very many files.
    more = len(warnings) - MOST_WARNINGS
    return warnings if more <= 0 else (*warnings[:MOST_WARNINGS], f"{more} more warnings are not written out.")


def _profile(table: Table, measured: Measured, listed: int) -> dict[str, Any]:
    """A table's columns in short, for a page that shows what was read."""

    def missing(column: Column) -> int:
        present = measured.integer(table.relation, present_cells(column)) if column.present else 0
        return table.records - (present or 0)

    return {
        "name": table.name,
        "files": list(table.files[: _fitting(table.files, listed)]),
        "records": table.records,
        "attempted": table.attempted,
        "missing": table.missing,
        "columns": [
            {
                "name": column.name,
                "type": str(column.type),
                "declared": column.declared,
                "present": column.present,
                "missing": missing(column),
            }
            for column in table.columns
        ],
    }


def _dataset(digest: str, files: Sequence[DataFile]) -> dict[str, Any]:
    return {
        "digest": digest,
        "kinds": {str(kind): count for kind, count in sorted(Counter(file.kind for file in files).items())},
        "files": [
            {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "kind": str(file.kind)}
            for file in files[: _fitting([file.path for file in files], LISTED_BYTES)]
        ],
    }


def _fitting(paths: Sequence[str], most: int) -> int:
    """How many of the paths, with some 160 bytes of facts beside each, fit into so many bytes of a list."""
    ends = accumulate(len(path.encode("utf-8")) + 160 for path in paths)
    return sum(1 for _ in takewhile(lambda end: end <= most, ends))


def _declaration(
    declare: Declaration | Mapping[str, Any] | str | Path | None,
    demand: Declaration | Mapping[str, Any] | str | Path | None,
) -> Declaration:
    if declare is not None and demand is not None:
        raise DeclarationError(
            "two_declarations", "A challenge's demand and an own declaration exclude each other.", "Give one of them."
        )
    return read_declaration(demand, closed=True) if demand is not None else read_declaration(declare, closed=False)


def read_declaration(source: Declaration | Mapping[str, Any] | str | Path | None, *, closed: bool) -> Declaration:
    if source is None:
        return Declaration(closed=closed)
    if isinstance(source, Declaration):
        # One that was read as open is read again as closed, so that what a demand may not leave open is refused.
        return source if source.closed == closed else Declaration.parse(source.as_dict(), closed=closed)
    if isinstance(source, Mapping):
        return Declaration.parse(source, closed=closed)
    return Declaration.load(Path(source), closed=closed)


def _scratch(scratch: Path | None, stack: ExitStack) -> Path:
    # Always a folder of this run's own, so that two runs never meet and nothing is left behind.
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jiebang-", dir=scratch)))


def _open(paths: Paths, scratch: Path, progress: Progress | None) -> OpenedDataset:
    from jiebang.dataset.opening import open_dataset

    if not isinstance(paths, (str, Path, Sequence)):
        raise TypeError(
            f"a path is needed, not a {type(paths).__name__}; what is in memory is saved first, as by .to_parquet(…)"
        )
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return open_dataset([Path(path) for path in listed], scratch=scratch, progress=progress)
