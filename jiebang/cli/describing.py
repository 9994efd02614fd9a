"""`jiebang describe`: drafts of what describes a dataset, so that nobody starts from an empty file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jiebang.cli.terminal import AsJson, Exit, WrongUse, counted, escape, out, print_json, stages, write_target

_SHOWN = 12


def describe(
    path: Annotated[Path, typer.Argument(help="A file, a folder or an archive.")],
    draft: Annotated[
        list[str] | None,
        typer.Option(help="What to draft: croissant.json, datapackage.json, declare.yaml, README.md; repeat for more."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder to write into; default: the dataset's own, or the file's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draft descriptors from the data: types, keys, times, labels, digests. What only you know is marked FILL IN.

    Without --draft it writes croissant.json and datapackage.json.
    """
    from jiebang.structure.drafts import DRAFTS
    from jiebang.structure.drafts import describe as drafts_of
    from jiebang.structure.names import CROISSANT, DATA_PACKAGE

    wanted = list(dict.fromkeys(draft or [CROISSANT, DATA_PACKAGE]))
    for name in wanted:
        if name not in DRAFTS:
            raise WrongUse("unknown_draft", f"{name} is nothing that is drafted.", f"Name one of {', '.join(DRAFTS)}.")
    folder = output or (path if path.is_dir() else path.absolute().parent)
    _check(folder, wanted, force)
    with stages(quiet=as_json) as progress:
        drafts = drafts_of(path, wanted, progress)
    for one in drafts:
        if not write_target(folder / one.name, one.text):
            raise typer.Exit(Exit.UNAVAILABLE)
    if as_json:
        print_json({"drafts": [{"path": str(folder / one.name), "to_fill_in": list(one.to_fill_in)} for one in drafts]})
        return
    for one in drafts:
        left = f"{counted(len(one.to_fill_in), 'place')} to fill in" if one.to_fill_in else "nothing to fill in"
        out.print(f"[green]✓[/] {escape(str(folder / one.name))}: {left}")
        for place in one.to_fill_in[:_SHOWN]:
            out.print(f"    [dim]{escape(place)}[/]")
        if len(one.to_fill_in) > _SHOWN:
            out.print(f"    [dim]and {len(one.to_fill_in) - _SHOWN} more; search for FILL IN[/]")
    out.print("Correct what was guessed from the data: types, keys, labels. Then `jiebang score` reads it.")


def _check(folder: Path, wanted: list[str], force: bool) -> None:
    """Raise WrongUse for what may not be written, before the work for it is done."""
    if not folder.is_dir():
        raise WrongUse("cannot_write", f"There is no folder {folder}.", "Make it first, or name another by --output.")
    there = [name for name in wanted if (folder / name).exists() or (folder / name).is_symlink()]
    if there and not force:
        raise WrongUse(
            "would_overwrite",
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already.",
            "Use --force to overwrite, or --output to write elsewhere.",
        )


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command()(describe)
