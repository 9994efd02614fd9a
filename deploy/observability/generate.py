"""Writes every dashboard as JSON for Grafana: `python -m deploy.observability.generate`."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.observability.catalogue import DASHBOARDS
from deploy.observability.queries import FOLDER


def rendered() -> dict[Path, str]:
    """The text of each file."""
    files: dict[Path, str] = {}
    for make in DASHBOARDS:
        made = make()
        path = FOLDER / f"{str(made.uid).removeprefix('jiebang-')}.json"
        files[path] = json.dumps(made, cls=JSONEncoder, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    return files


def write() -> None:
    """Write the files, and remove those of dashboards that are no more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = rendered()
    for stale in set(FOLDER.glob("*.json")) - wanted.keys():
        stale.unlink()
    for path, text in wanted.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
