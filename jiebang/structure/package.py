"""A dataset's package: what its files say of it beside the data, read when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jiebang.gates.content import FileKind
from jiebang.structure import croissant, data_package
from jiebang.structure.descriptors import Declared, Descriptor, folder_of, inside, listed, written
from jiebang.structure.documents import MOST_DOCUMENTS, Section, front_matter, sections
from jiebang.structure.grants import Grant, read_grant
from jiebang.structure.licences import licence_of_text
from jiebang.structure.names import (
    CROISSANT,
    DATA_PACKAGE,
    DECLARATION,
    MANIFEST,
    grant_id,
    is_checksums,
    is_descriptor,
    is_document,
    is_licence,
)
from jiebang.structure.reading import MOST_JSON, Unreadable, read_json_object, read_text

if TYPE_CHECKING:
    from jiebang.dataset.opening import DataFile
    from jiebang.structure.annotated import Annotated

MOST_DESCRIPTORS = 20
"""The most descriptors, licence files and grants of each kind that are read, those nearest to the top first."""

_FRONT_LICENCE = re.compile(r"^licen[cs]e:[ \t]*(?:\n[ \t]*-[ \t]+|\[[ \t]*)?([^\n,\]#]{1,200})", re.MULTILINE)
_CHECKSUM = re.compile(r"([0-9A-Fa-f]{64})[ \t]+[*]?(.+)")


class Package:
    """The files of an opened dataset, by what they say of it. A path that a file names is compared, never opened.

    `demanded` are the paths of the tables' files that count in a challenge, None where all files do;
    `needed_images` is how many images its demand asks for, None where it asks for none.
    """

    def __init__(
        self,
        files: Sequence[DataFile],
        demanded: frozenset[str] | None = None,
        *,
        needed_images: int | None = None,
    ) -> None:
        self.files = tuple(files)
        self.needed_images = needed_images
        self._demanded = demanded

    def for_demand(self, paths: Iterable[str], *, needed_images: int | None) -> Package:
        """The same package where only these data files and demanded images count, so that others dilute nothing."""
        return Package(self.files, frozenset(paths), needed_images=needed_images)

    @property
    def counts_all(self) -> bool:
        """Whether every file counts that is declared or holds data."""
        return self._demanded is None

    @cached_property
    def paths(self) -> frozenset[str]:
        """The paths of all files."""
        return frozenset(file.path for file in self.files)

    @cached_property
    def documents(self) -> tuple[DataFile, ...]:
        """The documents, those nearest to the top first."""
        return self._nearest(is_document, MOST_DOCUMENTS)

    @cached_property
    def texts(self) -> dict[str, str]:
        """The text of each document by its path."""
        return {file.path: read_text(file.location) for file in self.documents}

    @cached_property
    def sections(self) -> tuple[tuple[Section, ...], ...]:
        """The sections of each document."""
        return tuple(tuple(sections(text)) for text in self.texts.values())

    @cached_property
    def croissants(self) -> tuple[Descriptor, ...]:
        """The Croissant descriptors, those nearest to the top first."""
        return self._descriptors(CROISSANT, lambda path, data: croissant.read(path, data, self.paths))

    @cached_property
    def data_packages(self) -> tuple[Descriptor, ...]:
        """The Data Package descriptors, those nearest to the top first."""
        return self._descriptors(DATA_PACKAGE, data_package.read)

    @cached_property
    def manifests(self) -> tuple[Descriptor, ...]:
        """Lists of files and their digests: what `sha256sum` prints, and `manifest.json`."""
        sums = self._nearest(is_checksums, MOST_DESCRIPTORS)
        return (
            *self._descriptors(MANIFEST, _manifest),
            *(_checksums(file.path, read_text(file.location, MOST_JSON)) for file in sums),
        )

    @cached_property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """All of them that name files."""
        return (*self.croissants, *self.data_packages, *self.manifests)

    @cached_property
    def licence_files(self) -> dict[str, str | None]:
        """The SPDX expression of each licence file by its path, None where its text is not known."""
        chosen = self._nearest(is_licence, MOST_DESCRIPTORS)
        return {file.path: licence_of_text(read_text(file.location)) for file in chosen}

    @cached_property
    def document_licences(self) -> dict[str, str]:
        """What the front matter of documents says under `license`, by their paths."""
        found = {}
        for path, text in self.texts.items():
            said = _front_licence(front_matter(text))
            if said:
                found[path] = said
        return found

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        """The grants of one's own."""
        chosen = self._nearest(lambda path: grant_id(path) is not None, MOST_DESCRIPTORS)
        return tuple(read_grant(grant_id(file.path) or "", file.path, read_text(file.location)) for file in chosen)

    @cached_property
    def described_by(self) -> frozenset[str]:
        """The paths of the files that describe the dataset, whether or not they could be read."""
        return frozenset(
            (
                *(file.path for file in self.documents),
                *(descriptor.path for descriptor in self.descriptors),
                *self.licence_files,
                *(grant.path for grant in self.grants),
                *(file.path for file in self.files if is_descriptor(file.path, DECLARATION)),
            )
        )

    @cached_property
    def annotated(self) -> Annotated:
        """The images that count, and what annotates them; none in a challenge whose demand is of tables alone."""
        from jiebang.structure.annotated import Annotated

        return Annotated(self.files if self._demanded is None or self.needed_images is not None else [])

    @cached_property
    def data_files(self) -> tuple[DataFile, ...]:
        """The files that hold data and count: all but those that describe it."""
        counted = self.paths if self._demanded is None else self._demanded | self.annotated.paths
        return tuple(file for file in self.files if file.path in counted and file.path not in self.described_by)

    def _nearest(self, named: Callable[[str], bool], most: int) -> tuple[DataFile, ...]:
        found = [file for file in self.files if file.kind is FileKind.OTHER and named(file.path)]
        return tuple(sorted(found, key=lambda file: file.path.count("/"))[:most])

    def _descriptors(self, name: str, read: Callable[[str, dict[str, Any]], Descriptor]) -> tuple[Descriptor, ...]:
        found = []
        for file in self._nearest(lambda path: is_descriptor(path, name), MOST_DESCRIPTORS):
            try:
                found.append(read(file.path, read_json_object(file.location)))
            except Unreadable as unreadable:
                found.append(Descriptor(file.path, error=str(unreadable)))
        return tuple(found)


def _manifest(path: str, data: dict[str, Any]) -> Descriptor:
    """`{"files": [{"path": …, "sha256": …}]}`."""
    files = []
    for entry in listed(data.get("files")):
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            digest = entry.get("sha256")
            known = digest.lower() if isinstance(digest, str) else None
            files.append(Declared(inside(folder_of(path), entry["path"]), known, path, entry["path"]))
    return Descriptor(path, data, files=tuple(files))


def _checksums(path: str, text: str) -> Descriptor:
    folder = folder_of(path)
    files = []
    for line in text.split("\n"):
        match = _CHECKSUM.fullmatch(line.strip())
        if match:
            files.append(Declared(inside(folder, match[2]), match[1].lower(), path, match[2]))
    return Descriptor(path, files=tuple(files))


def _front_licence(matter: str) -> str:
    """The `license` of a front matter: what stands behind it, or as the first item of a list below it.

    It is found by its line, since a YAML parser takes a minute for sixty thousand brackets.
    """
    match = _FRONT_LICENCE.search(matter)
    return written(match[1].strip("\"' \t")) if match else ""
