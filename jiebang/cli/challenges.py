"""`jiebang challenge` and `jiebang team`: the board of challenges, and who takes them up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from jiebang.cli.judging import read_challenge
from jiebang.cli.login import client
from jiebang.cli.showing import show_report
from jiebang.cli.terminal import (
    AsJson,
    WrongUse,
    counted,
    escape,
    local_time,
    out,
    print_json,
    say,
    size,
    stages,
    table,
    title_of,
)
from jiebang.client import Problem
from jiebang.declaration import Declaration
from jiebang.document import read_document
from jiebang.errors import DeclarationError
from jiebang.report.reading import DIMENSIONS, wording

challenge_app = typer.Typer(help="See and publish challenges, and take them up.", no_args_is_help=True)
team_app = typer.Typer(help="Register teams.", no_args_is_help=True)


@challenge_app.command("list")
def list_challenges(as_json: AsJson = False) -> None:
    """The challenges on the board."""
    with client() as server:
        challenges = list(server.each("/v1/challenges"))
    if as_json:
        print_json({"challenges": challenges})
        return
    rows = table("id", "title", "sector", "phase", "ends", whole=("id",))
    for challenge in challenges:
        name, ends = _current_phase(challenge)
        rows.add_row(challenge["id"], escape(title_of(challenge.get("title"))), challenge.get("sector"), name, ends)
    out.print(rows if challenges else "No challenge is posted.")


def _current_phase(challenge: dict[str, Any]) -> tuple[str, str]:
    """The phase to look at: the first that the server does not call closed."""
    phases = challenge.get("phases") or []
    phase = next((phase for phase in phases if phase.get("state") != "closed"), phases[-1] if phases else None)
    return (str(phase.get("name", "")), local_time(phase.get("ends_at"))) if phase else ("", "")


@challenge_app.command("show")
def show_challenge(challenge: str, as_json: AsJson = False) -> None:
    """One challenge: what data it wants, how it is judged, when, how often."""
    with client() as server:
        facts = server.get(f"/v1/challenges/{quote(challenge)}")
    if as_json:
        print_json(facts)
        return
    out.print(f"[bold]{escape(title_of(facts.get('title')))}[/]  [dim]{escape(str(facts['id']))}[/]")
    if facts.get("summary"):
        out.print(escape(title_of(facts["summary"])))
    rows = table("", "")
    for name in ("sector", "sponsor", "state", "version"):
        rows.add_row(f"[dim]{name}[/]", escape(str(facts.get(name, ""))))
    for name, value in (facts.get("quota") or {}).items():
        rows.add_row(f"[dim]quota {escape(name)}[/]", escape(str(value)))
    limits = facts.get("limits") or {}
    if limits.get("bytes") is not None:
        rows.add_row("[dim]size limit[/]", size(limits["bytes"]))
    if limits.get("formats"):
        rows.add_row("[dim]formats[/]", escape(", ".join(limits["formats"])))
    out.print(rows)
    phases = table("phase", "from", "to", "board")
    for phase in facts.get("phases") or []:
        phases.add_row(
            str(phase.get("name")),
            local_time(phase.get("starts_at")),
            local_time(phase.get("ends_at")),
            str(phase.get("leaderboard", "")),
        )
    out.print(phases)
    _show_demand(facts.get("demand") or {})
    _show_rubric(facts.get("rubric") or {}, str(facts.get("rubric_digest", "")))


def _show_demand(demand: dict[str, Any]) -> None:
    """What data is wanted, table by table; a table's own keys stand over those of all tables."""
    for name, own in (demand.get("tables") or {"": {}}).items():
        _show_wanted(name, {**demand, **own})


def _show_wanted(name: str, demand: dict[str, Any]) -> None:
    if name:
        out.print(f"[bold]{escape(name)}[/]")
    if demand.get("records") is not None:
        out.print(f"[dim]records wanted:[/] {demand['records']:,}")
    if demand.get("classes"):
        of = f" of {demand['label']}" if demand.get("label") else ""
        out.print(f"[dim]classes{escape(of)}:[/] {escape(', '.join(map(str, demand['classes'])))}")
    single = {role: [demand[role]] for role in ("label", "time") if demand.get(role)}
    roles = single | {role: demand[role] for role in ("key", "series", "text") if demand.get(role)}
    types, required = demand.get("types") or {}, demand.get("required") or ()
    wanted = table("column", "type", "required", "role")
    for column in dict.fromkeys([*types, *required, *(named for columns in roles.values() for named in columns)]):
        plays = ", ".join(role for role, columns in roles.items() if column in columns)
        wanted.add_row(escape(column), types.get(column, ""), "✓" if column in required else "", plays)
    out.print(wanted)


def _show_rubric(rubric: dict[str, Any], digest: str) -> None:
    """What the data is judged by: the dimensions with their weights in the total, and the measures in each."""
    if not rubric:
        return
    out.print(
        f"[dim]rubric[/] [bold]{escape(str(rubric.get('id')))}[/] [dim]sha256:{escape(digest)}[/]", soft_wrap=True
    )
    rows = table("dimension", "weight", "measures", right=("weight",))
    for name, dimension in (rubric.get("dimensions") or {}).items():
        measures = ", ".join(dimension.get("measures") or ())
        rows.add_row(escape(wording(DIMENSIONS, name).en), escape(str(dimension.get("weight", ""))), escape(measures))
    out.print(rows)


@challenge_app.command("publish")
def publish_challenge(
    file: Annotated[Path, typer.Argument(help="The challenge, as YAML or JSON.")],
    check: Annotated[
        Path | None, typer.Option(help="Judge this sample first; nothing is published when it cannot be judged.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Post a challenge on the board."""
    document = read_document(file)
    if check is not None:
        _check_against(file, check, as_json)
    try:
        with client() as server:
            challenge = server.post("/v1/challenges", document.data)
    except Problem as problem:
        # The board knows the key that is wrong; the file knows its line.
        place = problem.fields.get("path")
        if isinstance(place, list):
            problem.fields |= {"file": str(file), "line": document.line(place)}
        raise
    if as_json:
        print_json(challenge)
    else:
        say("[green]✓[/] Published as")
        print(challenge["id"])  # on standard output, for the next command
        if check is None:
            _tell_what_is_open(read_challenge(file)[0])


def _check_against(file: Path, sample: Path, quiet: bool) -> None:
    """Refuse a challenge whose own sample its demand does not fit: the mistake is in the demand more often than not."""
    import jiebang.judge as judge

    demand, rubric = read_challenge(file)
    with stages(quiet) as progress:
        facts = judge.score([sample], demand=demand, rubric=rubric, progress=progress).as_dict()
    if not quiet:
        show_report(out, facts)
        _tell_what_is_open(demand)
    failed = sorted({m["id"] for m in facts["measures"] if m["status"] == "failed"})
    if facts["total"] is None or failed:
        what = f"these measures fail on it: {', '.join(failed)}" if failed else "a gate refuses it"
        raise DeclarationError(
            "sample_does_not_fit",
            f"{sample} does not fit what {file} demands: {what}.",
            "Mend the demand (names of columns and tables, mostly) or the sample. Nothing was published.",
        )


def _tell_what_is_open(demand: Declaration) -> None:
    for gap in _left_open(demand):
        say(f"[yellow]![/] {escape(gap)}")


def _left_open(demand: Declaration) -> Iterator[str]:
    """What a demand does not ask for, though a team could gain by it: a sentence each."""
    tables = {name: own.over(demand.default) for name, own in demand.tables.items()} or {"": demand.default}
    for name, declared in tables.items():
        where = f" of {name}" if name else ""
        if declared.records is None:
            yield f"`records`{where} is not declared: one perfect record is as good as a thousand."
        if not declared.key:
            yield f"`key`{where} is not declared: a record that comes again with one cell changed is a new one."
    if all(declared.label is None for declared in tables.values()):
        yield "`label` is not declared: the balance of classes is not judged."


@challenge_app.command("join")
def join_challenge(challenge: str, as_json: AsJson = False) -> None:
    """Register your team for a challenge."""
    with client() as server:
        registration = server.post(f"/v1/challenges/{quote(challenge)}/registrations")
    if as_json:
        print_json(registration)
    else:
        say(f"[green]✓[/] Registered for {escape(challenge)}.")


@team_app.command("register")
def register_team(
    file: Annotated[Path, typer.Argument(help="The team: name, organisation, members, and challenges to join.")],
    as_json: AsJson = False,
) -> None:
    """Register a team and print its key, which is shown this once.

    `challenges:` in the file is a list of ids that the team is registered for at the same time.
    """
    facts = dict(read_document(file).data)
    challenges = facts.pop("challenges", None) or []
    if not isinstance(challenges, list):
        raise WrongUse("wrong_challenges", "`challenges` is not a list.", "Write `challenges: [chl_…]`.")
    with client() as server:
        answer = server.post("/v1/teams", facts)
        for challenge in challenges:
            server.post(f"/v1/challenges/{quote(str(challenge))}/registrations", {"team": answer["team"]["id"]})
    if as_json:
        print_json({**answer, "challenges": challenges})
        return
    joined = counted(len(challenges), "challenge")
    say(f"[green]✓[/] Registered as [bold]{escape(str(answer['team']['id']))}[/] for {joined}.")
    say("  This is the team's key. It is shown once; hand it over by a safe way:")
    print(answer["key"])


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.add_typer(challenge_app, name="challenge")
    app.add_typer(team_app, name="team")
