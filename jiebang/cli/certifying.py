"""`jiebang certificate`: make an issuer, issue and revoke certificates, look through the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import quote

import typer

from jiebang.certificate.verification import File, fingerprint
from jiebang.cli.login import client
from jiebang.cli.terminal import (
    AsJson,
    Exit,
    WrongUse,
    check_target,
    complain,
    counted,
    escape,
    local_time,
    out,
    print_json,
    say,
    table,
)

certificate_app = typer.Typer(help="Certificates: make an issuer, issue, revoke, look through the log.")

Folder = Annotated[Path, typer.Option("--issuer", help="The issuer's folder, made by `jiebang certificate issuer`.")]


@certificate_app.command("issuer")
def make_issuer(
    folder: Annotated[Path, typer.Argument(help="The issuer's folder; a new one is made.")],
    days: Annotated[int, typer.Option(min=1, help="How many days the new signing key is valid.")] = 730,
    root_key: Annotated[
        Path | None, typer.Option(help="For another signing key: the root key, where it is kept. Default: the folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an issuer; where there is one, give it another signing key (rotation).

    The root key signs nothing but lists of signing keys. Take root-key.pem out of the folder and keep it where no
    network is; publish the fingerprint of root.pem, by which others know that a certificate is yours.
    """
    from jiebang.certificate.issuer import ROOT, ROOT_KEY, Issuer
    from jiebang.certificate.signing import SigningKey

    now, lives = _now(), timedelta(days=days)
    if (folder / ROOT).exists():
        issuer = Issuer.open(folder)
        key = issuer.add_key(SigningKey.load(root_key or folder / ROOT_KEY), now=now, lives=lives).id
    else:
        issuer = Issuer.create(folder, now=now, lives=lives)
        key = issuer.signing_key(now).id
    print_of_root = fingerprint(issuer.keys.root)
    if as_json:
        print_json({"issuer": str(folder), "root": print_of_root, "key": key, "version": issuer.keys.version})
        return
    say(f"[green]✓[/] Signing key [bold]{key}[/] is valid for {counted(days, 'day')}.")
    say(f"  The root key's fingerprint, to be published: [bold]{print_of_root}[/]")
    if (folder / ROOT_KEY).exists():
        say(f"  Take {escape(str(folder / ROOT_KEY))} to where no network is; it is needed for the next key alone.")


@certificate_app.command("issue")
def issue(
    report: Annotated[Path, typer.Argument(help="The report: what `jiebang score --json` printed.")],
    issuer: Folder,
    output: Annotated[Path, typer.Option(help="The file to hand over, a zip.")],
    dataset: Annotated[
        Path | None, typer.Option(help="The dataset, to be compared with the report; needed above some 10,000 files.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How many days the certificate is valid.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Issue a certificate for a report whose gates were passed and whose grade is not provisional."""
    from jiebang.certificate.issuer import Issuer
    from jiebang.certificate.issuing import Certifiable

    check_target(output)
    try:
        raw = report.read_bytes()
    except OSError as error:
        raise WrongUse("no_such_path", f"{report} cannot be read: {error.strerror}.", "Name a report.") from None
    files = None if dataset is None else _files(dataset)
    judged = Certifiable.of(raw.rstrip(b"\r\n"), files)
    id, handed_over = Issuer.open(issuer).issue(judged, now=_now(), lives=timedelta(days=days))
    try:
        output.write_bytes(handed_over)
    except OSError as error:
        complain(WrongUse("cannot_write", f"{output} could not be written: {error.strerror}.", "Name another file."))
        raise typer.Exit(Exit.UNAVAILABLE) from None
    if as_json:
        print_json({"certificate": id, "file": str(output), "bytes": len(handed_over)})
    else:
        say(f"[green]✓[/] Issued [bold]{id}[/]: {escape(str(output))}.")


@certificate_app.command("get")
def get(
    submission: Annotated[str, typer.Argument(help="The submission's id, or the certificate's: sub_…, crt_….")],
    output: Annotated[Path | None, typer.Option(help="The file to write. Default: its id with .zip, here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the certificate of a submission from the platform, as the file to hand over."""
    check_target(output)
    with client() as server:
        raw = server.get_bytes(f"/v1/certificates/{quote(submission, safe='')}")
    target = output or Path(f"{submission}.zip")
    try:
        target.write_bytes(raw)
    except OSError as error:
        complain(WrongUse("cannot_write", f"{target} could not be written: {error.strerror}.", "Name another file."))
        raise typer.Exit(Exit.UNAVAILABLE) from None
    if as_json:
        print_json({"file": str(target), "bytes": len(raw)})
    else:
        say(f"[green]✓[/] Written to {escape(str(target))}. Check it: `jiebang verify {escape(str(target))}`.")


@certificate_app.command("revoke")
def revoke(
    certificate: Annotated[str, typer.Argument(help="The certificate's id: crt_….")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence that everybody will read.")],
    issuer: Annotated[
        Path | None, typer.Option(help="The issuer's folder. Default: the platform one is logged in to, as organiser.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a certificate, for good; it stays in the log."""
    if issuer is None:
        with client() as server:
            revoked = server.post(f"/v1/certificates/{quote(certificate, safe='')}/revoke", {"reason": reason})
        if as_json:
            print_json(revoked)
        else:
            say(f"[green]✓[/] Revoked {escape(str(revoked['id']))}.")
        return
    from jiebang.certificate.issuer import Issuer

    own = Issuer.open(issuer)
    own.revoke(certificate, reason, now=_now())
    if as_json:
        print_json({"certificate": certificate, "revoked": True, "revocations": str(own.folder / "revocations.json")})
    else:
        say(f"[green]✓[/] Revoked {escape(certificate)}. Publish {escape(str(own.folder / 'revocations.json'))}.")


@certificate_app.command("log")
def show_log(
    issuer: Folder,
    refresh: Annotated[bool, typer.Option(help="Also sign the list of revocations with the present date.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look through the log: every certificate issued and revoked, and whether nothing was taken out or changed."""
    from jiebang.certificate.issuer import Issuer

    own = Issuer.open(issuer)
    entries = own.log()
    if refresh:
        own.revocations(now=_now())
    if as_json:
        print_json({"whole": True, "entries": [entry.as_dict() for entry in entries]})
        return
    rows = table("", "when", "what", "certificate", "reason", right=("",), whole=("certificate",))
    for entry in entries:
        rows.add_row(
            str(entry.seq), local_time(entry.at), entry.event, escape(entry.certificate), escape(entry.reason or "")
        )
    out.print(rows)
    out.print(f"[green]✓[/] The log is whole: {counted(len(entries), 'entry').replace('entrys', 'entries')}.")


def _files(dataset: Path) -> list[File]:
    from jiebang.dataset.opening import open_dataset

    with TemporaryDirectory(prefix="jiebang-") as scratch:
        files = open_dataset([dataset], scratch=Path(scratch)).files
        return [(each.path, each.bytes, each.sha256) for each in files]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.add_typer(certificate_app, name="certificate")
