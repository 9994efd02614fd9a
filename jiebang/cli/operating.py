"""`jiebang ops`: dead letters, halted streams, rebuilds, archives, why something waits, and whether all is well."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

import jiebang
from jiebang.cli.login import client, current_login
from jiebang.cli.terminal import AsJson, Exit, WrongUse, counted, escape, local_time, out, print_json, say, table
from jiebang.client import Client, Problem
from jiebang.errors import JiebangError

ops_app = typer.Typer(help="For operators.", no_args_is_help=True)
dlq_app = typer.Typer(help="Dead letters: what a service could not handle.", no_args_is_help=True)
ops_app.add_typer(dlq_app, name="dlq")
stream_app = typer.Typer(help="Streams that a service stopped reading.", no_args_is_help=True)
ops_app.add_typer(stream_app, name="stream")

_MOST_LETTERS = 1000
CONSUMING_SERVICES = ("ingest", "scoring", "ranking", "notify")

Service = Annotated[str, typer.Argument(help=f"One of {', '.join(CONSUMING_SERVICES)}.")]
Letters = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.")]


def _consuming(service: str) -> str:
    """A service that can have dead letters; raises WrongUse for any other name."""
    if service not in CONSUMING_SERVICES:
        choices = ", ".join(CONSUMING_SERVICES)
        raise WrongUse("unknown_service", f"No service {service} has dead letters.", f"Choose from {choices}.")
    return service


def _letters_path(service: str, rest: str = "") -> str:
    return _path(_consuming(service), f"dead-letters{rest}")


def _path(service: str, rest: str) -> str:
    return f"/v1/ops/{quote(service)}/{rest}"


@dlq_app.command("list")
def list_letters(
    service: Annotated[str | None, typer.Argument(help="One service; default: all.")] = None, as_json: AsJson = False
) -> None:
    """The dead letters of a service, or of all."""
    letters = []
    with client() as server:
        for name in [service] if service else CONSUMING_SERVICES:
            letters += [{"service": name, **letter} for letter in server.each(_letters_path(name), limit=_MOST_LETTERS)]
    if as_json:
        print_json({"dead_letters": letters})
        return
    rows = table("service", "id", "type", "reason", "attempts", "since", "error", right=("attempts",), whole=("id",))
    for letter in letters:
        rows.add_row(
            letter["service"],
            escape(str(letter["id"])),
            escape(str(letter.get("type") or "")),
            escape(str(letter.get("reason") or "")),
            str(letter.get("attempts") or ""),
            local_time(letter.get("buried_at")),
            escape(str(letter.get("error") or "")),
        )
    out.print(rows if letters else "[green]✓[/] No dead letters.")


@dlq_app.command("show")
def show_letter(service: Service, letter: str, as_json: AsJson = False) -> None:
    """One dead letter: where it came from, what it holds, why it died."""
    with client() as server:
        facts = server.get(_letters_path(service, f"/{quote(letter, safe='')}"))
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)


@dlq_app.command("redrive")
def redrive_letters(
    service: Service,
    letters: Letters = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, in their order.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hand dead letters to their service again, in their order, after what killed them was mended.

    The first that fails holds back the later ones of its key. Ends with 1 when one has failed again.
    """
    if bool(letters) == every:
        raise WrongUse("which_letters", "Which dead letters?", "Give their ids, or --all; not both.")
    with client() as server:
        answer = server.post(_letters_path(service, "/redrive"), {"all": True} if every else {"ids": letters})
    _done(answer, as_json, f"{len(answer['redriven'])} redriven, {len(answer['failed'])} failed again.")
    if answer["failed"]:
        raise typer.Exit(Exit.NO)


@dlq_app.command("discard")
def discard_letters(
    service: Service,
    letters: Annotated[list[str], typer.Argument(help="Ids of dead letters.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give dead letters up for good."""
    _consuming(service)
    if not yes and not as_json:
        typer.confirm(f"Discard {counted(len(letters), 'dead letter')} of {service} for good?", abort=True)
    with client() as server:
        answer = server.post(_letters_path(service, "/discard"), {"ids": letters})
    _done(answer, as_json, "Discarded.")


@stream_app.command("list")
def list_streams(
    service: Annotated[str | None, typer.Argument(help="One service; default: all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are read.")] = False,
    as_json: AsJson = False,
) -> None:
    """The streams that a service has halted because too much of them became dead letters, or those of all services."""
    streams = []
    with client() as server:
        for name in [service] if service else CONSUMING_SERVICES:
            streams += [{"service": name, **stream} for stream in _streams(server, name) if every or stream["halted"]]
    if as_json:
        print_json({"streams": streams})
        return
    rows = table("service", "stream", "halted in", "since", "why", whole=("stream",))
    for stream in streams:
        for halt in stream["halted"] or [{}]:
            rows.add_row(
                stream["service"],
                stream["stream"],
                escape(str(halt.get("process") or "-")),
                local_time(halt.get("since")),
                escape(str(halt.get("why") or "")),
            )
    out.print(rows if streams else "[green]✓[/] No stream is halted.")


@stream_app.command("resume")
def resume_stream(
    service: Service,
    stream: Annotated[str, typer.Argument(help="Its name: scoring.scores, say.")],
    as_json: AsJson = False,
) -> None:
    """Let a service read a stream on, in all of its processes, after what halted it was mended."""
    with client() as server:
        answer = server.post(_path(_consuming(service), f"streams/{quote(stream, safe='')}/resume"))
    _done(
        answer, as_json, f"{service} reads {stream} on." if answer["resumed"] else f"{service} had not halted {stream}."
    )


def _streams(server: Client, service: str) -> list[dict[str, Any]]:
    streams: list[dict[str, Any]] = server.get(_path(_consuming(service), "streams"))["streams"]
    return streams


@ops_app.command("rebuild")
def rebuild(
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it has ended.")] = True,
    drop: Annotated[
        bool, typer.Option("--drop", help="Also switch to a board that lacks entries, since no event tells of them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the leaderboards anew from the events, compare, and switch to them.

    Ends with 1 when a rebuilt board is not the same as the living one was, and with 3 when the rebuild failed. A board
    with entries that no event tells of stays as it is: the events may have been lost.
    """
    with client() as server:
        facts = server.post(_path("ranking", "rebuilds"), {"drop": drop})
        while wait and facts["state"] not in {"done", "failed"}:
            time.sleep(0.5)
            facts = server.get(_path("ranking", f"rebuilds/{quote(str(facts['id']))}"))
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)
    if facts["state"] == "failed":
        raise typer.Exit(Exit.UNAVAILABLE)
    if facts.get("same") is False:
        raise typer.Exit(Exit.NO)


@ops_app.command("why")
def why(submission: str, as_json: AsJson = False) -> None:
    """What a submission waits for, and since when."""
    with client() as server:
        facts = server.get(_path("ingest", f"why/{quote(submission)}"))
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)


@ops_app.command("requeue")
def requeue(
    submission: str,
    service: Annotated[
        str | None, typer.Option(help="ingest (its scan) or scoring (its score); default: whichever has it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a submission's work back into its queue."""
    with client() as server:
        answer = _requeue(server, submission, service)
    _done(answer, as_json, "It is in the queue again.")


def _requeue(server: Client, submission: str, service: str | None) -> Any:
    services = [service] if service else ["ingest", "scoring"]
    for name in services:
        try:
            return server.post(_path(name, f"requeue/{quote(submission)}"))
        except Problem as problem:
            # The work is past this service, or has not come to it yet: the next one may have it.
            if problem.status not in {404, 409} or name == services[-1]:
                raise
    raise WrongUse("which_service", "No service is named.", "Name ingest or scoring.")


@ops_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="The archive to write, none that is there; - for standard output.")],
    as_json: AsJson = False,
) -> None:
    """Write all of the platform into one file: challenges, teams, submissions, reports, boards, and what is under way.

    Runs where the services run, with their settings (JIEBANG_MONGO_URI and the like); they may go on working.
    """
    _archive("export", file, as_json)


@ops_app.command("import")
def import_archive(
    file: Annotated[Path, typer.Argument(help="An archive that `jiebang ops export` wrote.")],
    check: Annotated[bool, typer.Option("--check", help="Only verify the file; asks no server.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put an archive back, where none of it is or not all of it. Twice is as good as once.

    Runs where the services run, with their settings, while they are stopped. Ends with 1, and has written nothing, when
    the archive is damaged or something else is here.
    """
    _archive("import", file, as_json, *(["--check"] if check else []))


def _archive(command: str, file: Path, as_json: bool, *options: str) -> None:
    """The services' own tool: it goes to the database, the brokers and the objects themselves, not to the API."""
    # Beside jiebang in its repository; in the image, where every process is started.
    places = (Path(jiebang.__file__).parents[1], Path.cwd())
    root = next((place for place in places if (place / "shared" / "archive").is_dir()), None)
    if root is None:
        raise WrongUse(
            "no_platform_here",
            "Only jiebang is installed here, not the platform.",
            f"Run it where the services run: `python -m shared.archive {command} FILE` in a pod of theirs.",
        )
    words = [sys.executable, "-m", "shared.archive", command, str(file), *options, *(["--json"] if as_json else [])]
    ended = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(root)})
    if ended.returncode:
        raise typer.Exit(ended.returncode)


@ops_app.command("doctor")
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine and at the platform, and say what is wrong."""
    findings = [*_this_machine(), *_the_platform()]
    well = all(check["well"] is not False for check in findings)
    if as_json:
        print_json({"checks": findings, "well": well})
    else:
        rows = table("", "check", "finding")
        for check in findings:
            rows.add_row(_MARKS[check["well"]], check["name"], escape(check["finding"]))
        out.print(rows)
    if not well:
        raise typer.Exit(Exit.NO)


_MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]–[/]"}


def _finding(name: str, well: bool | None, finding: str) -> dict[str, Any]:
    """One line of the doctor; `well` is None for what could not be looked at, which is nobody's fault."""
    return {"name": name, "well": well, "finding": finding}


def _this_machine() -> list[dict[str, Any]]:
    from jiebang.sandbox import self_test

    wrong = self_test()
    return [
        _finding("jiebang", True, f"{jiebang.__version__} on Python {platform.python_version()}, {sys.platform}"),
        _finding("sandbox", not wrong, " ".join(wrong) or "escape fails"),
    ]


def _the_platform() -> list[dict[str, Any]]:
    try:
        login = current_login()
    except WrongUse as error:
        return [_finding("platform", None, f"not looked at: {error.title} {error.detail}")]
    with Client(login.url, login.key, patience=2) as server:
        checks: list[tuple[str, Callable[[], str]]] = [
            ("board", lambda: counted(len(list(server.each("/v1/challenges"))), "challenge")),
            ("ingest", lambda: counted(len(server.get("/v1/keys")["keys"]), "public key")),
        ]
        for service in CONSUMING_SERVICES:
            checks.append((f"{service}: dead letters", lambda service=service: _no_letters(server, service)))  # type: ignore[misc]
            checks.append((f"{service}: streams", lambda service=service: _none_halted(server, service)))  # type: ignore[misc]
        return [_checked(name, check) for name, check in checks]


class _Unwell(Exception):
    """The platform answers, and what it answers is a trouble."""


class _NotAllowed(Exception):
    """The key in use may not ask this."""


def _no_letters(server: Client, service: str) -> str:
    with _for_operators():
        count = len(list(server.each(_letters_path(service), limit=_MOST_LETTERS)))
    if count:
        raise _Unwell(f"{count}; see `jiebang ops dlq list {service}`")
    return "none"


def _none_halted(server: Client, service: str) -> str:
    with _for_operators():
        streams = _streams(server, service)
    if halted := [stream["stream"] for stream in streams if stream["halted"]]:
        raise _Unwell(f"{', '.join(halted)} halted; see `jiebang ops stream list {service}`")
    return f"{len(streams)} read"


@contextmanager
def _for_operators() -> Iterator[None]:
    """Around what only operators may ask."""
    try:
        yield
    except Problem as problem:
        if problem.status == 403:
            raise _NotAllowed("not checked: needs an operator's key") from None
        raise


def _checked(name: str, check: Callable[[], str]) -> dict[str, Any]:
    begun = time.monotonic()
    try:
        finding = check()
    except JiebangError as error:
        return _finding(name, False, f"{error.title} {error.detail}")
    except _Unwell as error:
        return _finding(name, False, str(error))
    except _NotAllowed as error:
        return _finding(name, None, str(error))
    return _finding(name, True, f"{finding} ({(time.monotonic() - begun) * 1000:.0f} ms)")


def _done(answer: Any, as_json: bool, words: str) -> None:
    if as_json:
        print_json(answer)
    else:
        say(f"[green]✓[/] {words}")
        if answer:
            show_facts(answer)


def show_facts(facts: dict[str, Any]) -> None:
    """A JSON object as two columns, what is nested under dotted names."""
    rows = table("", "")
    for name, value in _flat(facts):
        words = local_time(value) if isinstance(value, str) else str(value)
        rows.add_row(f"[dim]{escape(name)}[/]", escape(words))
    out.print(rows)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _flat(inner, f"{name}.{number}" if name else str(number))
    elif value is not None:
        yield name, value


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.add_typer(ops_app, name="ops")
