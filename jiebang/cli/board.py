"""`jiebang board`: a leaderboard, now, as of a moment, or live."""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Group, RenderableType
from rich.live import Live

from jiebang.cli.login import client
from jiebang.cli.terminal import (
    AsJson,
    WrongUse,
    escape,
    grade_style,
    local_time,
    out,
    print_json,
    table,
    title_of,
    utc_time,
)
from jiebang.client import Client

_NAMES_PER_REQUEST = 50
_LOOK_SECONDS = 1.0


def board(
    challenge: Annotated[str, typer.Argument(help="The challenge's id.")],
    at: Annotated[str | None, typer.Option(help="The board as of this moment.")] = None,
    phase: Annotated[str | None, typer.Option(help="A phase; default: the current one.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and redraw on every change.")] = False,
    as_json: AsJson = False,
) -> None:
    """A challenge's leaderboard."""
    if watch and (as_json or at is not None):
        raise WrongUse("cannot_watch", "--watch shows the living board.", "Leave out --json and --at beside it.")
    path = f"/v1/leaderboards/{quote(challenge)}"
    query = {"at": utc_time(at) if at else None, "phase": phase}
    with client() as server:
        if watch:
            _watch(server, path, query)
            return
        facts = server.get(path, **query)
        entries = list(facts.get("entries", []))
        while facts.get("next"):
            more = server.get(path, **query, after=facts["next"])
            entries += more["entries"]
            facts = {**facts, "next": more.get("next")}
        facts = {**facts, "entries": entries}
        if as_json:
            print_json(facts)
        else:
            out.print(drawn(facts, names_of(server, entries)))


def _watch(server: Client, path: str, query: dict[str, str | None]) -> None:
    etag: str | None = None
    names: dict[str, str] = {}
    with Live(console=out, auto_refresh=False) as live:
        while True:
            facts, etag = server.get_if_changed(path, etag, **query)
            if facts is not None:
                unknown = [entry for entry in facts["entries"] if entry["team"] not in names]
                names |= names_of(server, unknown)
                live.update(drawn(facts, names), refresh=True)
            time.sleep(_LOOK_SECONDS)


def names_of(server: Client, entries: list[dict[str, Any]]) -> dict[str, str]:
    """The public names of the teams on a board."""
    teams = sorted({entry["team"] for entry in entries})
    names: dict[str, str] = {}
    for start in range(0, len(teams), _NAMES_PER_REQUEST):
        for team in server.each("/v1/teams", ids=",".join(teams[start : start + _NAMES_PER_REQUEST])):
            names[team["id"]] = title_of(team.get("name"))
    return names


def drawn(facts: dict[str, Any], names: dict[str, str]) -> RenderableType:
    """A board as a table."""
    rows = table(
        "#", "team", "total", "grade", "coverage", "versions", "received", right=("#", "total", "coverage", "versions")
    )
    for entry in facts["entries"]:
        grade = entry.get("grade")
        rows.add_row(
            str(entry["rank"]),
            escape(names.get(entry["team"], entry["team"])),
            f"[bold]{entry['total']}[/]",
            f"[{grade_style(grade)}]{grade or ''}[/]",
            str(entry.get("coverage", "")),
            str(entry.get("submissions", "")),
            local_time(entry.get("received_at")),
        )
    pending = facts.get("pending") or 0
    state = f"provisional: {pending} still being judged" if facts.get("provisional") else "nothing is being judged"
    moment = local_time(facts.get("as_of"))
    return Group(
        rows if facts["entries"] else "Nobody is ranked yet.",
        f"[dim]{escape(str(facts.get('phase', '')))} · {state}{' · ' + moment if moment else ''}[/]",
    )


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command()(board)
