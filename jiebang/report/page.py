"""From a report's facts to HTML. Everything shown is escaped: names and notes were written by strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from jiebang.report.comparison import Comparison, compare
from jiebang.report.distributions import LEAST
from jiebang.report.radar import radar
from jiebang.report.reading import (
    DIMENSIONS,
    GATES,
    MEASURES,
    STATUSES,
    DimensionLine,
    Wording,
    dimensions,
    reason_place,
    two_places,
    wording,
)
from jiebang.report.words import ADVICE, KINDS, PHRASES, TO_DECLARE, TYPES, Language, listed, phrase

Facts = Mapping[str, Any]
Drawings = Mapping[str, Sequence[Facts]]
"""By the name of a table, the distributions of its columns, in their order."""

MOST_COLUMNS = 300
_WRITTEN = {"", ".md", ".txt", ".rst"}
"""The names of files that are written about data end so, where nothing in a dataset is a table."""

_FIXES_ON_A_CARD = 3
_FIXES_AT_ONCE = 8

_environment = Environment(
    loader=PackageLoader("jiebang.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _points(value: object) -> str:
    """A score for reading."""
    return two_places(Decimal(str(value)))


def _signed(value: object) -> str:
    """A change for reading: with its sign, and never the zero of a change that is none."""
    number = Decimal(str(value))
    if not number:
        return "±0"
    sign = "+" if number > 0 else "−"
    return f"{sign}{two_places(abs(number))}" if abs(number) >= Decimal("0.005") else f"{sign}0.00…"


def _bound(value: Decimal | None) -> str:
    return "" if value is None else f"{(value * 100).normalize():f} %"


def _percent(value: object) -> str:
    return f"{two_places(Decimal(str(value)) * 100)} %"


def _words(text: object) -> Markup:
    """A sentence with what stands in `backticks` set as code."""
    pieces = [escape(piece) for piece in str(text).split("`")]
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(pieces))


def _pair(en: object, zh: object) -> Markup:
    """Words in both languages, of which the page shows one; equal ones stand once."""
    if not zh or zh == en:
        return escape(en)
    return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh-Hans">{}</span>').format(en, zh)


def _said(key: str, /, **values: object) -> Markup:
    """A phrase of the page in both languages."""
    return _pair(phrase(key, "en", **values), phrase(key, "zh", **values))


def _both(words: Wording) -> Markup:
    return _pair(words.en, words.zh)


_environment.filters |= {
    "size": _size,
    "grouped": _grouped,
    "points": _points,
    "signed": _signed,
    "bound": _bound,
    "percent": _percent,
    "words": _words,
    "both": _both,
}
_environment.globals |= {"said": _said, "pair": _pair, "phrase": phrase}
_page = _environment.get_template("page.html")
_card = _environment.get_template("card.html")


@dataclass(frozen=True, slots=True)
class _Step:
    """A grade on the scale of totals: where it begins and ends."""

    grade: str
    low: Decimal
    high: Decimal


def page(facts: Facts, *, earlier: Facts | None, drawings: Drawings, language: Language) -> str:
    """The report as one page that loads nothing."""
    return _page.render(**_view(facts, earlier), drawings=drawings, language=language)


def card(facts: Facts) -> str:
    """The report as a small fragment."""
    return _card.render(**_view(facts, None), shown_fixes=_FIXES_ON_A_CARD)


def _view(facts: Facts, earlier: Facts | None) -> dict[str, Any]:
    refused = any(gate["status"] != "passed" for gate in facts["gates"])
    lines = () if refused else dimensions(facts)
    comparison = None if earlier is None else compare(earlier, facts)
    return {
        "facts": facts,
        "name": _name(facts),
        "refused": refused,
        "lines": lines,
        "radar": radar(lines, comparison.dimensions if comparison else None),
        "comparison": comparison,
        "verdict": _verdict(facts, lines),
        "scale": _scale(facts["rubric"]["grades"]),
        "kinds": sorted((facts["dataset"].get("kinds") or {}).items(), key=lambda kind: (-kind[1], kind[0])),
        "measure_words": MEASURES,
        "dimension_words": DIMENSIONS,
        "gates": GATES,
        "statuses": STATUSES,
        "types": TYPES,
        "kind_words": KINDS,
        "advice": ADVICE,
        "declare": _declare(facts, lines),
        "wording": wording,
        "reason_place": reason_place,
        "most_columns": MOST_COLUMNS,
        "least_named": LEAST,
        "fixes_at_once": _FIXES_AT_ONCE,
        "best_gain": max((Decimal(fix["gain"]) for fix in facts["fixes"]), default=Decimal(0)),
        "largest_change": _largest_change(comparison),
    }


def _largest_change(comparison: Comparison | None) -> Decimal:
    return max(
        (abs(change.points or Decimal(0)) for change in (comparison.changes if comparison else ())), default=Decimal(0)
    )


def _name(facts: Facts) -> Wording:
    files = facts["dataset"]["files"]
    if not files:
        return PHRASES["nothing_read"]
    # A dataset is called by its data, not by what is written about them.
    data = [file for file in files if file["kind"] != "other"]
    data += [file for file in files if PurePosixPath(file["path"]).suffix.lower() not in _WRITTEN]
    first = (data or files)[0]["path"]
    if len(files) == 1:
        return Wording(str(first), "")
    values = {"name": first, "n": len(files) - 1, "all": len(files)}
    return Wording(phrase("and_more", "en", **values), phrase("and_more", "zh", **values))


def _declare(facts: Facts, lines: tuple[DimensionLine, ...]) -> list[Wording]:
    """What to declare: the engine's sentences, and the same in Chinese, which is known by the measures that wait."""
    said = {line.id: line for dimension in lines for line in dimension.measures}
    pairs = []
    for sentence in facts["declare"]:
        line = next((one for name, one in said.items() if f"so that {name} (" in sentence), None)
        wanted = TO_DECLARE.get(line.id) if line else None
        then = "" if line is None else phrase("then_measured", "zh", id=line.id, name=line.wording.zh)
        pairs.append(Wording(sentence, f"{wanted}{then}" if wanted else ""))
    return pairs


def _verdict(facts: Facts, lines: tuple[DimensionLine, ...]) -> Wording:
    """The whole report in a sentence or two."""
    return Wording(_sentence(facts, lines, "en"), _sentence(facts, lines, "zh"))


def _sentence(facts: Facts, lines: tuple[DimensionLine, ...], language: Language) -> str:
    def called(line: DimensionLine) -> str:
        return line.wording.zh or line.wording.en if language == "zh" else line.wording.en.lower()

    failed = [gate["id"] for gate in facts["gates"] if gate["status"] != "passed"]
    if failed:
        return phrase("refused_verdict", language, gates=listed(failed, language))
    valued = [(line, line.value) for line in lines if line.value is not None]
    if not valued:
        return phrase("nothing_measured", language)
    whole = [called(line) for line, value in valued if value == 100]
    weakest, least = min(valued, key=lambda pair: pair[1])
    if least == 100:
        return phrase("nothing_to_mend", language)
    strong = phrase("whole_in", language, names=listed(whole, language)) if whole else ""
    held = phrase("held_back", language, name=called(weakest), value=_points(least))
    return f"{strong}{held}{_capped(facts, language)}"


def _scale(grades: Facts) -> list[_Step]:
    """The rubric's grades by their lowest total, worst first; JSON on its way may have lost their order."""
    rising = sorted(
        ((grade, Decimal(rule["total"]), Decimal(rule["dimension"])) for grade, rule in grades.items()),
        key=lambda rule: rule[1:],
    )
    highs = [low for _, low, _ in rising[1:]] + [Decimal(100)]
    return [_Step(grade, low, high) for (grade, low, _), high in zip(rising, highs, strict=True)]


def _capped(facts: Facts, language: Language) -> str:
    """Why the grade is below what the total alone would earn; empty when it is not."""
    total = Decimal(facts["total"])
    alone = next(step.grade for step in reversed(_scale(facts["rubric"]["grades"])) if total >= step.low)
    if alone == facts["grade"]:
        return ""
    letter = f"an {alone}" if alone in {"A", "E"} else f"a {alone}"
    return phrase("capped", language, letter=letter, grade_alone=alone, grade=facts["grade"])
