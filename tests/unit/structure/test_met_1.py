"""MET-1: which of Croissant's required properties are valid."""

from __future__ import annotations

from typing import Any

import pytest

from jiebang.result import Status
from jiebang.structure.croissant import REQUIRED
from tests.unit.structure.packages import TABLE, croissant, judged, notes, share

TEN = [name for name, _, _ in REQUIRED]


def met_1(text: str | bytes) -> Any:
    return judged({"t.csv": TABLE, "croissant.json": text}, "MET-1")


def test_a_whole_descriptor_has_ten() -> None:
    assert share(met_1(croissant()), "MET-1") == (10, 10)


@pytest.mark.parametrize("name", TEN)
def test_each_property_that_is_not_there_is_one_less_and_is_named(name: str) -> None:
    report = met_1(croissant(**{name: None}))
    assert share(report, "MET-1") == (9, 10)
    assert [pointer.column for pointer in report["MET-1"].evidence] == [name]
    assert f"`{name}`" in report.fixes[0].what


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@context", "no context"),
        ("@type", "sc:Person"),
        ("conformsTo", "http://mlcommons.org/croissant/2.0"),
        ("conformsTo", 1.1),
        ("name", "  "),
        ("name", ["a"]),
        ("description", "FILL IN: what the dataset is"),
        ("license", "yes"),
        ("license", []),
        ("license", ["CC0-1.0", "unknown"]),
        ("url", "example"),
        ("url", "javascript:alert(1)"),
        ("creator", "K. Gorman"),
        ("creator", {"@type": "Person"}),
        ("creator", [{"@type": "Person", "name": "A"}, {"name": "B"}]),
        ("datePublished", "2020-02-30"),
        ("datePublished", 2020),
        ("distribution", []),
        ("distribution", [{"@type": "cr:FileObject", "@id": "t.csv"}]),
        ("distribution", [{"@type": "sc:DataDownload", "@id": "t.csv", "contentUrl": "t.csv"}]),
    ],
)
def test_a_property_with_a_wrong_value_is_not_valid(name: str, value: Any) -> None:
    assert share(met_1(croissant(**{name: value})), "MET-1") == (9, 10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@context", "https://schema.org/"),
        ("@context", ["https://schema.org", {"cr": "http://mlcommons.org/croissant/"}]),
        ("@type", "https://schema.org/Dataset"),
        ("conformsTo", ["http://mlcommons.org/croissant/1.0", {"@id": "http://mlcommons.org/croissant/RAI/1.0"}]),
        ("license", "CC-BY-4.0"),
        ("license", {"@type": "CreativeWork", "name": "MIT License"}),
        ("license", "https://example.org/our-terms"),
        ("creator", [{"@type": "sc:Organization", "name": "数据局"}]),
        ("datePublished", "2020-06-11T08:00:00Z"),
        ("distribution", [{"@type": "cr:FileSet", "@id": "images", "includes": "*.jpg"}]),
    ],
)
def test_other_ways_to_write_a_property_are_valid(name: str, value: Any) -> None:
    assert share(met_1(croissant(**{name: value})), "MET-1") == (10, 10)


def test_properties_may_carry_a_prefix() -> None:
    text = croissant().replace('"license"', '"sc:license"').replace('"conformsTo"', '"dct:conformsTo"')
    assert share(met_1(text), "MET-1") == (10, 10)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "not one JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "a name twice"),
        ('{"a":' + "[" * 100 + "]" * 100 + "}", "nested too deeply"),
        ('{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "number"),
        ('{"a": [' + "1," * 1_000_001 + "1]}", "values"),
    ],
)
def test_a_descriptor_that_cannot_be_read_has_none(text: str | bytes, why: str) -> None:
    report = met_1(text)
    assert share(report, "MET-1") == (0, 10)
    assert why in str(notes(report, "MET-1")["croissant.json"])


def test_without_a_descriptor_it_is_not_declared_and_in_a_challenge_failed() -> None:
    assert judged({"t.csv": TABLE}, "MET-1")["MET-1"].status is Status.NOT_DECLARED
    closed = judged({"t.csv": TABLE}, "MET-1", demand={"types": {"a": "integer"}})
    assert closed["MET-1"].status is Status.FAILED


def test_the_descriptor_nearest_to_the_top_counts() -> None:
    files = {"t.csv": TABLE, "croissant.json": croissant(name=None), "a/croissant.json": croissant()}
    assert share(judged(files, "MET-1"), "MET-1") == (9, 10)
