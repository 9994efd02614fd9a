"""Grants of one's own: a text that says who grants which uses, signed on what day."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jiebang.declaration import USES
from jiebang.structure.croissant import is_moment
from jiebang.structure.descriptors import written
from jiebang.structure.documents import sections

_GRANTOR = frozenset(("grantor", "licensor", "rights holder", "授权方", "授权人", "许可方", "权利人"))
_USES = frozenset(("uses", "permitted uses", "permits", "授权用途", "授权范围", "许可用途", "许可范围"))
_SIGNED = frozenset(("signed", "signed on", "date", "签署日期", "签字日期", "授权日期"))
_WORDS = {
    "commercial": re.compile(r"\bcommercial|商业|商用"),
    "modify": re.compile(r"\b(modif|adapt|derivative|train)|修改|改编|加工|训练"),
    "share": re.compile(r"\b(shar|redistribut|distribut)|传播|分发|共享"),
}
_WITHHELD = re.compile(r"\b(no|not|non|without|except)\b|不|非|禁|除外")


@dataclass(frozen=True)
class Grant:
    """A grant as its text says it; `lacks` names what it does not say, empty when it is whole."""

    id: str
    path: str
    uses: frozenset[str]
    lacks: tuple[str, ...]


def read_grant(id: str, path: str, text: str) -> Grant:
    """The grant in a text of lines `name: value`."""
    said: dict[str, str] = {}
    for section in sections(text):
        said.setdefault(section.heading.casefold(), written(section.text))

    def first(names: frozenset[str]) -> str:
        return next((text for name, text in said.items() if name in names and text), "")

    parts = re.split(r"[,;，；、]", first(_USES).casefold())
    uses = frozenset(
        use for use in USES if any(_WORDS[use].search(part) and not _WITHHELD.search(part) for part in parts)
    )
    lacks = [
        name
        for name, there in (
            ("grantor", bool(first(_GRANTOR))),
            ("uses", bool(uses)),
            ("signed", is_moment(first(_SIGNED))),
        )
        if not there
    ]
    return Grant(id, path, uses, tuple(lacks))
