"""`python -m shared.archive export FILE` and `import FILE`: all of a platform in one file, and back."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from jiebang.errors import JiebangError
from shared import logs
from shared.archive.container import ArchiveRefused
from shared.archive.exporting import Told, export
from shared.archive.importing import import_archive, verified
from shared.failures import DependencyDown, PermanentError, TransientError
from shared.settings import Settings, SettingsError

DONE, REFUSED, WRONG_USE, AWAY = 0, 1, 2, 3
_WIDTH = 30
_STDOUT = Path("-")


class Bar:
    """A line on a terminal's standard error that says how far the work is; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._stage, self._total, self._done, self._drawn = "", 0, 0, 0.0

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of the work."""
        self._stage, self._total, self._done = name, max(total, 1), 0
        self._draw()

    def done(self, count: int) -> None:
        """So much more is done."""
        self._done += count
        if time.monotonic() - self._drawn > 0.1:
            self._draw()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._shown:
            share = min(1.0, self._done / self._total)
            bar = ("━" * round(share * _WIDTH)).ljust(_WIDTH, "·")
            sys.stderr.write(f"\r\x1b[K{self._stage:<12} {bar} {share:4.0%}")
            sys.stderr.flush()


def main() -> int:
    """Do what the command line says; 0 done, 1 refused, 2 wrong use, 3 a server is away."""
    parser = argparse.ArgumentParser(prog="python -m shared.archive", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser("export", help="write an archive of the platform, which may go on working")
    importing = commands.add_parser("import", help="put an archive into a platform whose services are stopped")
    importing.add_argument("--check", action="store_true", help="only verify the file; asks no server")
    exporting.add_argument("file", type=Path, metavar="FILE", help="the archive to write; - writes to standard output")
    importing.add_argument("file", type=Path, metavar="FILE", help="an archive")
    for each in (exporting, importing):
        each.add_argument("--json", action="store_true", help="print JSON for programs instead of words")
    given = parser.parse_args()
    logs.configure("archive", "WARNING")
    bar = Bar()
    try:
        answer, words = _do(given, Told(bar.stage, bar.done))
    except JiebangError as error:
        return _refused(bar, error, as_json=given.json)
    except SettingsError as error:
        wrong = JiebangError("wrong_settings", "These settings cannot be used.", "; ".join(str(error).splitlines()))
        return _refused(bar, wrong, as_json=given.json, code=WRONG_USE)
    except OSError as error:
        wrong = JiebangError("no_such_path", f"{error.filename or given.file}: {error.strerror}.", "Name another file.")
        return _refused(bar, wrong, as_json=given.json, code=WRONG_USE)
    except (DependencyDown, TransientError, PermanentError) as error:
        away = JiebangError("unavailable", f"It could not be done: {error}.", "Nothing is half done; do it again.")
        return _refused(bar, away, as_json=given.json, code=AWAY)
    bar.clear()
    said = sys.stderr if given.command == "export" and given.file == _STDOUT else sys.stdout
    said.write(f"{json.dumps(answer)}\n" if given.json else f"{words}\n")
    return DONE


def _do(given: argparse.Namespace, told: Told) -> tuple[dict[str, Any], str]:
    if given.command == "export":
        if given.file != _STDOUT and given.file.exists():
            raise FileExistsError(17, "is there already", str(given.file))
        target = sys.stdout.buffer if given.file == _STDOUT else given.file
        taken = _run(lambda settings: export(target, settings, told)).summary()
        words = (
            f"{given.file}: {taken['documents']} documents, {taken['records']} events, {taken['objects']} objects, "
            f"as of {taken['taken_at']}"
        )
        return {"file": str(given.file), **taken}, words
    if given.check:
        archive = verified(given.file, told)
        return (
            {"file": str(given.file), "archive": archive.id, **archive.manifest},
            f"{given.file} is whole; taken at {archive.manifest['taken_at']} by {archive.manifest['made_by']}",
        )
    imported = _run(lambda settings: import_archive(given.file, settings, told)).summary()
    words = (
        f"imported: {imported['documents']} documents, {imported['records']} events, {imported['objects']} objects"
        if imported["changed"]
        else f"it was imported on {imported['done_at']}; nothing was changed"
    )
    return {"file": str(given.file), **imported}, words


def _run(work: Callable[[Settings], Coroutine[Any, Any, Any]]) -> Any:
    settings = Settings.load()
    if not settings.objects_url:
        raise SettingsError("JIEBANG_OBJECTS_URL is needed: file:///a/folder or s3://a-bucket/a-prefix")
    return asyncio.run(work(settings))


def _refused(bar: Bar, error: JiebangError, *, as_json: bool, code: int | None = None) -> int:
    bar.clear()
    if as_json:
        sys.stdout.write(json.dumps(error.as_dict()) + "\n")
    else:
        sys.stderr.write(f"{error.title}\n  {error.detail}\n")
    if code is not None:
        return code
    return REFUSED if isinstance(error, ArchiveRefused) else AWAY


if __name__ == "__main__":
    sys.exit(main())
