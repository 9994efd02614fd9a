"""What lies in a folder, however deep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jiebang.errors import DatasetRefused


def entries_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything in a folder and in those below it that is no folder itself, in the order of the names' bytes.

    Links are not followed. Raises DatasetRefused for a folder that cannot be read.
    """
    pending = _entries(folder)
    while pending:  # a loop, for a thousand folders in each other are no reason to fail
        entry = pending.pop()
        if entry.is_dir(follow_symlinks=False):
            pending += _entries(Path(entry.path))
        else:
            yield entry


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of one folder, the first of them last."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name), reverse=True)
    except OSError as error:
        raise DatasetRefused(
            "unreadable",
            f"{str(folder)[:500]} cannot be read: {error.strerror}.",
            "Make it readable for yourself, or take it out of what you hand in.",
        ) from error
