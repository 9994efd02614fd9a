"""`jiebang score` and `jiebang scan`: the whole judgement on this machine, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jiebang.cli.showing import show_difference, show_gates, show_report
from jiebang.cli.terminal import (
    AsJson,
    Exit,
    WrongUse,
    check_page,
    escape,
    out,
    print_json,
    say,
    stages,
    write_target,
)
from jiebang.cli.verifying import read_json
from jiebang.declaration import Declaration
from jiebang.document import read_document
from jiebang.report.comparison import compare as difference_of


class PageLanguage(StrEnum):
    """The languages of the page."""

    EN = "en"
    ZH = "zh"


Paths = Annotated[list[Path], typer.Argument(help="Files, folders, or zip and tar archives of them.")]


def split(text: str | None) -> list[str]:
    """The names in `a,b,c`."""
    return [name.strip() for name in text.split(",")] if text else []


def declared(file: Path | None, short: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration in a file with the single options over it."""
    whole = _read_declaration(file).as_dict() if file is not None else {}
    return whole | {key: value for key, value in short.items() if value not in (None, [])}


def _read_declaration(file: Path) -> Declaration:
    document = read_document(file)
    if isinstance(document.data.get("demand"), dict):
        raise WrongUse(
            "challenge_file",
            f"{file} is a challenge file.",
            f"Use `--challenge {file}` to judge as it demands.",
        )
    return Declaration.load(file)


def read_challenge(file: Path) -> tuple[Declaration, str | dict[str, Any]]:
    """The data demand of a challenge file as a closed declaration, and its rubric."""
    document = read_document(file)
    if not isinstance(document.data.get("demand"), dict):
        raise WrongUse(
            "no_demand",
            f"{file} has no `demand`.",
            "A challenge says under `demand:` what data it wants, with the keys of a declaration.",
        )
    return Declaration.parse(document.data["demand"], closed=True), document.data.get("rubric", "core-0")


def score(
    paths: Paths,
    declare: Annotated[Path | None, typer.Option(help="What is known about the data: YAML or JSON.")] = None,
    challenge: Annotated[
        Path | None, typer.Option(help="Judge as this challenge file demands; its declaration and rubric decide.")
    ] = None,
    rubric: Annotated[str | None, typer.Option(help="A preset (core-0) or a rubric file.")] = None,
    label: Annotated[str | None, typer.Option(help="The label column.")] = None,
    key: Annotated[str | None, typer.Option(help="Key columns: a,b.")] = None,
    required: Annotated[str | None, typer.Option(help="Required columns: a,b.")] = None,
    time: Annotated[str | None, typer.Option(help="The time column.")] = None,
    time_format: Annotated[str | None, typer.Option(help="Its strptime format.")] = None,
    series: Annotated[str | None, typer.Option(help="Columns that name a series: a,b.")] = None,
    grid: Annotated[str | None, typer.Option(help="Step of a regular series, such as 1h.")] = None,
    text: Annotated[str | None, typer.Option(help="Free-text columns: a,b.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="A marker of a missing value; repeat for more. Replaces the common list.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="The day the judgement speaks of: 2026-01-31.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads to use.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the report as one HTML page.")] = None,
    lang: Annotated[PageLanguage, typer.Option(help="The language that the page opens in.")] = PageLanguage.EN,
    compare: Annotated[
        Path | None, typer.Option(help="The JSON report of an earlier version, to see what moved since.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a dataset: gates, measures, total, grade, and what to fix first.

    The single options are short forms of the declaration and win over the file of --declare.
    """
    import jiebang.judge as judge
    from jiebang.report import render_html

    check_page(html)
    earlier = _read_report(compare) if compare is not None else None
    short = {
        "label": label,
        "key": split(key),
        "required": split(required),
        "time": time,
        "time_format": time_format,
        "series": split(series),
        "grid": grid,
        "text": split(text),
        "missing": missing or [],
        "as_of": as_of,
    }
    demand: Declaration | None = None
    declaration: dict[str, Any] | None = None
    chosen: str | dict[str, Any] = rubric or "core-0"
    if challenge is not None:
        if declare is not None or rubric is not None or any(value not in (None, []) for value in short.values()):
            raise WrongUse(
                "challenge_decides",
                "In a challenge the sponsor's declaration and rubric decide.",
                "Leave out --declare, --rubric and the single options beside --challenge.",
            )
        demand, chosen = read_challenge(challenge)
    else:
        declaration = declared(declare, short)
    with stages(quiet=as_json) as progress:
        report = judge.score(
            paths,
            declare=declaration,
            demand=demand,
            rubric=chosen,
            threads=threads,
            distributions=html is not None,
            progress=progress,
        )
    facts = report.as_dict()
    if as_json:
        print(report.to_json())
    else:
        show_report(out, facts)
        if earlier is not None:
            out.print("\n[bold]Since the earlier version[/]")
            show_difference(out, earlier, facts, as_json=False)
    if html is not None:
        page = render_html(facts, earlier=earlier, distributions=report.distributions, language=lang.value)
        if not write_target(html, page):
            raise typer.Exit(Exit.UNAVAILABLE)
        say(f"Report written to {escape(str(html))}.")
    if facts["total"] is None:
        raise typer.Exit(Exit.NO)


def _read_report(file: Path) -> dict[str, Any]:
    """The report of an earlier version, with all that a comparison reads; another file is told so before any work."""
    facts = read_json(file)
    try:
        difference_of(facts, facts)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError):
        raise WrongUse(
            "no_report", f"{file} is not a report.", "--compare takes what `jiebang score --json` printed earlier."
        ) from None
    return facts


def scan(
    paths: Paths,
    challenge: Annotated[
        Path | None, typer.Option(help="Run the gates that this challenge file asks for, on the data it demands.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the gates alone: may this dataset be judged at all?

    Without --challenge every gate is run, those too that many challenges do not ask for.
    """
    import jiebang.judge as judge

    demand, rubric = read_challenge(challenge) if challenge is not None else (None, None)
    with stages(quiet=as_json) as progress:
        facts = judge.scan(paths, demand=demand, rubric=rubric, progress=progress).as_dict()
    if as_json:
        print_json(facts)
    else:
        show_gates(out, facts)
    if any(gate["status"] != "passed" for gate in facts["gates"]):
        raise typer.Exit(Exit.NO)


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.command()(score)
    app.command()(scan)
