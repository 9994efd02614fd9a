"""The licence of each data file: what is said nearest to it by descriptors, documents and licence files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiebang.structure.descriptors import folder_of
from jiebang.structure.licences import alike, expression, grants_of
from jiebang.structure.names import GRANT

if TYPE_CHECKING:
    from jiebang.structure.package import Package


@dataclass(frozen=True)
class Licensed:
    """A file's licence as an SPDX expression, or None and why there is none."""

    path: str
    expression: str | None
    why: str = ""


@dataclass(frozen=True)
class _Statement:
    by: str
    texts: tuple[str | None, ...]

    def meaning(self) -> str | None:
        """All that it names together; None when a part of it means nothing."""
        parts = [None if text is None else expression(text) for text in self.texts]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        return known[0] if len(known) == 1 else " AND ".join(f"({part})" for part in known)


class Licensing:
    """The licences of a package; `says_anything` is whether there is any statement at all."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._own: dict[str, _Statement] = {}
        self._folders: dict[str, list[_Statement]] = defaultdict(list)
        for descriptor in (*package.data_packages, *package.croissants):
            if descriptor.licences:
                self._folders[descriptor.folder].append(_Statement(descriptor.path, descriptor.licences))
            for path, texts in descriptor.own_licences.items():
                self._own[path] = _Statement(descriptor.path, texts)
        for path, said in package.document_licences.items():
            self._folders[folder_of(path)].append(_Statement(path, (said,)))
        for path, known in package.licence_files.items():
            self._folders[folder_of(path)].append(_Statement(path, (known,)))
        self._grants = {grant.id: grant for grant in reversed(package.grants)}

    @property
    def says_anything(self) -> bool:
        """Whether anything is said of a licence."""
        return bool(self._own or self._folders or self._grants)

    @property
    def granted(self) -> dict[str, frozenset[str]]:
        """The uses that each whole grant permits, by its id."""
        return {id: grant.uses for id, grant in self._grants.items() if not grant.lacks}

    def files(self) -> list[Licensed]:
        """The licence of each data file."""
        known: dict[str, Licensed] = {}
        found = []
        for file in self._package.data_files:
            if file.path in self._own:
                found.append(self._licensed(file.path, [self._own[file.path]]))
                continue
            folder = self._nearest(folder_of(file.path))
            if folder not in known:
                known[folder] = self._licensed("", self._folders.get(folder, []))
            found.append(Licensed(file.path, known[folder].expression, known[folder].why))
        return found

    def _nearest(self, folder: str) -> str:
        while folder and folder not in self._folders:
            folder = folder_of(folder[:-1])
        return folder

    def _licensed(self, path: str, statements: Sequence[_Statement]) -> Licensed:
        meanings = {statement.by: statement.meaning() for statement in statements}
        known = {by: meaning for by, meaning in meanings.items() if meaning is not None}
        if len(known) > 1 and not alike(known.values()):
            said = " and ".join(f"`{by}` says {meaning}" for by, meaning in known.items())
            return Licensed(path, None, f"{said}, which differ")
        chosen = next(iter(known.values()), None)
        if chosen is None and GRANT in self.granted:
            return Licensed(path, GRANT)
        if chosen is None:
            return Licensed(path, None, _unknown(statements))
        for id in sorted(grants_of(chosen)):
            grant = self._grants.get(id)
            if grant is None:
                return Licensed(path, None, f"`LICENSES/{id}.txt` with the text of the grant is not there")
            if grant.lacks:
                return Licensed(path, None, f"the grant in `{grant.path}` does not say: {', '.join(grant.lacks)}")
        if GRANT in self.granted and GRANT not in grants_of(chosen):
            chosen = f"({chosen}) OR {GRANT}"
        return Licensed(path, chosen)


def _unknown(statements: Sequence[_Statement]) -> str:
    for statement in statements:
        texts = [text for text in statement.texts if text is not None and expression(text) is None]
        if texts:
            return f"`{statement.by}` names `{texts[0][:80]}`, which is no SPDX expression"
    if statements:
        return f"the text of `{statements[0].by}` is no licence that is known"
    return "no licence is named"
