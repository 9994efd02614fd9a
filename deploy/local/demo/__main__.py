"""`python -m deploy.local.demo`: plays a competition on this machine and leaves nothing running."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer
from rich.console import Console

from deploy.local.demo.overview import overview
from deploy.local.demo.play import Competition, PlayFailed
from deploy.local.demo.receiver import Receiver
from deploy.local.demo.screen import Screen, show_end
from deploy.local.fetch import FetchFailed
from deploy.local.keys import issue
from deploy.local.platform import Platform
from deploy.local.process import StartFailed
from jiebang.errors import JiebangError
from shared.logs import configure

_MARK = ".jiebang-demo"


def demo(
    output: Annotated[Path, typer.Option(help="Folder for reports and receipts; emptied first.")] = Path("demo-output"),
) -> None:
    """Play a competition: three challenges, six teams with real data, three attackers, sponsors who are told."""
    configure("demo", "WARNING")
    console = Console(width=None if sys.stdout.isatty() else 140)
    begun = time.monotonic()
    state = Path(tempfile.mkdtemp(prefix="jiebang-demo-"))
    try:
        _empty(output)
        asyncio.run(_play(console, state, output.absolute()))
    except (StartFailed, FetchFailed, PlayFailed, JiebangError) as failed:
        console.print(f"\n[bold red]The demo failed:[/bold red] {type(failed).__name__}: {failed}", highlight=False)
        console.print(f"The logs of all parts are in {state}/logs.", highlight=False)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(state)
        console.print("\nstopped; nothing is left running")
        raise typer.Exit(130) from None
    shutil.rmtree(state)
    console.print(f"Reports and receipts: open {output.absolute()}/index.html", highlight=False, soft_wrap=True)
    console.print(f"Done in {time.monotonic() - begun:.0f} s; nothing is left running.")


async def _play(console: Console, state: Path, output: Path) -> None:
    _end_on_sigterm()
    platform = Platform(state, say=lambda line: console.print(line, style="dim", highlight=False))
    await platform.start()
    try:
        with Receiver() as receiver:
            competition = Competition(platform.url, await issue(platform, "organiser"), output, receiver)
            with Screen(console, competition, receiver) as screen:
                await _in_thread(competition, screen)
            show_end(console, competition, receiver)
            (output / "index.html").write_text(overview(competition), encoding="utf-8")
    finally:
        console.print("stopping the platform", style="dim")
        await platform.stop()


def _end_on_sigterm() -> None:
    """Lets SIGTERM do what Ctrl-C does: stop the platform, remove its state, end. A second one changes nothing."""
    playing = asyncio.current_task()
    assert playing is not None

    def end() -> None:
        if not playing.cancelling():
            playing.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)


async def _in_thread(competition: Competition, screen: Screen) -> None:
    """Plays in a thread of its own, so that parts that die are started again and Ctrl-C is heard meanwhile."""
    failures: list[BaseException] = []

    def play() -> None:
        try:
            competition.play()
        except BaseException as failure:  # noqa: BLE001  (raised again below)
            failures.append(failure)

    thread = Thread(target=play, name="competition", daemon=True)
    thread.start()
    while thread.is_alive():
        screen.update()
        await asyncio.sleep(0.2)
    screen.update()
    if failures:
        raise failures[0]


def _empty(output: Path) -> None:
    """Empties the folder of an earlier demo, and refuses to touch any other."""
    if output.exists() and any(output.iterdir()):
        if not (output / _MARK).exists():
            raise PlayFailed(f"{output} holds something that no demo made; name another folder with --output")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / _MARK).touch()


if __name__ == "__main__":
    typer.run(demo)
