"""The folder that holds all a local platform knows; one platform at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from deploy.local.process import StartFailed

_MARK = "jiebang-state"
_LOCK = "lock"


def default_state() -> Path:
    """`JIEBANG_STATE_DIR`, else `.jiebang` in the current folder."""
    return Path(os.environ.get("JIEBANG_STATE_DIR") or ".jiebang").expanduser().absolute()


def hold(state: Path) -> IO[str]:
    """Takes a state folder (made where it is absent) until the returned file is closed or this process ends.

    Raises:
        StartFailed: another platform runs on it, or the folder holds something else.
    """
    if state.exists() and not (state / _MARK).exists() and any(state.iterdir()):
        raise StartFailed(f"{state} holds something that no platform made; name another folder with --state")
    state.mkdir(parents=True, exist_ok=True)
    (state / _MARK).touch()
    lock = open(state / _LOCK, "a+")  # noqa: SIM115  (the caller closes it)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StartFailed(
            f"A platform runs on {state} already: `make status` (`.venv/bin/python -m deploy.local status`) shows it, "
            "`make down` (`.venv/bin/python -m deploy.local down`) stops it"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def holder(state: Path) -> int | None:
    """The process of the platform that runs on a state folder, None where none does."""
    try:
        lock = open(state / _LOCK)  # noqa: SIM115
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read())
    return None


def clear(state: Path) -> None:
    """Empties a state folder.

    Raises:
        StartFailed: a platform runs on it, or the folder holds something that no platform made.
    """
    with hold(state):
        for entry in state.iterdir():
            if entry.name in {_LOCK, _MARK}:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
