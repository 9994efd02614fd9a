"""Where the data of a file come from, as descriptors say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jiebang.structure.croissant import is_moment, is_url
from jiebang.structure.descriptors import Source, folder_of

if TYPE_CHECKING:
    from jiebang.structure.package import Package

INTERNET = ("互联网", "网络", "internet", "Internet", "INTERNET", "web", "Web")
"""Sources by which the web is meant, so that the details must be an address."""

_YEAR = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")


def sourced_files(package: Package) -> frozenset[str]:
    """The data files for which a descriptor says source, details and time: of the file itself, else of its folder."""
    own: dict[str, tuple[Source, ...]] = {}
    folders: dict[str, tuple[Source, ...]] = {}
    for descriptor in (*package.data_packages, *package.croissants):
        for path, sources in descriptor.own_sources.items():
            own.setdefault(path, sources)
        if descriptor.sources:
            folders.setdefault(descriptor.folder, descriptor.sources)
    if not own and not folders:
        return frozenset()
    return frozenset(
        file.path for file in package.files if any(map(is_whole, own.get(file.path) or _above(file.path, folders)))
    )


def _above(path: str, folders: dict[str, tuple[Source, ...]]) -> tuple[Source, ...]:
    folder = folder_of(path)
    while folder and folder not in folders:
        folder = folder_of(folder[:-1])
    return folders.get(folder, ())


def is_whole(source: Source) -> bool:
    """Whether a source has a name, details (an address where the web is meant) and a time."""
    begin = source.time.partition("/")[0]
    in_time = is_moment(begin) or _YEAR.fullmatch(begin) is not None
    return (
        bool(source.title and source.details) and in_time and (source.title not in INTERNET or is_url(source.details))
    )
