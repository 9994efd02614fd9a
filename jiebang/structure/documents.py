"""The documents of a dataset (README, datasheet, 说明文档) as sections: a heading and what is written under it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_DOCUMENTS = 10
"""The most documents of a dataset that are read, those nearest to the top first."""

MOST_LINES = 20_000
MOST_SECTIONS = 5_000
"""The most sections of a document that are looked at."""

LONGEST_HEADING = 80
LONGEST_NAME = 500
"""In how much of a line `name: text` its name is looked for."""

LONGEST_FRONT_MATTER = 1 << 16

_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_ATX = re.compile(r"\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-{3,}|~{3,}|\^{3,})\s*$")
_STRONG = re.compile(r"\s*(?:\*\*|__)([^*_]+)(?:\*\*|__)\s*[:：]?\s*$")
_BRACKETS = re.compile(r"\s*【(.+?)】\s*$")
_NUMBER = (
    r"(?:第?[一二三四五六七八九十]{1,3}[、.．章节]|[（(][一二三四五六七八九十\d]{1,3}[)）]"
    r"|\d{1,2}(?:\.\d{1,2})*[、.．)]?(?=[\s\u3400-\u9fff]))"
)
_NUMBERED = re.compile(rf"\s*{_NUMBER}\s*([^。；;，,.!?！？]+)$")
_LEADING_NUMBER = re.compile(rf"^{_NUMBER}\s*")
_FIELD = re.compile(
    r"\s*(?:[-*+•]\s+)?\|?\s*(?:\*\*|__|`)?([^:：|*_`]{2,40}?)(?:\*\*|__|`)?\s*[:：|]\s*(?:\*\*|__)?\s*(.+)$"
)


@dataclass(frozen=True)
class Section:
    """What a document says in one place: under a heading, or in a line `name: text` (then `is_line`)."""

    heading: str
    text: str
    is_line: bool = False


def sections(text: str) -> list[Section]:
    """The sections of a document in Markdown, reStructuredText or plain text, in their order.

    A heading with nothing but headings below it has the text of the first of them.
    """
    found: list[tuple[str, list[str]]] = [("", [])]
    for heading, line in _lines(_without_front_matter(text).split("\n", MOST_LINES)[:MOST_LINES]):
        if heading is not None:
            found.append((heading, []))
        elif line.strip():
            found[-1][1].append(line.strip())
    own = ["\n".join(lines) for _, lines in found]
    result = []
    for place, (heading, lines) in enumerate(found):
        if heading:
            below = next((text for text in own[place + 1 : place + 2]), "") if not lines else own[place]
            result.append(Section(heading, below))
        result.extend(_fields(lines))
        if len(result) > MOST_SECTIONS:
            break
    return result[:MOST_SECTIONS]


def _fields(lines: Sequence[str]) -> Iterator[Section]:
    for line in lines:
        line = _with_single_blanks(line)
        match = _FIELD.match(line[:LONGEST_NAME])
        if match and "//" not in match[1]:
            yield Section(match[1].strip(), (match[2] + line[LONGEST_NAME:]).strip(" |"), is_line=True)


def _with_single_blanks(line: str) -> str:
    """A line without runs of blanks, over which patterns take time that grows with their cube.

    Of those it begins with four stay, by which code is told from headings.
    """
    plain = line.lstrip()
    return line[: min(4, len(line) - len(plain))] + " ".join(plain.split())


def _lines(lines: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Each line as a heading, or as (None, line); code is text."""
    fence = ""
    skip = False
    for place, line in enumerate(lines):
        if skip:
            skip = False
            continue
        mark = _FENCE.match(line)
        if mark:
            if not fence:
                fence = mark[1]
            elif fence == mark[1]:
                fence = ""
            continue
        if fence:
            yield None, line
            continue
        heading = _heading(line)
        following = lines[place + 1] if place + 1 < len(lines) else ""
        if heading is None and line.strip() and "|" not in line and _UNDERLINE.match(following):
            heading, skip = _clean(line), True
        if heading is not None and 0 < len(heading) <= LONGEST_HEADING:
            yield heading, ""
        else:
            yield None, line


def _heading(line: str) -> str | None:
    if len(line) > 2 * LONGEST_HEADING:
        return None
    line = _with_single_blanks(line)
    for pattern in (_ATX, _STRONG, _BRACKETS):
        match = pattern.match(line)
        if match:
            return _clean(match[1])
    match = _NUMBERED.match(line)
    return _clean(match[1]) if match and len(match[1]) <= LONGEST_HEADING // 2 and not _FIELD.match(line) else None


def _clean(heading: str) -> str:
    plain = re.sub(r"[*_`#]+", " ", unicodedata.normalize("NFC", heading)).strip(" \t:：")
    return _LEADING_NUMBER.sub("", plain).strip()


def front_matter(text: str) -> str:
    """The YAML between the two `---` lines that a Markdown file may begin with; empty without them."""
    match = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", text[:LONGEST_FRONT_MATTER], re.DOTALL)
    return match[1] if match else ""


def _without_front_matter(text: str) -> str:
    matter = front_matter(text)
    return text.partition(matter)[2].lstrip("\n-") if matter else text
