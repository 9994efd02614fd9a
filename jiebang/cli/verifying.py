"""`jiebang verify`: a receipt, checked offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jiebang.cli.login import read_state
from jiebang.cli.terminal import AsJson, Exit, WrongUse, escape, local_time, out, print_json, table, transfer
from jiebang.packing import Package
from jiebang.receipt import verify_receipt


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUse("no_such_path", f"{path} cannot be read: {error.strerror}.", "Name a JSON file.") from None
    except ValueError as error:
        raise WrongUse("not_json", f"{path} is not JSON: {error}.", "Name a JSON file.") from None
    if not isinstance(value, dict):
        raise WrongUse("not_json", f"{path} does not hold a JSON object.", "Name the file as it was handed out.")
    return value


def verify(
    file: Annotated[Path, typer.Argument(help="The receipt, or the answer to a submission that holds it.")],
    dataset: Annotated[
        Path | None, typer.Option(help="Also check that this file or folder is what was handed in.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="The platform's public keys (GET /v1/keys); default: those kept by login.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a receipt without asking anybody."""
    document = read_json(file)
    known = read_json(keys) if keys is not None else read_state("keys.json")
    if not known:
        raise WrongUse("no_keys", "No public keys are kept here.", "Run `jiebang login URL` once, or give --keys FILE.")
    facts = verify_receipt(document.get("receipt", document), known)
    same: bool | None = None
    if dataset is not None:
        package = Package(dataset)
        with transfer("reading", package.length, quiet=as_json) as progress:
            same = package.sha256(progress) == facts.get("digest")
        if not same and dataset.is_dir() and (inside := _handed_in(dataset, facts)) is not None:
            raise WrongUse(
                "name_the_file",
                "A single file was handed in, not this folder.",
                f"It is in the folder: use `--dataset {inside}`.",
            )
    if as_json:
        print_json({"genuine": True, "dataset": same, "receipt": facts})
    else:
        out.print("[green]✓[/] The receipt is genuine.")
        rows = table("", "")
        for name, value in facts.items():
            rows.add_row(f"[dim]{escape(name)}[/]", escape(local_time(value) if name == "received_at" else str(value)))
        out.print(rows)
        if same is not None:
            out.print(
                "[green]✓[/] The dataset is the one that was handed in."
                if same
                else "[red]✗[/] The dataset is [bold]not[/] the one that was handed in."
            )
    if same is False:
        raise typer.Exit(Exit.NO)


def _handed_in(folder: Path, facts: dict[str, Any]) -> Path | None:
    """The file of a folder that is what a receipt speaks of."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink())
    return next((path for path in files if Package(path).sha256() == facts.get("digest")), None)


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command()(verify)
