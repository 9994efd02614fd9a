"""What a child holds of the machine, seen from outside; and the end of the folders it made.

Whoever took over a child may build trees that nobody expects: thousands of levels deep, files without a name. So
nothing here recurses, and nothing is believed to hold still.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_MOST_ENTRIES = 500_000


def memory_of(child: int) -> int:
    """Bytes of memory that only swapping could take back; pages of mapped files are the kernel's to drop."""
    kilobytes = 0
    try:
        with open(f"/proc/{child}/status") as status:
            for line in status:
                if line.startswith(("RssAnon:", "RssShmem:")):
                    kilobytes += int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return kilobytes * 1024


def disk_of(output: Path, child: int) -> int | None:
    """Bytes on disk under `output` and in files that the child holds open without a name; None: too many to count."""
    total = entries = 0
    pending = [os.fspath(output)]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as folder:
            for entry in folder:
                entries += 1
                if entries > _MOST_ENTRIES:
                    return None
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total + _nameless(child)


def _nameless(child: int) -> int:
    total = 0
    descriptors = f"/proc/{child}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(descriptors):
            with contextlib.suppress(OSError):
                facts = os.stat(f"{descriptors}/{name}")
                if facts.st_nlink == 0:
                    total += facts.st_blocks * 512
    return total


def remove_folders(output: Path) -> None:
    """Remove every folder in `output` with all that is in it; files directly in it stay. The child must be dead.

    A folder inside a folder is moved up before it is looked into: no path grows long, however deep the tree is.
    """
    with os.scandir(output) as top:
        pending = [entry.path for entry in top if entry.is_dir(follow_symlinks=False)]
    while pending:
        place = pending.pop()
        os.chmod(place, 0o700)
        with os.scandir(place) as folder:
            for entry in folder:
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.path, 0o700)
                    moved = os.path.join(output, secrets.token_hex(16))
                    os.rename(entry.path, moved)
                    pending.append(moved)
                else:
                    os.unlink(entry.path)
        os.rmdir(place)
