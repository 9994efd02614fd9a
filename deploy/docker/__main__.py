"""`make image`: builds the image in both variants and writes them to a folder, each with its bill of materials."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.docker.containers import CannotBuild, find_containers
from deploy.docker.images import VARIANTS, archive, bill_of_materials, build, compressed_size, find_base
from deploy.local.fetch import FetchFailed, say

app = typer.Typer(add_completion=False)


@app.command()
def image(
    base: Annotated[
        str | None,
        typer.Option(help="`debootstrap`, or an image's name. [default: the official one, else debootstrap]"),
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder of the archives.")] = Path("dist"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Use no layer of an earlier build.")] = False,
) -> None:
    """Build both variants of the platform's image."""
    containers = find_containers()
    chosen = find_base(containers, base)
    for variant in VARIANTS:
        begun = time.monotonic()
        built = build(containers, chosen, variant, fresh=fresh)
        packed = archive(containers, variant, to)
        bill = to / packed.name.replace(".oci.tar", ".sbom.json")
        bill.write_text(bill_of_materials(containers, variant), "utf-8")
        say(f"{built.name}: built in {time.monotonic() - begun:.0f} s, with {bill}")
        compressed = compressed_size(packed)
        sizes = [f"{compressed / 1e6:.0f} MB compressed"] if compressed is not None else []
        typer.echo(f"{packed}  {', '.join([*sizes, f'{built.size / 1e6:.0f} MB uncompressed'])}")


def main() -> None:
    """The command line; what keeps an image from being built is said in words."""
    try:
        app()
    except (CannotBuild, FetchFailed) as failed:
        sys.stderr.write(f"\n{failed}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
