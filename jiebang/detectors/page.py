"""The detectors as a page of the documentation: `python -m jiebang.detectors.page` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from jiebang.detectors.catalogue import CLASSES, DETECTORS
from jiebang.detectors.definition import Detector, FindClass, Kind
from jiebang.detectors.lists import AS_OF, VERSION
from jiebang.detectors.schema import RULES

_INTRODUCTION = """\
# What counts as personal data, and what as a secret

<!-- This page is written by `python -m jiebang.detectors.page`. -->

One compiled pass ([hyperscan](https://github.com/darvid/python-hyperscan)) looks for all of them together: in every
cell of every table, in the names of columns, in documents and code that lie beside the data, and in the records that
could not be read. A cheap pattern finds candidates; an exact one, with its neighbours, and a validator decide. What
fails the validator is dropped.

* **The text that is looked at** is NFKC, without format characters, with every decimal digit as ASCII. Full-width
  digits and zero-width spaces hide nothing.
* **Masked values do not count**: what holds a star, or is touched by one, is hidden enough. `138****5678` is fine.
* **NULs hide nothing**. Of a binary file, an image or a database, ASCII alone is looked at, and secrets and numbers of
  children alone count. What is compressed (`.docx`, `.xlsx`, `.pdf`) is not seen; a report names it as not read.
* **A column of numbers** (integer or decimal) looks like phones and cards by accident. There a phone, a bank card and
  an IMEI count only under a name that tells (`phone`, `联系电话`, `card_no`, …). Dates, times and truth values that are
  what their column says are not looked at.
* **A name that tells stands for a word**: in a column `qq`, `微信号` or `护照号` the number alone is enough.
* **Nothing is quoted**: a report says file, record or line, column and class.
* **The day that stands for today** is `as_of` of the declaration or the rubric, else {as_of}.

What is known by heart (provinces, beginnings of cards, reserved networks and domains, words of column names) is in
`jiebang/detectors/lists.yaml`, version {version}. `python -m jiebang.detectors.evaluate LINES.jsonl` tells precision
and recall on labelled lines; the tests hold each class to 0.95 of both on `tests/unit/detectors/labelled.jsonl`.

## What comes of it
| | counts | where |
| --- | --- | --- |
| PII-1 | records without personal or sensitive data | in rubrics that list it |
| PII-2 | records without sensitive data | in rubrics that list it |
| G4 | no secret anywhere | where a rubric says `gates: [G4]` |
| G5 | no sensitive data anywhere | where a rubric says `gates: [G5]` |

A sponsor who has a legal basis for sensitive data leaves G5 out of the rubric's `gates`; PII-1 and PII-2 then still say
how much there is. `jiebang scan` runs both gates on your own machine, `jiebang scan --challenge FILE` those of a
challenge, and so does `POST /v1/preflight`.
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION.format(as_of=AS_OF, version=VERSION)]
    for title, kinds in (
        ("Personal data (GB/T 35273)", (Kind.PERSONAL,)),
        ("Sensitive personal data (GB/T 45574)", (Kind.SENSITIVE,)),
        ("Organisations, which are nobody", (Kind.ORGANISATION,)),
        ("Secrets", (Kind.SECRET,)),
    ):
        parts.append("\n".join([f"## {title}", *_rows([found for found in CLASSES if found.kind in kinds]), ""]))
    return "\n".join(parts)


def _rows(classes: list[FindClass]) -> Iterator[str]:
    yield "| class | | what must hold | what to do |"
    yield "| --- | --- | --- | --- |"
    for found in classes:
        yield f"| `{found.name}` | {found.en}<br>{found.zh} | {_rule(found)} | {found.advice} |"


def _rule(found: FindClass) -> str:
    detector = next((one for one in DETECTORS if found.name in (one.name, one.also)), None)
    return _told(detector) if detector is not None else RULES[found.name]


def _told(detector: Detector) -> str:
    return detector.rule.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
