"""Handing in and what becomes of it: `submit`, `status`, `report`, `diff`, `cancel`, `quota`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from jiebang.cli.login import client, read_state, write_state
from jiebang.cli.showing import show_difference, show_report, show_submission, state_line
from jiebang.cli.terminal import (
    AsJson,
    Exit,
    WrongUse,
    check_page,
    check_target,
    counted,
    err,
    escape,
    local_time,
    out,
    print_json,
    say,
    size,
    table,
    transfer,
    write_target,
)
from jiebang.cli.verifying import read_json
from jiebang.client import FINAL_STATES, Client, Problem
from jiebang.packing import Package

_UPLOADS = "uploads.json"


def submit(
    path: Annotated[Path, typer.Argument(help="A file or a folder; a folder travels as a tar.")],
    challenge: Annotated[str, typer.Option(help="The challenge's id.")],
    note: Annotated[str | None, typer.Option(help="A word to yourself about this version.")] = None,
    receipt: Annotated[Path | None, typer.Option(help="Keep the signed receipt in this file.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it is ranked or refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hand in a dataset version. An upload that broke off resumes when the same command is run again.

    With --wait it ends with 1 when the submission is rejected, and with 3 when the platform failed on it.
    """
    check_target(receipt)
    package = Package(path)
    with transfer("reading", package.length, quiet=as_json) as progress:
        sha256 = package.sha256(progress)
    with client() as server:
        upload = _upload(server, package, sha256, as_json)
        submission = server.submit(challenge, upload, note)
        _forget(server, sha256)
        kept = receipt is None or write_target(receipt, json.dumps(submission["receipt"], indent=1))
        if not as_json:
            say(
                f"[green]✓[/] Received as [bold]{escape(str(submission['id']))}[/] at "
                f"{local_time(submission['received_at'])} ({size(package.length)})."
            )
            say(f"  {_attempts(submission['quota'])}")
        if wait:
            final = follow(server, str(submission["id"]), quiet=as_json)
            if as_json:
                print_json(final)
            else:
                show_submission(out, final)
            raise typer.Exit(ending(final) if kept else Exit.UNAVAILABLE)
    if as_json:
        print_json(submission)
    if not kept:
        raise typer.Exit(Exit.UNAVAILABLE)


def _attempts(used: dict[str, Any]) -> str:
    """How many attempts are used and left: a rejected submission has used one too, so it is said each time."""
    left = min(used["per_day"] - used["used_today"], used["total"] - used["used_total"])
    return (
        f"Attempt {used['used_today']} of {used['per_day']} today, {used['used_total']} of {used['total']} in all; "
        f"{counted(left, 'attempt')} left now."
    )


def _upload(server: Client, package: Package, sha256: str, quiet: bool) -> str:
    """Send the package, or the rest of it when an earlier command was interrupted."""
    name = f"{server.url} {sha256}"
    known = read_state(_UPLOADS)

    def remember(location: str) -> None:
        write_state(_UPLOADS, {**known, name: location})

    with transfer("sending", package.length, quiet) as progress:
        return server.upload(package, sha256, resume=known.get(name), begun=remember, progress=progress)


def _forget(server: Client, sha256: str) -> None:
    known = read_state(_UPLOADS)
    if known.pop(f"{server.url} {sha256}", None) is not None:
        write_state(_UPLOADS, known)


def follow(server: Client, submission: str, *, quiet: bool) -> dict[str, Any]:
    """Wait for a submission's end, with a live line for people."""
    with nullcontext() if quiet or not err.is_terminal else err.status("waiting") as line:
        for facts in server.follow(submission):
            if line is not None:
                line.update(state_line(facts))
            if facts["state"] in FINAL_STATES:
                return facts
    raise RuntimeError("a submission is followed until it has come to its end")


def ending(submission: dict[str, Any]) -> Exit:
    """The exit code that a submission's end means."""
    return {"ranked": Exit.DONE, "rejected": Exit.NO, "cancelled": Exit.NO}.get(submission["state"], Exit.UNAVAILABLE)


def status(
    submission: str,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has come to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Where a submission is: state, position in the queue, estimate, timeline, reasons."""
    with client() as server:
        facts = (
            follow(server, submission, quiet=as_json) if wait else server.get(f"/v1/submissions/{quote(submission)}")
        )
    if as_json:
        print_json(facts)
    else:
        show_submission(out, facts)
    if wait or facts["state"] in FINAL_STATES:
        raise typer.Exit(ending(facts))


def report(
    submission: str,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    as_json: AsJson = False,
) -> None:
    """The report of a submission that was scored."""
    check_page(html)
    path = f"/v1/reports/{quote(submission)}"
    kept = True
    with client() as server:
        facts = server.get(path) if as_json or html is None else None
        if html is not None and (kept := write_target(html, server.get_text(path, "text/html"))):
            say(f"Report written to {escape(str(html))}.")
    if as_json:
        print_json(facts)
    elif facts is not None:
        show_report(out, facts)
    if not kept:
        raise typer.Exit(Exit.UNAVAILABLE)


def diff(
    before: Annotated[str, typer.Argument(help="A submission's id, or a file of `score --json`.")],
    after: Annotated[str, typer.Argument(help="The other one.")],
    as_json: AsJson = False,
) -> None:
    """What moved between two versions, measure by measure."""
    show_difference(out, _report_of(before), _report_of(after), as_json=as_json)


def _report_of(name: str) -> dict[str, Any]:
    if Path(name).is_file():
        return read_json(Path(name))
    if not name.startswith("sub_"):
        raise WrongUse(
            "no_such_path", f"There is no file {name}.", "Name a file of `score --json`, or a submission's id."
        )
    with client() as server:
        facts: dict[str, Any] = server.get(f"/v1/reports/{quote(name)}")
    return facts


def cancel(submission: str, as_json: AsJson = False) -> None:
    """Take a submission back before its scan ends; the attempt is refunded."""
    with client() as server:
        facts = server.post(f"/v1/submissions/{quote(submission)}/cancel")
    if as_json:
        print_json(facts)
    else:
        say(f"[green]✓[/] {escape(submission)} is cancelled, and the attempt is refunded.")


def quota(
    challenge: Annotated[
        str | None, typer.Argument(help="One challenge's id; default: all you are registered for.")
    ] = None,
    named: Annotated[str | None, typer.Option("--challenge", help="The same as an option.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many attempts are used and left, today and in all."""
    if challenge and named:
        raise WrongUse("named_twice", "The challenge is named twice.", "Name it once.")
    challenge = challenge or named
    ledgers = []
    with client() as server:
        names = [challenge] if challenge else [each["id"] for each in server.each("/v1/challenges")]
        for name in names:
            try:
                ledgers.append(server.get("/v1/quota", challenge=name))
            except Problem as problem:
                # Not registered there: nothing to say about it, unless it was asked for by name.
                if challenge or problem.status not in {403, 404}:
                    raise
    if as_json:
        print_json({"quota": ledgers})
        return
    rows = table("challenge", "today", "in all", "returns", whole=("challenge",))
    for ledger in ledgers:
        rows.add_row(
            ledger["challenge"],
            _used(ledger["used_today"], ledger["per_day"]),
            _used(ledger["used_total"], ledger["total"]),
            local_time(ledger.get("returns_at")),
        )
    out.print(rows if ledgers else "You are registered for no challenge.")


def _used(used: int, allowed: int) -> str:
    return f"used {used} of {allowed}, {max(0, allowed - used)} left"


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    for command in (submit, status, report, diff, cancel, quota):
        app.command()(command)
