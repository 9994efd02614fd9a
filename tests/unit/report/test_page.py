"""The page says everything that the facts say, escapes what strangers wrote, and loads nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import palmerpenguins
import pytest

import jiebang
import jiebang.report
from jiebang.report import render_card, render_html
from jiebang.report.radar import radar
from jiebang.report.reading import dimensions, two_places
from jiebang.report.words import Language
from tests.unit.report.facts import measure, refused, scored

VOID = {"meta", "input", "link", "br", "hr", "img", "line", "polygon"}


class Outline(HTMLParser):
    """What a reader of the page hears: text, tags in balance, and everything that would be loaded."""

    def __init__(self, page: str, language: str = "en") -> None:
        super().__init__()
        self.other = {"en": "zh", "zh": "en"}[language]
        self.unseen: list[int] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.loads: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "srcset", "data") if name in given]
        if tag in {"script", "iframe", "link", "object", "embed"}:
            self.loads.append(tag)
        self.ids += [str(given["id"])] if "id" in given else []
        self.references += (given.get("aria-labelledby") or "").split()
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(tag)
        if tag not in VOID:
            self.open.append(tag)
            if tag == "style" or self.other in (given.get("class") or "").split():
                self.unseen.append(len(self.open))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if self.unseen and self.unseen[-1] == len(self.open):
            self.unseen.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = render_html(scored())
    outline = Outline(page)
    assert outline.open == []
    assert outline.loads == []
    assert "url(" not in page
    assert "@import" not in page
    assert not re.search(r"https?://", page)


def test_a_screen_reader_finds_its_way() -> None:
    outline = Outline(render_html(scored()))
    assert outline.headings[0] == "h1"
    assert outline.headings.count("h1") == 1
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)


def test_everything_a_person_came_for_is_there() -> None:
    words = Outline(render_html(scored())).words
    for expected in (
        "78.13",
        "Provisional",
        "Declare records , so that SCL-1",
        "+12.50 points",
        "Fill sex in 1,112 records.",
        "What holds it back most is consistency, at 47.01 of 100.",
        "99.31 %",
        "7 fields where the header has 8",
        "岛屿",
        "absent",
        "penguins.csv is read as GB18030",
        "9f2c" * 16,
    ):
        assert expected in words


def test_scores_are_cut_and_never_rounded_up_to_a_hundred() -> None:
    facts = scored() | {"total": "99.999999", "grade": "A"}
    words = Outline(render_html(facts)).words
    assert "99.99" in words


def test_a_refusal_says_what_is_wrong_and_shows_no_score() -> None:
    outline = Outline(render_html(refused()))
    assert "Refused at the gate" in outline.words
    assert "It unpacks to 1,032 times its size" in outline.words
    assert "did not pass G1 and G3" in outline.words
    assert "of 100" not in outline.words


def test_a_grade_below_what_the_total_earns_is_explained() -> None:
    facts = scored() | {"total": "85.000000", "grade": "D"}
    assert "The total alone would earn a B" in Outline(render_html(facts)).words
    facts = scored() | {"total": "78.000000", "grade": "C"}
    assert "The total alone" not in Outline(render_html(facts)).words


@pytest.mark.parametrize("render", [render_html, render_card])
def test_what_strangers_wrote_is_text_and_never_markup(render: object) -> None:
    assert callable(render)
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>`</style>`"
    facts = scored()
    facts["dataset"]["files"] = [{"path": attack, "bytes": 1, "sha256": "00", "kind": "csv"}]
    facts["profile"]["tables"][0]["name"] = attack
    facts["profile"]["tables"][0]["columns"][0]["name"] = attack
    facts["fixes"][0]["what"] = attack
    facts["warnings"] = [attack]
    facts["combined"][0]["note"] = attack
    facts["combined"][0]["evidence"][0]["note"] = attack
    facts["engine"]["rubric"] = attack
    page = render(facts)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert page.count("</style>") <= 1


def test_a_rubric_with_names_of_its_own_is_drawn() -> None:
    facts = scored()
    facts["rubric"]["dimensions"] = {
        "fit_for_grid": {
            "weight": "3",
            "measures": {"COM-1": facts["rubric"]["dimensions"]["completeness"]["measures"]["COM-1"]},
        }
    }
    facts["rubric"]["grades"] = {"优": {"total": "85", "dimension": "0"}, "其他": {"total": "0", "dimension": "0"}}
    facts["dimensions"] = {"fit_for_grid": "96.548081"}
    facts |= {"total": "96.548081", "grade": "优"}
    words = Outline(render_html(facts)).words
    assert "Fit for grid" in words
    assert "优" in words


def test_a_dataset_of_which_nothing_could_be_measured_is_drawn() -> None:
    facts = scored() | {"total": None, "grade": None, "dimensions": {}, "fixes": []}
    facts["combined"] = [measure(one["id"], status="not_declared") for one in facts["combined"]]
    assert "Nothing could be measured yet" in Outline(render_html(facts)).words
    assert "Nothing could be measured yet" in Outline(render_card(facts)).words


def test_a_radar_needs_three_dimensions() -> None:
    facts = scored()
    drawn = radar(dimensions(facts))
    assert drawn is not None
    assert len(drawn.corners) == 5
    assert drawn.shape.split()[0] == "0,-99.94", "the first dimension points up, as far as its value"
    facts["dimensions"] = {"conformity": "10", "accuracy": "20"}
    assert radar(dimensions(facts)) is None


@pytest.mark.parametrize("corners", [3, 4, 5])
def test_no_label_of_a_radar_runs_out_of_its_drawing(corners: int) -> None:
    facts = scored()
    facts["dimensions"] = dict(list(facts["dimensions"].items())[:corners])
    drawn = radar(dimensions(facts))
    assert drawn is not None
    box = re.search(r'class="radar" viewBox="(-?\d+) (-?\d+) (\d+) (\d+)"', render_html(facts))
    assert box is not None
    left, _, width, _ = map(int, box.groups())
    for corner in drawn.corners:
        long = 0.66 * 11 * len(corner.line.wording.en)  # bold letters of a wide face, 11 high
        begin = corner.label[0] - {"start": 0, "middle": long / 2, "end": long}[corner.anchor]
        assert left <= begin < begin + long <= left + width, corner.line.wording.en


def test_a_type_that_nobody_declared_is_called_inferred() -> None:
    (table, *_) = (facts := scored())["profile"]["tables"]
    table["columns"] = [
        {"name": "age", "type": "integer", "declared": declared, "present": True, "missing": 0}
        for declared in (True, False)
    ]
    facts["profile"]["tables"] = [table]
    assert Outline(render_html(facts)).words.count("integer (inferred)") == 1


def test_a_real_report_draws_itself() -> None:
    report = jiebang.score(Path(palmerpenguins.__file__).parent / "data" / "penguins.csv", label="species")
    card = report._repr_html_()
    assert "98.12" in Outline(card).words
    assert "344" in card


def test_a_real_report_is_saved_as_a_page(tmp_path: Path) -> None:
    report = jiebang.score(Path(palmerpenguins.__file__).parent / "data" / "penguins-raw.csv", label="Species")
    report.save(tmp_path / "report.html")
    words = Outline((tmp_path / "report.html").read_text(encoding="utf-8")).words
    assert "5 512 / 5 848" in words
    assert "Fill in the 290 missing values of Comments" in words


@pytest.mark.parametrize(
    ("value", "shown"), [("82.125", "82.12"), ("82.126", "82.13"), ("99.999999", "99.99"), ("100.000000", "100.00")]
)
def test_numbers_are_rounded_but_only_a_whole_looks_whole(value: str, shown: str) -> None:
    assert two_places(Decimal(value)) == shown


def test_a_dataset_is_called_by_its_data_not_by_its_readme(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Series\n")
    (tmp_path / "series.csv").write_text("t,v\n2024-01-01,1\n")
    page = render_html(jiebang.score(tmp_path, rubric="core-1-draft").as_dict())
    assert "<title>series.csv and 1 more" in page


def test_the_page_of_every_measure_names_all_of_them_in_both_languages(tmp_path: Path) -> None:
    (tmp_path / "series.csv").write_text("t,v\n2024-01-01,1\n2024-01-03,2\n")
    declare = {"time": "t", "grid": "1d", "period": {"from": "2024-01-02"}, "domains": {"v": {"max": 1}}}
    page = render_html(jiebang.score(tmp_path, declare=declare, rubric="core-1-draft").as_dict())
    outline, chinese = Outline(page), Outline(page, "zh")
    for words in ("Grid completeness", "Currency", "Timeliness", "Domain conformity"):
        assert words in outline.words
        assert words not in chinese.words
    for words in ("时间网格完整", "时效", "时效性", "取值合规", "数据集质量报告"):
        assert words in chinese.words
        assert words not in outline.words
    assert "missing before it: 2024-01-02T00:00" in outline.words
    assert outline.loads == []
    assert len(set(outline.ids)) == len(outline.ids)


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` by WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_all_text_stands_out_from_what_is_behind_it_by_day_by_night_and_on_paper() -> None:
    style = (Path(jiebang.report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    palettes = [
        {
            name: colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
            for name, colour in re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", palette)
        }
        for palette in re.findall(r":root \{([^}]*)\}", style)
    ]
    assert len(palettes) == 3
    for palette in palettes:
        pairs = [
            (text, behind) for text in ("ink", "soft", "accent", "good", "fair", "poor") for behind in ("paper", "card")
        ]
        pairs += [(tone, f"{tone}-soft") for tone in ("good", "fair", "poor")]
        pairs += [("ink", "fair-soft"), ("ink", "accent-soft"), ("accent", "fair-soft")]
        for text, behind in pairs:
            assert _contrast(palette[text], palette[behind]) >= 4.5, (text, behind, palette[text], palette[behind])


def test_a_dataset_of_images_is_called_by_an_image() -> None:
    facts = scored()
    facts["dataset"]["files"] = [
        {"path": path, "bytes": 1, "sha256": "00", "kind": "other"} for path in ("README.md", "images/001.jpg")
    ]
    assert "<title>images/001.jpg and 1 more" in render_html(facts)


@pytest.mark.parametrize(("language", "chosen"), [("en", "in-en"), ("zh", "in-zh")])
def test_the_page_opens_in_one_language_and_holds_both(language: Language, chosen: str) -> None:
    page = render_html(scored(), language=language)
    assert re.findall(r'id="(in-[a-z]+)" checked', page) == [chosen]
    english, chinese = Outline(page).words, Outline(page, "zh").words
    assert "What to fix first" in english
    assert "改进建议" not in english
    assert "改进建议" in chinese
    assert "What to fix first" not in chinese
    assert "使每条记录的主键完整且唯一。" in chinese
    assert "Give every record its own penguin_id" in chinese, "the sentence of the engine says where"
    assert "声明所需记录数 records ，即可测 SCL-1（规模）。" in chinese


def test_tables_name_their_columns_and_rows_for_a_screen_reader() -> None:
    page = render_html(scored())
    assert page.count("<table") == page.count("<thead") > 3
    assert '<th scope="row">penguin_id</th>' in page
    assert not re.search(r"<th(?! scope=)(?!ead)", page)
    assert not re.search(r"<svg(?![^>]*aria-hidden)", page), "what it draws is also said"
    assert "Dimensions from 0 to 100 : Conformity 99.9" in Outline(page).words
