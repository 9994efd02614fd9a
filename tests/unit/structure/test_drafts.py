"""Drafts of descriptors: what the data say, what a person must fill in, and that other programs read the result."""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
from pathlib import Path
from typing import Any

import mlcroissant
import pytest
from frictionless import Package

import jiebang
from jiebang.declaration import Declaration
from jiebang.errors import DatasetRefused
from jiebang.structure.drafts import DRAFTS, Draft, describe
from tests.cases import load_case
from tests.unit.structure.packages import rubric

MEASURES = ("MET-1", "MET-2", "LIC-1", "PRV-1", "DOC-1", "COM-1")
ORDERS = "id,when,who,state,amount\n" + "".join(
    f"{n},2026-01-{1 + n % 28:02}T08:00,c{n % 7},{'paid' if n % 3 else 'open'},{n}.5\n" for n in range(60)
)
CUSTOMERS = "who,名称 全\n" + "".join(f"c{n},客户{n}\n" for n in range(7))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "多 100%").mkdir(parents=True)
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (folder / "多 100%" / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
    (folder / "photo.bin").write_bytes(b"\0\1\2")
    return folder


def drafted(folder: Path) -> dict[str, Draft]:
    return {draft.name: draft for draft in describe(folder, list(DRAFTS))}


def filled_in(value: Any) -> Any:
    """A draft as a person completes it."""
    if isinstance(value, dict):
        return {key: filled_in(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled_in(inner) for inner in value]
    if not isinstance(value, str) or not re.search(r"FILL[ -]IN", value):
        return value
    if "YYYY" in value:
        return "2026-03-01"
    if "SPDX" in value or value == "FILL-IN":
        return "CC-BY-4.0"
    return "https://example.org/shop" if "address" in value else "Told by a person"


def write(folder: Path, drafts: dict[str, Draft]) -> None:
    for name in ("croissant.json", "datapackage.json"):
        text = json.dumps(filled_in(json.loads(drafts[name].text)), ensure_ascii=False)
        (folder / name).write_text(text, encoding="utf-8")


def test_a_data_package_holds_what_the_data_say(shop: Path) -> None:
    data = json.loads(drafted(shop)["datapackage.json"].text)
    by_path = {resource["path"]: resource for resource in data["resources"]}
    assert set(by_path) == {"orders.csv", "多 100%/customers.csv", "photo.bin"}
    orders = by_path["orders.csv"]
    assert {field["name"]: field["type"] for field in orders["schema"]["fields"]} == {
        "id": "integer", "when": "datetime", "who": "string", "state": "string", "amount": "number",
    }  # fmt: skip
    assert orders["schema"]["primaryKey"] == ["id"]
    assert orders["jiebang"]["time"] == "when"
    assert "state" in orders["jiebang"]["label"]
    target = by_path["多 100%/customers.csv"]["name"]
    (reference,) = orders["schema"]["foreignKeys"]
    assert reference == {"fields": ["who"], "reference": {"resource": target, "fields": ["who"]}}


def test_a_column_named_as_label_is_one_without_a_question(tmp_path: Path) -> None:
    case = load_case("penguins")
    drafts = drafted(case.write(tmp_path))
    assert json.loads(drafts["datapackage.json"].text)["resources"][0]["jiebang"] == {"label": "species"}
    declared = Declaration.parse(_yaml(drafts["declare.yaml"].text)).as_dict()["tables"]["penguins.csv"]
    assert declared["label"] == "species"
    assert declared["types"]["body_mass_g"] == "integer"


def _yaml(text: str) -> dict[str, Any]:
    from jiebang.document import parse_document

    return parse_document(text, "declare.yaml").data


def test_records_with_the_fields_of_tc609_are_known(tmp_path: Path) -> None:
    record = {
        "last_modified_time": "2026-02-01",
        "original_time": "2025-03-01",
        "data_content": "问：……答：……",
        "source": "公开数据",
        "source_details": "某统计局年鉴",
        "license": "CC-BY-4.0",
    }
    lines = [json.dumps({"rid": f"r{n}", **record}, ensure_ascii=False) for n in range(4)]
    (tmp_path / "qa.jsonl").write_text("\n".join(lines), encoding="utf-8")
    resource = json.loads(drafted(tmp_path)["datapackage.json"].text)["resources"][0]
    assert resource["jiebang"] == {"time": "original_time", "text": ["data_content"]}
    assert resource["schema"]["primaryKey"] == ["rid"]


def test_a_key_of_several_columns_is_found(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-{day:02},{place},{day}.5\n" for day in (1, 2, 3) for place in ("a", "b"))
    (tmp_path / "t.csv").write_text("day,place,value\n" + rows)
    data = json.loads(drafted(tmp_path)["datapackage.json"].text)
    assert data["resources"][0]["schema"]["primaryKey"] == ["day", "place"]


def test_repeated_records_have_no_key(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n1,x\n")
    assert "primaryKey" not in json.loads(drafted(tmp_path)["datapackage.json"].text)["resources"][0]["schema"]


def test_a_draft_marks_what_only_a_person_knows_and_counts_for_nothing_until_then(shop: Path) -> None:
    drafts = drafted(shop)
    assert "licenses[0].name" in drafts["datapackage.json"].to_fill_in
    assert {"description", "license", "creator.name"} <= set(drafts["croissant.json"].to_fill_in)
    for draft in drafts.values():
        (shop / draft.name).write_text(draft.text, encoding="utf-8")
    report = jiebang.score(shop, rubric=rubric(*MEASURES))
    assert (report["MET-1"].num, report["MET-1"].den) == (5, 10)
    assert (report["MET-2"].num, report["MET-2"].den) == (3, 3)
    assert (report["LIC-1"].status, report["PRV-1"].status) == ("not_declared", "not_declared")
    assert report["DOC-1"].num == 2  # scale and files are known from the data, what a field means is not
    assert [warning for warning in report.warnings if "left out" in warning] == []


def test_filled_in_it_is_whole_to_our_reader(shop: Path) -> None:
    write(shop, drafted(shop))
    report = jiebang.score(shop, rubric=rubric(*MEASURES))
    for measure in ("MET-1", "MET-2", "LIC-1", "PRV-1"):
        assert report[measure].num == report[measure].den, measure
    assert (report["KEY-1"].num, report["KEY-1"].den) == (67, 67)
    assert (report["REF-1"].num, report["REF-1"].den) == (60, 60)


def test_filled_in_other_programs_read_it(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(shop, drafted(shop))
    checked = Package.validate_descriptor(json.loads((shop / "datapackage.json").read_text()), basepath=str(shop))
    assert checked.valid, checked.to_summary()
    caplog.set_level(logging.WARNING)
    issues = mlcroissant.Dataset(str(shop / "croissant.json")).metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    assert [record.getMessage() for record in caplog.records] == []


def test_what_describes_the_dataset_already_is_no_data_and_names_its_licence(shop: Path) -> None:
    (shop / "LICENSE").write_text("CC-BY-4.0")
    (shop / "datapackage.json").write_text("{}")
    drafts = drafted(shop)
    data = json.loads(drafts["datapackage.json"].text)
    assert data["licenses"] == [{"name": "CC-BY-4.0"}]
    assert {resource["path"] for resource in data["resources"]} == {"orders.csv", "多 100%/customers.csv", "photo.bin"}
    assert json.loads(drafts["croissant.json"].text)["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"


def test_an_archive_is_described_by_what_it_holds(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/t.csv", "x\n1\n")
    (tmp_path / "a.zip").write_bytes(out.getvalue())
    data = json.loads(drafted(tmp_path / "a.zip")["datapackage.json"].text)
    assert [resource["path"] for resource in data["resources"]] == ["t.csv"]


def test_what_no_gate_lets_in_is_not_described(tmp_path: Path) -> None:
    (tmp_path / "t.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(DatasetRefused, match="pickle"):
        describe(tmp_path, ["croissant.json"])
