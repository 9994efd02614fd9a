"""From a report's facts to HTML. Everything shown is escaped: names and notes were written by strangers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from jiebang.report.radar import radar
from jiebang.report.reading import GATES, STATUSES, DimensionLine, dimensions, reason_place, two_places, wording

Facts = Mapping[str, Any]

MOST_COLUMNS = 300
_FIXES_ON_A_CARD = 3

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


def _bound(value: Decimal | None) -> str:
    return "" if value is None else f"{(value * 100).normalize():f} %"


def _words(text: object) -> Markup:
    """A sentence with what stands in `backticks` set as code."""
    pieces = [escape(piece) for piece in str(text).split("`")]
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(pieces))


_environment.filters |= {"size": _size, "grouped": _grouped, "points": _points, "bound": _bound, "words": _words}
_page = _environment.get_template("page.html")
_card = _environment.get_template("card.html")


@dataclass(frozen=True, slots=True)
class _Step:
    """A grade on the scale of totals: where it begins and ends."""

    grade: str
    low: Decimal
    high: Decimal


def page(facts: Facts) -> str:
    """The report as one page that loads nothing."""
    return _page.render(**_view(facts))


def card(facts: Facts) -> str:
    """The report as a small fragment."""
    return _card.render(**_view(facts), shown_fixes=_FIXES_ON_A_CARD)


def _view(facts: Facts) -> dict[str, Any]:
    refused = any(gate["status"] != "passed" for gate in facts["gates"])
    lines = () if refused else dimensions(facts)
    return {
        "facts": facts,
        "name": _name(facts),
        "refused": refused,
        "lines": lines,
        "radar": radar(lines),
        "verdict": _verdict(facts, lines),
        "scale": _scale(facts["rubric"]["grades"]),
        "gates": GATES,
        "statuses": STATUSES,
        "wording": wording,
        "reason_place": reason_place,
        "most_columns": MOST_COLUMNS,
        "best_gain": max((Decimal(fix["gain"]) for fix in facts["fixes"]), default=Decimal(0)),
    }


def _name(facts: Facts) -> str:
    files = facts["dataset"]["files"]
    if not files:
        return "Nothing that could be read"
    # A dataset is called by its data, not by what is written about them.
    first = next((file for file in files if file["kind"] != "other"), files[0])["path"]
    return f"{first} and {len(files) - 1} more" if len(files) > 1 else str(first)


def _verdict(facts: Facts, lines: tuple[DimensionLine, ...]) -> str:
    """The whole report in a sentence or two."""
    failed = [gate["id"] for gate in facts["gates"] if gate["status"] != "passed"]
    if failed:
        return f"Not judged: the dataset did not pass {_listed(failed)}. Nothing was measured."
    valued = [(line, line.value) for line in lines if line.value is not None]
    if not valued:
        return "Nothing could be measured yet: declare what is known about the data."
    whole = [line.wording.en.lower() for line, value in valued if value == 100]
    weakest, least = min(valued, key=lambda pair: pair[1])
    if least == 100:
        return "Nothing to mend: every dimension that could be measured is whole."
    strong = f"Whole in {_listed(whole)}. " if whole else ""
    return (
        f"{strong}What holds it back most is {weakest.wording.en.lower()}, at {_points(least)} of 100."
        f"{_held_back(facts)}"
    )


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _scale(grades: Facts) -> list[_Step]:
    """The rubric's grades by their lowest total, worst first; JSON on its way may have lost their order."""
    rising = sorted(
        ((grade, Decimal(rule["total"]), Decimal(rule["dimension"])) for grade, rule in grades.items()),
        key=lambda rule: rule[1:],
    )
    highs = [low for _, low, _ in rising[1:]] + [Decimal(100)]
    return [_Step(grade, low, high) for (grade, low, _), high in zip(rising, highs, strict=True)]


def _held_back(facts: Facts) -> str:
    """Why the grade is below what the total alone would earn; empty when it is not."""
    total = Decimal(facts["total"])
    alone = next(step.grade for step in reversed(_scale(facts["rubric"]["grades"])) if total >= step.low)
    if alone == facts["grade"]:
        return ""
    return (
        f" The total alone would earn {_an(alone)}, but no dimension may lie that low: the grade is {facts['grade']}."
    )


def _an(grade: str) -> str:
    return f"an {grade}" if grade in {"A", "E"} else f"a {grade}"
