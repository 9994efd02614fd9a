"""An earlier version beside this one: what each change did to the total."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import palmerpenguins
import pytest

import jiebang
from jiebang.report import render_html
from jiebang.report.comparison import compare
from tests.unit.report.facts import Facts, refused, scored
from tests.unit.report.test_page import Outline

PENGUINS = Path(palmerpenguins.__file__).parent / "data" / "penguins.csv"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Facts, Facts]:
    """The penguins with twenty repeated records and a column that cannot be told, and as they are."""
    folder = tmp_path_factory.mktemp("versions")
    lines = PENGUINS.read_text().splitlines(keepends=True)
    (folder / "penguins.csv").write_text("".join([*lines, *lines[1:21], "Adelie,Dream,1\n"]))
    before = jiebang.score(folder / "penguins.csv", label="species", rubric="core-1-draft", records=400)
    after = jiebang.score(PENGUINS, label="species", rubric="core-1-draft", records=400)
    return before.as_dict(), after.as_dict()


def test_the_changes_of_the_measures_add_up_to_that_of_the_total(versions: tuple[Facts, Facts]) -> None:
    found = compare(*versions)
    assert found.total == Decimal(versions[1]["total"]) - Decimal(versions[0]["total"])
    points = sum(change.points or Decimal(0) for change in found.changes)
    assert abs(points - found.total) < Decimal("0.0001"), "but for the six places that scores are printed with"


def test_the_greatest_change_comes_first_and_losses_are_losses(versions: tuple[Facts, Facts]) -> None:
    forth, back = compare(*versions), compare(*reversed(versions))
    effects = [abs(change.points or Decimal(0)) for change in forth.changes]
    assert effects == sorted(effects, reverse=True)
    gained = {change.measure: change.points for change in forth.changes}
    assert (gained["DUP-1"] or 0) > 0
    assert {change.measure: -(change.points or 0) for change in back.changes} == gained


def test_a_version_beside_itself_has_not_changed() -> None:
    found = compare(scored(), scored())
    assert found.changes == ()
    assert found.unchanged == 11
    assert found.same_bytes
    assert "Every measure is as it was." in Outline(render_html(scored(), earlier=scored())).words


def test_totals_under_different_rubrics_are_not_held_side_by_side() -> None:
    before = scored()
    before["rubric"]["digest"] = "11" * 32
    before["engine"]["rubric"] = "other-1"
    before["combined"][0] |= {"value": "0.990000", "score": "80.000000"}
    found = compare(before, scored())
    assert found.total is None
    assert [change.points for change in found.changes] == [None]
    words = Outline(render_html(scored(), earlier=before)).words
    assert "judged under another rubric (other-1)" in words


def test_a_refused_version_can_stand_on_either_side() -> None:
    assert not compare(refused(), scored()).judged
    assert "The earlier version was not judged" in Outline(render_html(scored(), earlier=refused())).words
    assert "Refused at the gate" in Outline(render_html(refused(), earlier=scored())).words


def test_the_page_shows_both_values_and_the_earlier_shape(versions: tuple[Facts, Facts]) -> None:
    page = render_html(versions[1], earlier=versions[0])
    outline, chinese = Outline(page), Outline(page, "zh")
    assert "Since the earlier version" in outline.words
    assert "与较早版本相比" in chinese.words
    assert 'class="earlier"' in page
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids)


def test_names_in_an_earlier_report_are_text() -> None:
    attack = "<script>alert(1)</script>"
    before = scored()
    before["engine"]["rubric"] = attack
    before["rubric"] |= {"digest": "11" * 32}
    before["combined"][0] |= {"id": attack, "status": attack, "value": None, "num": None, "den": None}
    limits = before["rubric"]["dimensions"]["conformity"]["measures"]
    limits[attack] = limits.pop("FMT-1")
    page = render_html(scored(), earlier=before)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
