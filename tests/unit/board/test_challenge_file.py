"""Reading a challenge as a sponsor writes it: what is right is kept, what is wrong is named with its place."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiebang.document import parse_document
from jiebang.errors import DeclarationError
from jiebang.rubric import Rubric
from services.board.challenge import Terms
from services.board.challenge_file import read_terms

SPONSOR = "spn_01jnb3p6y9c4t2w8h5k7m0q1rx"
CHALLENGE: dict[str, Any] = {
    "title": {"zh": "企鹅体征", "en": "Penguin traits"},
    "summary": {"en": "Complete traits by species"},
    "sector": "science",
    "demand": {
        "label": "species",
        "required": ["species", "island"],
        "types": {"species": "text", "island": "text", "bill_length_mm": "decimal"},
        "records": 300,
    },
    "rubric": "core-0",
    "phases": [
        {
            "name": "preliminary",
            "starts_at": "2026-03-01T00:00:00+08:00",
            "ends_at": "2026-04-01T00:00:00+08:00",
            "leaderboard": "public",
        },
        {"name": "final", "starts_at": "2026-04-01T00:00:00+08:00", "ends_at": "2026-05-01T00:00:00Z"},
    ],
    "quota": {"per_day": 5, "total": 40},
    "limits": {"bytes": 1073741824, "formats": ["parquet", "csv"]},
}


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The challenge with one value replaced; `...` takes the key away."""
    data: Any = copy.deepcopy(CHALLENGE)
    at = data
    for key in path[:-1]:
        at = at[key]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return data  # type: ignore[no-any-return]


def read(data: Any) -> Terms:
    return read_terms(data, sponsor=SPONSOR)


def test_a_challenge_is_read_whole() -> None:
    terms = read(CHALLENGE)
    assert terms.title == CHALLENGE["title"]
    assert terms.sponsor == SPONSOR
    assert terms.demand["types"] == CHALLENGE["demand"]["types"]
    assert terms.rubric == Rubric.load("core-0").as_dict()
    assert terms.rubric_digest == Rubric.load("core-0").digest
    assert terms.phases[0].starts_at == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert [phase.leaderboard.value for phase in terms.phases] == ["public", "public"]
    assert (terms.quota.per_day, terms.quota.total) == (5, 40)
    assert (terms.limits.bytes, terms.limits.formats) == (1 << 30, ("csv", "parquet"))


def test_what_is_read_again_from_what_was_read_is_the_same() -> None:
    terms = read(CHALLENGE)
    again = read({name: value for name, value in terms.model_dump(mode="json").items() if name != "rubric_digest"})
    assert again == terms


def test_a_yaml_file_whose_scalars_are_all_text_is_read_the_same() -> None:
    text = """
title: {zh: 企鹅体征, en: Penguin traits}
summary: {en: Complete traits by species}
sector: science
demand:
  label: species
  required: [species, island]
  types: {species: text, island: text, bill_length_mm: decimal}
  records: 300
rubric: core-0
phases:
  - {name: preliminary, starts_at: 2026-03-01T00:00:00+08:00, ends_at: 2026-04-01T00:00:00+08:00, leaderboard: public}
  - {name: final, starts_at: 2026-04-01T00:00:00+08:00, ends_at: 2026-05-01T00:00:00Z}
quota: {per_day: 5, total: 40}
limits: {bytes: 1073741824, formats: [parquet, csv]}
"""
    assert read(parse_document(text, "challenge.yaml").data) == read(CHALLENGE)


def test_what_is_left_out_has_a_default() -> None:
    data = copy.deepcopy(CHALLENGE)
    for key in ("summary", "rubric", "limits"):
        del data[key]
    terms = read(data)
    assert terms.summary is None
    assert terms.rubric["id"] == "core-0"
    assert terms.limits.formats == ("csv", "jsonl", "parquet")


def test_a_rubric_of_the_sponsors_own_gets_its_own_digest() -> None:
    own = copy.deepcopy(Rubric.load("core-0").as_dict())
    own["dimensions"]["balance"]["weight"] = "5"
    terms = read(changed("rubric", to=own))
    assert terms.rubric_digest != Rubric.load("core-0").digest
    assert terms.rubric_digest == Rubric.parse(own).digest


@pytest.mark.parametrize(
    ("data", "code", "path", "nearest"),
    [
        (changed("titel", to="x"), "unknown_key", ["titel"], "title"),
        (changed("sector", to="energie"), "wrong_value", ["sector"], "energy"),
        (changed("sector", to="cooking"), "wrong_value", ["sector"], None),
        (changed("sector", to=["energy"]), "wrong_value", ["sector"], None),
        (changed("title", to={"fr": "x"}), "unknown_key", ["title", "fr"], None),
        (changed("title", "en", to="x" * 201), "wrong_value", ["title", "en"], None),
        (changed("title", to={}), "wrong_value", ["title"], None),
        (changed("title", to=7), "wrong_value", ["title"], None),
        (changed("demand", "lable", to="species"), "unknown_key", ["demand", "lable"], "label"),
        (changed("demand", "types", "island", to="string"), "wrong_value", ["demand", "types", "island"], None),
        (changed("demand", to={}), "demand_without_columns", ["demand"], None),
        (changed("demand", to="species"), "wrong_value", ["demand"], None),
        (changed("rubric", to="core-9"), "wrong_value", ["rubric"], "core-0"),
        (changed("rubric", to="/etc/passwd"), "wrong_value", ["rubric"], None),
        (changed("rubric", to={"id": "x"}), None, None, None),
        (changed("phases", to=[]), "wrong_value", ["phases"], None),
        (changed("phases", 0, "name", to="Preliminary Round"), "wrong_value", ["phases", 0, "name"], None),
        (changed("phases", 1, "name", to="preliminary"), "wrong_value", ["phases", 1, "name"], None),
        (changed("phases", 0, "starts_at", to="2026-03-01"), "wrong_value", ["phases", 0, "starts_at"], None),
        (changed("phases", 0, "starts_at", to="2026-02-30T00:00:00Z"), "wrong_value", ["phases", 0, "starts_at"], None),
        (changed("phases", 0, "starts_at", to="2026-03-01T00:00:00"), "wrong_value", ["phases", 0, "starts_at"], None),
        (changed("phases", 0, "starts_at", to=...), "wrong_value", ["phases", 0, "starts_at"], None),
        (changed("phases", 0, "starts_at", to=1772294400), "wrong_value", ["phases", 0, "starts_at"], None),
        (changed("phases", 0, "ends_at", to="2026-01-01T00:00:00Z"), "wrong_value", ["phases", 0, "ends_at"], None),
        (changed("phases", 1, "starts_at", to="2026-03-31T00:00:00Z"), "wrong_value", ["phases", 1, "starts_at"], None),
        (changed("phases", 0, "leaderboard", to="pubic"), "wrong_value", ["phases", 0, "leaderboard"], "public"),
        (changed("quota", "per_day", to=0), "wrong_value", ["quota", "per_day"], None),
        (changed("quota", "per_day", to=True), "wrong_value", ["quota", "per_day"], None),
        (changed("quota", "per_day", to=1.5), "wrong_value", ["quota", "per_day"], None),
        (changed("quota", "per_day", to="٥"), "wrong_value", ["quota", "per_day"], None),
        (changed("quota", "per_day", to=41), "wrong_value", ["quota", "per_day"], None),
        (changed("quota", "total", to=10**30), "wrong_value", ["quota", "total"], None),
        (changed("limits", "formats", to=["xlsx"]), "wrong_value", ["limits", "formats", 0], None),
        (changed("limits", "bytes", to=-1), "wrong_value", ["limits", "bytes"], None),
        (changed("sponsor", to="me"), "wrong_value", ["sponsor"], None),
        (changed("quota", to=...), "wrong_value", [], None),
        ([], "wrong_value", [], None),
        (None, "wrong_value", [], None),
    ],
)
def test_a_mistake_is_named_with_its_place(
    data: Any, code: str | None, path: list[Any] | None, nearest: str | None
) -> None:
    with pytest.raises(DeclarationError) as refusal:
        read(data)
    assert code in (None, refusal.value.code)
    if path is not None:
        assert refusal.value.fields["path"] == path
    if nearest is not None:
        assert refusal.value.fields["nearest"] == nearest
    assert refusal.value.detail


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(CHALLENGE)), _JSON)
def test_whatever_stands_under_a_key_is_read_or_refused_by_name(key: str, value: Any) -> None:
    named: list[Any] = []
    try:
        assert read({**CHALLENGE, key: value}).model_dump_json()
    except DeclarationError as error:
        named = error.fields["path"]
    assert named[:1] in ([], [key])


def test_a_moment_is_kept_to_the_millisecond_like_the_database_keeps_it() -> None:
    terms = read(changed("phases", 0, "starts_at", to="2026-03-01T00:00:00.123987+08:00"))
    assert terms.phases[0].starts_at == datetime(2026, 2, 28, 16, 0, 0, 123000, tzinfo=UTC)
