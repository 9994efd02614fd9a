"""All commands in one tree, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import jiebang
from jiebang.cli import board, challenges, judging, login, operating, submissions, verifying
from jiebang.cli.terminal import complain, exit_code, prefers_json, print_json
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
login.add_to(app)
challenges.add_to(app)
submissions.add_to(app)
board.add_to(app)
verifying.add_to(app)
operating.add_to(app)


def run() -> None:
    """Run the command line; ends the process."""
    try:
        app()
    except JiebangError as error:
        if prefers_json(sys.argv):
            print_json(error.as_dict())
        else:
            complain(error)
        sys.exit(exit_code(error))
