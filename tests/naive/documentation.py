"""DOC-1 read naively: Markdown of plain headings, each with the text below it."""

from __future__ import annotations

import re

PLACEHOLDERS = {"todo", "tbd", "na", "none", "待补充", "无"}


def doc_1(text: str, aspects: dict[str, tuple[str, ...]]) -> int:
    """How many aspects (id: words that name it) a document of `#` headings speaks of."""
    blocks = [block.partition("\n") for block in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]]
    texts = [essence(body) for _, _, body in blocks]
    found = set()
    for (heading, _, _), said in zip(blocks, texts, strict=True):
        named = {name for name, words in aspects.items() if any(names(word, heading) for word in words)}
        if len(said) >= 2 and said not in PLACEHOLDERS and texts.count(said) <= 3 and len(named) <= 3:
            found |= named
    return len(found)


def names(word: str, heading: str) -> bool:
    if word.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", heading.lower()) is not None
    return word in heading


def essence(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
