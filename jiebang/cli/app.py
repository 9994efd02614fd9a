"""All commands in one tree, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, NoReturn

import typer

import jiebang
from jiebang.cli import board, certifying, challenges, describing, judging, login, operating, submissions, verifying
from jiebang.cli.terminal import (
    Exit,
    Unexpected,
    WrongUse,
    complain,
    exit_code,
    prefers_json,
    print_json,
    speak_any_text,
)
from jiebang.errors import JiebangError

app = typer.Typer(
    name="jiebang",
    help="Judge a dataset on this machine, hand it in to a competition, and watch the board.",
    epilog="Exit codes: 0 done · 1 the answer is no · 2 wrong use · 3 could not be reached or done. "
    "With --json, errors too are JSON on standard output.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(jiebang.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


judging.add_to(app)
describing.add_to(app)
login.add_to(app)
challenges.add_to(app)
submissions.add_to(app)
board.add_to(app)
verifying.add_to(app)
certifying.add_to(app)
operating.add_to(app)


def run() -> None:
    """Run the command line; ends the process."""
    as_json = prefers_json(sys.argv)
    speak_any_text(as_json)
    try:
        # Usage errors are typer's to word for people; for programs they come here.
        sys.exit(app(standalone_mode=not as_json) or Exit.DONE)
    except JiebangError as error:
        _end(error, as_json)
    except typer.TyperException as error:
        _end(WrongUse("wrong_usage", error.format_message(), "See the command's --help."), as_json)
    except typer.Abort:
        _end(JiebangError("aborted", "Nothing was done.", "It was not confirmed."), as_json)
    except Exception as error:  # noqa: BLE001  (told in full)
        # A bug: whoever mends it needs the traceback, and a program still gets its one JSON document.
        traceback.print_exc()
        _end(Unexpected(error), as_json)


def _end(error: JiebangError, as_json: bool) -> NoReturn:
    if as_json:
        print_json(error.as_dict())
    else:
        complain(error)
    sys.exit(exit_code(error))
