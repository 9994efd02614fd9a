"""Rubrics: which measures count, how much, and from where to where; read from YAML, known by a digest."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import rfc8785

from jiebang.document import Document, KeyPath, parse_document, read_document, refuse_unknown_keys
from jiebang.errors import DeclarationError
from jiebang.measures import BY_ID

PRESETS = Path(__file__).parent / "rubrics"

CONTENT_GATES = ("G4", "G5")
"""The gates that look into the content: secrets, and sensitive personal information."""


@dataclass(frozen=True)
class Criterion:
    """How one measure counts: its weight in its dimension, and the values worth 0 and 100.

    `required`: when a dataset does not declare what the measure needs, it scores 0 instead of leaving the dimension.
    """

    measure: str
    weight: Fraction
    floor: Fraction
    target: Fraction
    required: bool = False

    def score(self, value: Fraction) -> Fraction:
        """The score of a value, 0 to 100: 100·clamp((value - floor) / (target - floor), 0, 1)."""
        share = (value - self.floor) / (self.target - self.floor)
        return 100 * min(max(share, Fraction(0)), Fraction(1))


@dataclass(frozen=True)
class Dimension:
    """A group of measures with its weight in the total."""

    name: str
    weight: Fraction
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True)
class GradeRule:
    """A grade, with the least total and the least score of every dimension that it asks for."""

    grade: str
    total: Fraction
    dimension: Fraction


DEFAULT_GRADES = tuple(
    GradeRule(grade, Fraction(total), Fraction(dimension))
    for grade, total, dimension in (("A", 90, 75), ("B", 80, 60), ("C", 70, 45), ("D", 60, 0), ("E", 0, 0))
)


@dataclass(frozen=True)
class Rubric:
    """What a dataset is judged by.

    `as_of` is the day that stands for today, ISO, or None. `gates` are those of `CONTENT_GATES` that a dataset has to
    pass before it is measured; the gates of archives and types are always there.
    """

    id: str
    version: int
    dimensions: tuple[Dimension, ...]
    grades: tuple[GradeRule, ...] = DEFAULT_GRADES
    as_of: str | None = None
    gates: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Rubric:
        """Read a rubric from the mapping that YAML or JSON gave.

        Raises DeclarationError with `path`: an unknown key or measure, naming the nearest known one; a weight that is
        no number above 0; a target not above its floor; a measure listed twice; grades out of order.
        """
        return _rubric(dict(data))

    @classmethod
    def load(cls, source: Rubric | Mapping[str, Any] | str | Path) -> Rubric:
        """A rubric from a preset's name (`core-0`), a YAML or JSON file (errors name the line) or a mapping."""
        if isinstance(source, Rubric):
            return source
        if isinstance(source, Mapping):
            return cls.parse(source)
        if isinstance(source, str) and source in presets():
            return _preset(source)
        path = Path(source)
        if not path.is_file():
            raise DeclarationError(
                "unknown_rubric",
                f"`{source}` is neither a rubric file nor a preset.",
                f"Presets: {', '.join(presets())}.",
                received=str(source),
            )
        return cls._from(read_document(path))

    @classmethod
    def _from(cls, document: Document) -> Rubric:
        try:
            return cls.parse(document.data)
        except DeclarationError as error:
            raise document.locate(error) from error

    @property
    def criteria(self) -> dict[str, Criterion]:
        """The criterion of every measure that counts, by its id, in the rubric's order."""
        return {criterion.measure: criterion for dimension in self.dimensions for criterion in dimension.criteria}

    def as_dict(self) -> dict[str, Any]:
        """The whole rubric as JSON, defaults written out, decimals as strings."""
        return {
            "id": self.id,
            "version": self.version,
            "as_of": self.as_of,
            # Only where there are any, so that a rubric without them keeps its digest.
            **({"gates": list(self.gates)} if self.gates else {}),
            "dimensions": {
                dimension.name: {
                    "weight": _shown(dimension.weight),
                    "measures": {
                        criterion.measure: {
                            "weight": _shown(criterion.weight),
                            "floor": _shown(criterion.floor),
                            "target": _shown(criterion.target),
                            "required": criterion.required,
                        }
                        for criterion in dimension.criteria
                    },
                }
                for dimension in self.dimensions
            },
            "grades": {
                rule.grade: {"total": _shown(rule.total), "dimension": _shown(rule.dimension)} for rule in self.grades
            },
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the rubric's canonical JSON (RFC 8785), in hexadecimal."""
        return hashlib.sha256(rfc8785.dumps(self.as_dict())).hexdigest()


def presets() -> list[str]:
    """The names of the rubrics that come with the engine."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


@cache
def _preset(name: str) -> Rubric:
    return Rubric._from(parse_document((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), name))


def _shown(number: Fraction) -> str:
    # Every number was read from a decimal of at most six places, so this is exact.
    scaled = number * 10**6
    assert scaled.denominator == 1
    whole, part = divmod(scaled.numerator, 10**6)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".") if part else str(whole)


def _wrong(path: KeyPath, title: str, detail: str) -> DeclarationError:
    return DeclarationError("wrong_rubric", title, detail, path=list(path))


def _mapping(value: Any, path: KeyPath) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise _wrong(path, f"`{'.'.join(map(str, path))}` must be a mapping.", "Write `name: value` lines under it.")
    return dict(value)


def _number(value: Any, path: KeyPath, *, positive: bool = False) -> Fraction:
    text = str(value).strip() if not isinstance(value, bool) else ""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?|\.[0-9]{1,6}", text) or (positive and Fraction(text) == 0):
        kind = "a number above 0" if positive else "a number"
        raise _wrong(path, f"`{'.'.join(map(str, path))}` must be {kind}.", "Write a decimal with at most six places.")
    return Fraction(text)


def _flag(value: Any, path: KeyPath) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false", None):
        return False
    raise _wrong(path, f"`{'.'.join(map(str, path))}` must be true or false.", "Write true or false.")


def _rubric(data: dict[str, Any]) -> Rubric:
    refuse_unknown_keys(data, ("id", "version", "as_of", "gates", "dimensions", "grades"), (), "a rubric")
    name = data.get("id")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise _wrong(("id",), "`id` must be a name of letters, digits, dots and hyphens.", "Name the rubric.")
    version = _number(data.get("version", 1), ("version",), positive=True)
    if version.denominator != 1:
        raise _wrong(("version",), "`version` must be a whole number.", "Count the versions from 1.")
    dimensions: list[Dimension] = []
    listed: set[str] = set()
    for title, entry in _mapping(data.get("dimensions"), ("dimensions",)).items():
        dimensions.append(_dimension(title, _mapping(entry, ("dimensions", title)), listed))
    return Rubric(
        name,
        int(version),
        tuple(dimensions),
        _grades(data.get("grades")),
        _as_of(data.get("as_of")),
        _gates(data.get("gates")),
    )


def _dimension(name: str, data: dict[str, Any], listed: set[str]) -> Dimension:
    path: KeyPath = ("dimensions", name)
    refuse_unknown_keys(data, ("weight", "measures"), path, "a dimension")
    criteria = []
    for measure, entry in _mapping(data.get("measures"), (*path, "measures")).items():
        at: KeyPath = (*path, "measures", measure)
        if measure not in BY_ID:
            nearest = difflib.get_close_matches(measure.upper(), list(BY_ID), n=1, cutoff=0.5)
            hint = f"Did you mean `{nearest[0]}`? " if nearest else ""
            raise _wrong(at, f"`{measure}` is not a measure.", f"{hint}Measures: {', '.join(BY_ID)}.")
        if measure in listed:
            raise _wrong(at, f"`{measure}` counts twice.", "List it in one dimension.")
        listed.add(measure)
        own = _mapping(entry, at)
        refuse_unknown_keys(own, ("weight", "floor", "target", "required"), at, "a measure in a rubric")
        floor, target = _number(own.get("floor"), (*at, "floor")), _number(own.get("target"), (*at, "target"))
        if target <= floor:
            raise _wrong((*at, "target"), f"The target of `{measure}` must be above its floor.", "Raise the target.")
        weight = _number(own.get("weight", 1), (*at, "weight"), positive=True)
        criteria.append(Criterion(measure, weight, floor, target, _flag(own.get("required"), (*at, "required"))))
    return Dimension(name, _number(data.get("weight"), (*path, "weight"), positive=True), tuple(criteria))


def _grades(data: Any) -> tuple[GradeRule, ...]:
    if data is None:
        return DEFAULT_GRADES
    rules: list[GradeRule] = []
    for grade, entry in _mapping(data, ("grades",)).items():
        at: KeyPath = ("grades", grade)
        own = _mapping(entry, at)
        refuse_unknown_keys(own, ("total", "dimension"), at, "a grade")
        rule = GradeRule(
            grade, _number(own.get("total"), (*at, "total")), _number(own.get("dimension", 0), (*at, "dimension"))
        )
        if rules and (rule.total > rules[-1].total or rule.dimension > rules[-1].dimension):
            raise _wrong(at, f"Grade `{grade}` asks for more than the one before it.", "Begin with the best grade.")
        rules.append(rule)
    if rules[-1].total or rules[-1].dimension:
        raise _wrong(("grades",), "The last grade must ask for nothing.", "End with one of total 0 and dimension 0.")
    return tuple(rules)


def _gates(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = value if isinstance(value, (list, tuple)) else [value]
    for index, gate in enumerate(listed):
        if gate not in CONTENT_GATES:
            detail = f"Gates of content are {' and '.join(CONTENT_GATES)}; the others are always there."
            raise _wrong(("gates", index), f"`{gate}` is not a gate that can be asked for.", detail)
    return tuple(gate for gate in CONTENT_GATES if gate in listed)


def _as_of(value: Any) -> str | None:
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, datetime.date) else str(value)
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise _wrong(("as_of",), f"`{text}` is not a date.", "Write it as YYYY-MM-DD.") from error
