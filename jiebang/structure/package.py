"""A dataset's package: what its files say of it beside the data, read when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from jiebang.gates.content import FileKind
from jiebang.structure.documents import MOST_DOCUMENTS, Section, is_document, sections
from jiebang.structure.reading import read_text

if TYPE_CHECKING:
    from jiebang.dataset.opening import DataFile


class Package:
    """The files of an opened dataset, by what they say of it. A path that a file names is compared, never opened."""

    def __init__(self, files: Sequence[DataFile]) -> None:
        self.files = tuple(files)

    @cached_property
    def documents(self) -> tuple[DataFile, ...]:
        """The documents, those nearest to the top first."""
        named = [file for file in self.files if file.kind is FileKind.OTHER and is_document(file.path)]
        return tuple(sorted(named, key=lambda file: file.path.count("/"))[:MOST_DOCUMENTS])

    @cached_property
    def sections(self) -> tuple[tuple[Section, ...], ...]:
        """The sections of each document."""
        return tuple(tuple(sections(read_text(file.location))) for file in self.documents)

    @property
    def described_by(self) -> frozenset[str]:
        """The paths of the files that are read for what they say of the dataset."""
        return frozenset(file.path for file in self.documents)
