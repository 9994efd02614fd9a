"""`python -m deploy.local`: the whole platform on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from deploy.local.fetch import FetchFailed, fetch_all
from deploy.local.keys import issue_keys
from deploy.local.platform import Platform
from deploy.local.ports import is_free, stored_port
from deploy.local.process import StartFailed
from deploy.local.prometheus import find_prometheus
from deploy.local.services import SERVICE_PROCESSES
from deploy.local.state import clear, default_state, holder
from shared.logs import configure

app = typer.Typer(help="The whole platform on this machine, without Docker.", no_args_is_help=True)

State = Annotated[Path | None, typer.Option("--state", help="Folder of its state. [default: .jiebang]")]


@app.command()
def fetch() -> None:
    """Fetch Kafka, MongoDB and Java into the cache, where they are missing."""
    programs = fetch_all()
    print(f"java        {programs.java}\nkafka       {programs.kafka_jars}\nmongod      {programs.mongod}")
    try:
        print(f"prometheus  {find_prometheus()}")
    except StartFailed as missing:
        print(f"prometheus  none, which only --prometheus, `make observe` and the tests of the alerts need. {missing}")


@app.command()
def up(
    state: State = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew: remove what the last run left.")] = False,
    port: Annotated[
        int | None, typer.Option(help="Port of the API. [default: one chosen once]", envvar="JIEBANG_GATEWAY_PORT")
    ] = None,
    restart: Annotated[bool, typer.Option(help="Start parts again that end.")] = True,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Run a Prometheus too, with the alerts loaded. It must be installed.")
    ] = False,
) -> None:
    """Start everything, print the address and one key per role, and keep it up until Ctrl-C."""
    folder = state or default_state()
    if fresh:
        clear(folder)
        for given in ("JIEBANG_KAFKA_BOOTSTRAP", "JIEBANG_MONGO_URI"):
            if given in os.environ:
                print(f"what the server of {given} holds is kept: --fresh clears this machine's state alone")
    platform = Platform(folder, gateway_port=port, restart=restart, prometheus=prometheus)
    ended = asyncio.run(_keep_up(platform, prometheus=prometheus))
    raise typer.Exit(1 if ended else 0)


async def _keep_up(platform: Platform, *, prometheus: bool) -> bool:
    """Runs the platform until a signal; returns whether a part ended that was not to be started again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, stop.set)
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(platform.start())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            print("stopping before everything was up", file=sys.stderr)
            starting.cancel()
            await asyncio.wait({starting})
            return False
        await starting
        for role, key in (await issue_keys(platform)).items():
            print(f"{role:<10} {key}")
        if prometheus:
            print(f"{'Prometheus':<10} {platform.prometheus_url}")
        print(f"{'API':<10} {platform.url}\n{'state':<10} {platform.state}\nCtrl-C stops it.", flush=True)
        ended = asyncio.create_task(platform.ended())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            print(ended.result(), file=sys.stderr)
            return True
        ended.cancel()
        print("stopping", file=sys.stderr)
        return False
    finally:
        stopping.cancel()
        await platform.stop()


@app.command()
def status(state: State = None) -> None:
    """Show which parts of a running platform are ready. Exit code 1 where not all are."""
    folder = state or default_state()
    if holder(folder) is None or not (folder / "platform.json").exists():
        _say_that_none_is_up(folder)
        raise typer.Exit(1)
    known = json.loads((folder / "platform.json").read_text())
    table = Table("part", "state", "address")
    answers: list[bool] = []
    for name in ("kafka", "mongo"):
        given = not (folder / name).exists()
        answers.append(given or not is_free(stored_port(folder / name, name)))
        table.add_row(name, "given" if given else "ready" if answers[-1] else "[red]away[/red]", known[name])
    for row in SERVICE_PROCESSES:
        internal = stored_port(folder, f"{row.name}.internal")
        ready, words = _readiness(internal)
        answers.append(ready)
        table.add_row(row.name, words if ready else f"[red]{words}[/red]", f"http://127.0.0.1:{internal}/readyz")
    for name, address in (("gateway", known["url"]), ("prometheus", known.get("prometheus"))):
        if address is not None:
            answers.append(not is_free(int(address.rpartition(":")[2])))
            table.add_row(name, "ready" if answers[-1] else "[red]away[/red]", address)
    Console().print(table)
    raise typer.Exit(0 if all(answers) else 1)


def _say_that_none_is_up(folder: Path) -> None:
    print(f"no platform is up on {folder}: `make dev` (`.venv/bin/python -m deploy.local up`) starts one")


def _readiness(port: int) -> tuple[bool, str]:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2, trust_env=False)
    except httpx.TransportError:
        return False, "away"
    return answer.status_code == 200, "ready" if answer.status_code == 200 else f"not ready: {answer.text[:200]}"


@app.command()
def down(state: State = None) -> None:
    """Stop a running platform and wait until all of it has ended."""
    folder = state or default_state()
    process = holder(folder)
    if process is None:
        _say_that_none_is_up(folder)
        return
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + 90
    while holder(folder) is not None:
        if time.monotonic() > deadline:
            print(f"the platform (process {process}) has not ended after 90 s", file=sys.stderr)
            raise typer.Exit(1)
        time.sleep(0.1)
    print("stopped")


def main() -> None:
    """The command line; what keeps a part from starting is said in words, not as a traceback."""
    configure("local", "WARNING")
    try:
        app()
    except (StartFailed, FetchFailed) as failed:
        print(f"\n{failed}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
