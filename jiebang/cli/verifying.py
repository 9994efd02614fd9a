"""`jiebang verify`: a receipt or a certificate, checked offline."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from jiebang.certificate.verification import (
    STEPS,
    File,
    Verification,
    Wrong,
    canonical,
    fingerprint,
    printable,
    read_bundle,
    root_key,
    unreadable,
    verify_bundle,
)
from jiebang.cli.login import ISSUER, read_state
from jiebang.cli.terminal import (
    AsJson,
    Exit,
    WrongUse,
    escape,
    grade_style,
    local_time,
    out,
    print_json,
    table,
    transfer,
)
from jiebang.packing import Package
from jiebang.receipt import verify_receipt

_MARKS = {"passed": "[green]✓[/]", "failed": "[bold red]✗[/]", "skipped": "[dim]–[/]", "not_reached": "[dim]·[/]"}


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
    file: Annotated[
        Path, typer.Argument(help="A certificate (its zip, or the folder it was unpacked to), or a receipt.")
    ],
    dataset: Annotated[
        Path | None, typer.Option(help="Also check that this file or folder is what was certified, or handed in.")
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="For a certificate: the issuer's root key, a PEM file or its SHA-256. Default: the one kept by login."
        ),
    ] = None,
    revocations: Annotated[
        Path | None, typer.Option(help="For a certificate: a newer list of revocations than the one in it.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="For a receipt: the platform's public keys (GET /v1/keys). For a certificate: a newer list of keys "
            "(GET /v1/certificates/keys). Default: those kept by login."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a certificate or a receipt without asking anybody.

    Each step of a certificate is told with a line: the root key, the list of keys, the signature, the manifest, every
    file of the dataset, the rubric, the report, the score computed anew from the report's integers, and revocation.
    """
    if file.is_dir() or file.suffix.lower() == ".zip" or zipfile.is_zipfile(file):
        _verify_certificate(file, dataset, root, keys, revocations, as_json)
    else:
        _verify_receipt(file, dataset, keys, as_json)


def _verify_certificate(
    file: Path, dataset: Path | None, root: str | None, keys: Path | None, revocations: Path | None, as_json: bool
) -> None:
    if not file.exists():
        raise WrongUse("no_such_path", f"There is nothing at {file}.", "Name the certificate's file.")
    kept = read_state(ISSUER)
    known = _root(root, kept)
    newer_keys = None if keys is None else _signed_keys(keys)
    if keys is None and kept and kept["root"] == (fingerprint(known) if isinstance(known, bytes) else known):
        newer_keys = canonical(kept["keys"])
    newer = None if revocations is None else _bytes(revocations)
    files = None if dataset is None else _files(dataset)
    try:
        parts = read_bundle(file)
        now = datetime.now(UTC)
        found = verify_bundle(parts, root=known, now=now, files=files, keys=newer_keys, revocations=newer)
    except Wrong as wrong:
        found = unreadable(wrong)
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found)
    if not found.passed:
        raise typer.Exit(Exit.NO)


def _root(named: str | None, kept: dict[str, Any]) -> bytes | str | None:
    """The issuer's root key: as named, else as login has kept it.

    Never one that lies beside the certificate: unzip puts the certificate's own there.
    """
    try:
        return root_key(named) if named is not None else kept.get("root")
    except OSError as error:
        raise WrongUse("no_root_key", f"{named} cannot be read: {error.strerror}.", "Name a PEM file.") from None
    except Wrong as wrong:
        raise WrongUse("no_root_key", f"{named}: {wrong}.", "Name the issuer's root key.") from None


def _files(dataset: Path) -> list[File]:
    """The files of a dataset as the engine opens it, archives too.

    In a folder that holds the one file that was handed in, it is that file.
    """
    from jiebang.dataset.opening import open_dataset

    def opened(path: Path) -> list[File]:
        with TemporaryDirectory(prefix="jiebang-") as scratch:
            files = open_dataset([path], scratch=Path(scratch)).files
            return [(each.path, each.bytes, each.sha256) for each in files]

    found = opened(dataset)
    inside = [each for each in dataset.iterdir() if not each.name.startswith(".")] if dataset.is_dir() else []
    if len(inside) == 1 and inside[0].is_file() and any("/" in path for path, _, _ in found):
        return opened(inside[0])
    return found


def _signed_keys(path: Path) -> bytes:
    """A list of keys as the root key has signed it: the file of an issuer, or the platform's answer that holds it."""
    document = read_json(path)
    return canonical(document["keys"]) if "payload" not in document and "keys" in document else _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongUse("no_such_path", f"{path} cannot be read: {error.strerror}.", "Name a file.") from None


def _show(found: Verification) -> None:
    for step in found.steps:
        style, detail = "red" if step.outcome == "failed" else "dim", escape(printable(step.detail))
        out.print(f"{_MARKS[step.outcome]} {STEPS[step.id]}: [{style}]{detail}[/]")
    if found.failed is not None or found.statement is None:
        out.print("[bold red]This is no valid certificate.[/] Trust nothing that it says.")
        return
    predicate = found.statement["predicate"]
    result = predicate["result"]
    grade = f"[{grade_style(result['grade'])}]{escape(result['grade'])}[/]"
    out.print(
        f"[bold green]The certificate is valid.[/] Total [bold]{escape(result['total'])}[/], grade {grade}, coverage "
        f"{escape(result['coverage'])}, by rubric {escape(predicate['policy']['id'])}; "
        f"until {escape(local_time(predicate['expires_at']))}."
    )
    out.print("It does not claim:")
    for sentence in predicate["not_claimed"].values():
        out.print(f"  [dim]{escape(str(sentence))}[/]")


def _verify_receipt(file: Path, dataset: Path | None, keys: Path | None, as_json: bool) -> None:
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
