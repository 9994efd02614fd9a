"""ANN-1 and IMG-1: boxes of COCO and YOLO, and images that decode to the last pixel."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import jiebang
from jiebang.measures.img_1 import SAMPLE
from jiebang.measures.package_measure import wilson
from jiebang.result import Status
from jiebang.sandbox import ForkServer, Job, OutcomeStatus
from jiebang.structure.images import FORMATS, MOST_PIXELS, Undecodable, decode
from jiebang.structure.yolo import class_count
from tests.naive.images import ann_1, passes
from tests.unit.structure.packages import Files, judged, notes, rubric, share


def noise(width: int = 64, height: int = 48, seed: int = 1) -> Image.Image:
    chance = random.Random(seed)
    return Image.frombytes("RGB", (width, height), chance.randbytes(3 * width * height))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


PNG = encoded(noise())
JPEG = encoded(noise(), "JPEG")


def img_1(image: bytes, name: str = "a.png") -> tuple[int | None, dict[str | None, str | None]]:
    report = judged({name: image}, "IMG-1")
    return report["IMG-1"].num, notes(report, "IMG-1")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_of_every_format_passes(kind: str) -> None:
    ending = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    assert img_1(encoded(noise(), kind), f"a.{ending}") == (1, {})


def flat(value: int, width: int = 64, height: int = 64) -> bytes:
    return encoded(Image.new("L", (width, height), value))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header, end = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + end


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (flat(128), "nothing in it is sharp"),
        (flat(3), "it is too dark"),
        (flat(250), "it is too bright"),
        (encoded(noise(31, 40)), "its shorter side has less than 32 pixels"),
        (encoded(noise(200, 40)), "one side is more than 4 times the other"),
        (PNG[: len(PNG) // 2], "its pixels cannot be decoded"),
        (JPEG[: len(JPEG) // 2], "its pixels cannot be decoded"),
        (PNG[:200] + b"\0\0\0\0" + PNG[204:], "its pixels cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n", "it cannot be read as an image"),
        (b"GIF89a", "it cannot be read as an image"),
        (b"no image", "it cannot be read as an image"),
        (b"", "it cannot be read as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n", "it cannot be read as an image"),
        (bomb(60_000, 60_000), "it cannot be read as an image"),
        (bomb(9_000, 9_000), f"it has more than {MOST_PIXELS:,} pixels"),
    ],
)
def test_an_image_that_does_not_pass_is_told_why(image: bytes, fault: str) -> None:
    report = judged({"a.png": image, "b.jpg": JPEG}, "IMG-1")
    assert share(report, "IMG-1") == (1, 2)
    assert notes(report, "IMG-1") == {"a.png": fault}


def test_a_whole_folder_that_is_cut_off_is_not_passed_by_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG[:-200])
    with Image.open(path) as image:
        image.verify()  # finds nothing wrong with it
    with pytest.raises(Undecodable):
        decode(path)


def test_without_images_there_is_nothing_to_judge() -> None:
    report = judged({"t.csv": "a\n1\n"}, "IMG-1", "ANN-1")
    assert {report[name].status for name in ("IMG-1", "ANN-1")} == {Status.NOT_APPLICABLE}


def test_a_dataset_of_images_alone_is_judged_by_what_applies() -> None:
    report = judged({"a.png": PNG, "README.md": "# Source\nA camera.\n"}, "IMG-1", "DOC-1", "COM-1")
    assert report.passed
    assert report["COM-1"].status is Status.NOT_APPLICABLE
    assert (report.tables, report.total is None) == ((), False)
    assert report.warnings == ()


def test_in_a_challenge_whose_demand_is_of_tables_images_count_nowhere() -> None:
    report = judged({"t.csv": "a\n1\n", "a.png": PNG}, "IMG-1", "ANN-1", demand={"types": {"a": "integer"}})
    assert {report[name].status for name in ("IMG-1", "ANN-1")} == {Status.NOT_APPLICABLE}


DEMAND = {"images": 4}


def test_a_challenge_may_demand_images_and_no_table() -> None:
    files: Files = {"a.png": PNG, "b.jpg": JPEG, "bad.png": PNG[:300], "boxes.json": coco([[0, 0, 1, 1]])}
    report = judged({**files, "t.csv": "a\n1\n"}, "IMG-1", "ANN-1", "SCL-1", "COM-1", demand=DEMAND)
    assert (share(report, "IMG-1"), share(report, "ANN-1"), share(report, "SCL-1")) == ((2, 4), (1, 1), (3, 4))
    assert (report["COM-1"].status, report.tables) == (Status.NOT_APPLICABLE, ())
    assert "t.csv: no table is demanded, so it counts nowhere." in report.warnings
    assert any("Add 1 distinct images" in fix.what for fix in report.fixes)


def test_demanded_images_that_are_not_there_fail() -> None:
    report = judged({"t.csv": "a\n1\n"}, "IMG-1", "ANN-1", "SCL-1", demand=DEMAND)
    assert {report[name].status for name in ("IMG-1", "ANN-1")} == {Status.FAILED}
    assert share(report, "SCL-1") == (0, 4)


def test_a_challenge_may_demand_a_table_and_images() -> None:
    demand = {"types": {"a": "integer"}, "images": 4}
    report = judged({"t.csv": "a\n1\n", "a.png": PNG}, "IMG-1", "COM-1", demand=demand)
    assert (share(report, "IMG-1"), share(report, "COM-1")) == ((1, 4), (1, 1))


TRICKS: dict[str, Callable[[Files], Files]] = {
    "the good images repeated": lambda files: {**files, **{f"again/{n}.png": PNG for n in range(50)}},
    "the bad images left out": lambda files: {name: data for name, data in files.items() if name != "flat.png"},
    "the annotations left out": lambda files: {name: data for name, data in files.items() if name != "boxes.json"},
    "the good boxes repeated": lambda files: {**files, "boxes.json": coco([[0, 0, 99, 9], *[[0, 0, 1, 1]] * 50])},
    "the good boxes repeated in another file": lambda files: {**files, "more.json": coco([[0, 0, 1, 1]] * 50)},
    "images that are only named so": lambda files: {**files, **{f"{n}.jpg": f"{n}" for n in range(50)}},
    "an image that claims to be larger": lambda files: {
        **files,
        "boxes.json": coco([[0, 0, 99, 9], [0, 0, 1, 1]], images=[{"id": 1, "file_name": "a.png", "width": 100}]),
    },
    "a table beside them": lambda files: {**files, "t.csv": "a,b\n" + "1,2\n" * 500},
}


BLIND_SPOTS: dict[str, Callable[[Files], Files]] = {
    "the boxes that are not valid left out": lambda files: {**files, "boxes.json": coco([[0, 0, 1, 1]])},
}
"""How many boxes there should be nobody has said."""

IMAGES_DEMANDED = {"images": 3}


def honest_images() -> Files:
    """Two good images and one in which nothing is sharp, with a good box and one that is too large."""
    boxes = coco([[0, 0, 99, 9], [0, 0, 1, 1]])
    return {"a.png": PNG, "b.jpg": JPEG, "flat.png": flat(90), "boxes.json": boxes}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_with_images_raises_the_total(trick: str) -> None:
    measures = ("IMG-1", "ANN-1", "SCL-1")
    before, after = (
        judged(files, *measures, demand=IMAGES_DEMANDED).total
        for files in (honest_images(), TRICKS[trick](honest_images()))
    )
    assert before is not None
    assert after is not None
    assert Decimal(after) <= Decimal(before) < 90


@pytest.mark.parametrize("trick", BLIND_SPOTS)
def test_what_these_measures_of_images_cannot_see(trick: str) -> None:
    before, after = (
        judged(files, "ANN-1", demand=IMAGES_DEMANDED).total
        for files in (honest_images(), BLIND_SPOTS[trick](honest_images()))
    )
    assert Decimal(after or 0) > Decimal(before or 0)


def test_what_pillow_counts_is_what_a_naive_loop_counts(tmp_path: Path) -> None:
    for number, (width, height, low, high) in enumerate([(32, 32, 0, 255), (33, 65, 100, 103), (40, 32, 120, 140)]):
        chance = random.Random(number)
        rows = [[chance.randint(low, high) for _ in range(width)] for _ in range(height)]
        image = Image.frombytes("L", (width, height), bytes(value for row in rows for value in row))
        assert img_1(encoded(image))[0] == int(passes(rows)), number


def coco(boxes: list[list[Any]], **changes: Any) -> str:
    data: dict[str, Any] = {
        "info": {},
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "categories": [{"id": 7, "name": "bird"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 7, "bbox": box} for n, box in enumerate(boxes)],
    }
    return json.dumps(data | changes)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([0, 0, 64, 48], None),
        ([0.5, 0.25, 10.125, 1e1], None),
        ([0, 0, 65, 49], None),
        ([0, 0, 65.001, 48], "it reaches beyond its image"),
        ([60, 0, 5.5, 4], "it reaches beyond its image"),
        ([-0.1, 0, 4, 4], "it begins outside its image"),
        ([0, 0, 0, 4], "it has no extent"),
        ([0, 0, 4, -4], "it has no extent"),
        ([0, 0, 4], "it is not four numbers"),
        (["x", 0, 4, 4], "it is not four numbers"),
        ([[0], 0, 4, 4], "it is not four numbers"),
        ([0, 0, "9" * 5000, 4], "it is not four numbers"),
    ],
)
def test_a_box_of_coco_is_valid_or_told_why(box: list[Any], fault: str | None) -> None:
    report = judged({"a.png": PNG, "boxes.json": coco([box])}, "ANN-1")
    assert share(report, "ANN-1") == (int(fault is None), 1)
    assert notes(report, "ANN-1") == ({} if fault is None else {"boxes.json": fault})
    assert report.warnings == ()


def test_a_box_of_coco_counts_once_however_it_is_written() -> None:
    box = '{"image_id": %s, "category_id": %s, "bbox": [%s]}'
    text = json.dumps(
        {"images": [{"id": n, "file_name": f"{place}a.png"} for n, place in enumerate(("", "./", "no/", "x//./"), 1)]}
    )
    boxes = [box % (1, 7, sides) for sides in ("1, 1, 9, 9", "1.0, 1, 9, 9", "1, 1e0, 0.9e1, 9.00")]
    boxes += [box % (2, 7, "1, 1, 9, 9"), box % (3, "7.0", "1, 1, 9, 9"), box % (4, 7, "1, 1, 9, 9")]
    boxes += [box % (1, 8, "1, 1, 9, 9"), box % (1, 7, "2, 1, 9, 9")]
    kinds = '"categories": [{"id": 7}, {"id": 7.0}, {"id": 8}]'
    text = f'{text[:-1]}, {kinds}, "annotations": [{", ".join(boxes)}]}}'
    assert share(judged({"a.png": PNG, "boxes.json": text}, "ANN-1"), "ANN-1") == (3, 3)
    listed = text.replace('a.png"', 'a.png", "width": 64, "height": 48').replace("no/", "").replace("x//./", ".//")
    assert share(judged({"boxes.json": listed, "t.csv": "a,b\n1,2\n"}, "ANN-1"), "ANN-1") == (3, 3)


def test_a_line_of_yolo_counts_once_however_it_is_written() -> None:
    lines = ["0 0.5 0.5 0.1 0.1", "0 .5 0.50 1e-1 0.1", "00 0.5 0.5 0.1 0.1 0.9", "1 0.5 0.5 0.1 0.1"]
    files = yolo("\n".join(lines)) | {"images/a.txt": lines[0]}
    assert share(judged(files, "ANN-1"), "ANN-1") == (2, 2)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"images": [{"id": 1, "file_name": "b.png"}]}, "its image is not known"),
        ({"images": [{"id": 1, "file_name": "../a.png"}]}, None),  # its last part alone is compared
        ({"images": [{"id": 1, "file_name": "/etc/passwd"}]}, "its image is not known"),
        ({"images": [{"id": 2, "file_name": "a.png"}]}, "its image is not known"),
        ({"categories": [{"id": 8}]}, "its category is not known"),
        ({"categories": []}, "its category is not known"),
    ],
)
def test_image_and_category_of_a_box_must_be_known(change: dict[str, Any], fault: str | None) -> None:
    report = judged({"images/a.png": PNG, "boxes.json": coco([[0, 0, 1, 1]], **change)}, "ANN-1")
    assert share(report, "ANN-1") == (int(fault is None), 1)
    assert notes(report, "ANN-1") == ({} if fault is None else {"boxes.json": fault})


def test_the_size_is_that_of_the_image_and_not_what_a_file_claims() -> None:
    claimed = [{"id": 1, "file_name": "a.png", "width": 9000, "height": 9000}]
    report = judged({"a.png": PNG, "boxes.json": coco([[0, 0, 100, 100]], images=claimed)}, "ANN-1")
    assert share(report, "ANN-1") == (0, 1)


def test_annotations_without_any_image_are_held_to_the_sizes_that_they_list() -> None:
    report = judged({"t.csv": "a\n1\n", "boxes.json": coco([[0, 0, 64, 48], [0, 0, 99, 1]])}, "ANN-1")
    assert share(report, "ANN-1") == (1, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"images": [], "annotations": [', "not JSON"),
        ('{"images": {}, "annotations": []}', "no list of images"),
        ('{"images": [], "annotations": [], "images": []}', "a name twice"),
        ('{"images": [], "annotations": [NaN]}', "NaN"),
        ('{"images": [], "annotations": ' + "[" * 100_000 + "]" * 100_000 + "}", "not JSON"),
    ],
)
def test_annotations_that_cannot_be_read_fail(text: str, why: str) -> None:
    report = judged({"a.png": PNG, "boxes.json": text}, "ANN-1")
    assert report["ANN-1"].status is Status.FAILED
    assert why in str(report["ANN-1"].note)


def test_annotations_are_no_table() -> None:
    report = judged({"t.csv": "a\n1\n", "a.png": PNG, "a.txt": "0 0.5 0.5 0.1 0.1\n", "b.json": coco([])}, "ANN-1")
    assert [table["name"] for table in report.tables] == ["t.csv"]


YAML = "path: .\ntrain: images\nnames:\n  0: bird\n  1: nest\n"


def yolo(line: str, names: Files | None = None) -> Files:
    return {"images/a.png": PNG, "labels/a.txt": line, **({"data.yaml": YAML} if names is None else names)}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("0 0.5 0.5 1 1", None),
        ("1 0.333333 0.5 0.666667 1.0", None),
        ("1 .5 .5 1e-1 0.1 0.93", None),
        ("0 0.1 0.1 0.5 0.1 0.3 0.4", None),
        ("2 0.5 0.5 0.1 0.1", "its category is not known"),
        ("0 0.5 0.5 0 0.1", "it has no extent"),
        ("0 0.98 0.5 0.2 0.1", "it reaches beyond its image"),
        ("0 0.02 0.5 0.2 0.1", "it begins outside its image"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.2 0.3", "it is not four numbers"),
    ],
)
def test_a_line_of_yolo_is_valid_or_told_why(line: str, fault: str | None) -> None:
    report = judged(yolo(f"{line}\n"), "ANN-1")
    assert share(report, "ANN-1") == (int(fault is None), 1)
    assert notes(report, "ANN-1") == ({} if fault is None else {"labels/a.txt": fault})


@pytest.mark.parametrize(
    "files",
    [
        {"data.yaml": "nc: 1\nnames: [bird]\n"},
        {"data.yaml": "nc: 1\n"},
        {"labels/classes.txt": "bird\n"},
        {"classes.txt": "bird"},
    ],
)
def test_classes_are_named_in_several_ways(files: Files) -> None:
    report = judged(yolo("0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n", files), "ANN-1")
    assert share(report, "ANN-1") == (1, 2)
    assert report.tables == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (YAML, 2),
        ("names: [a, b, c]\nnc: 9\n", 3),
        ("nc: 4\ntrain: x\n", 4),
        ("train: {names: [a]}\n", 0),
        ("names:\n  - a\n  - b\n", 2),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: *b\n", 0),
        ("names: [", 0),
        ("", 0),
    ],
)
def test_the_names_of_a_yaml_are_counted_and_nothing_in_it_is_followed(text: str, count: int) -> None:
    assert class_count(text, None) == count


def test_captions_beside_images_stay_a_table() -> None:
    report = judged({"a.png": PNG, "a.txt": "A bird.\nIt sits on its nest.\n"}, "ANN-1")
    assert [table["name"] for table in report.tables] == ["a.txt"]
    assert report["ANN-1"].status is Status.NOT_DECLARED


SIDES = st.sampled_from([-1, -0.5, 0, 0.5, 1, 31, 32.25, 47, 48, 49, 49.5, 63, 64, 65, 65.5])
BOXES = st.tuples(SIDES, SIDES, SIDES, SIDES).map(list)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(7, 8), BOXES), max_size=6))
def test_it_is_what_a_naive_count_finds(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[int, int, list[float]]]
) -> None:
    from jiebang.dataset.opening import open_dataset
    from jiebang.measures.ann_1 import MEASURE
    from jiebang.structure.package import Package

    folder = tmp_path_factory.mktemp("coco")
    (folder / "a.png").write_bytes(PNG)
    data = json.loads(coco([]))
    data["images"].append({"id": 2, "file_name": "absent.png", "width": 64, "height": 48})
    data["annotations"] = [{"image_id": image, "category_id": kind, "bbox": box} for image, kind, box in entries]
    (folder / "boxes.json").write_text(json.dumps(data))
    opened = open_dataset([folder], scratch=folder.parent)
    result = MEASURE.measure(Package(opened.files), closed=False)
    assert (result.num or 0, result.den or 0) == ann_1(data, {"a.png": (64, 48)})


def test_of_very_many_images_a_sample_is_looked_at_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SAMPLE == 20_000
    monkeypatch.setattr("jiebang.measures.img_1.SAMPLE", 3)
    files: Files = {f"{n}.png": encoded(noise(seed=n)) if n % 2 else flat(n) for n in range(8)}
    first, second = (judged(files, "IMG-1")["IMG-1"] for _ in range(2))
    assert (first.den, first.sample) == (3, 3)
    assert first.ci95 == second.ci95 == wilson(first.num or 0, 3)


def test_the_interval_of_wilson() -> None:
    assert wilson(8, 10) == ("0.490162", "0.943318")
    assert (wilson(0, 5)[0], wilson(5, 5)[1]) == ("0.000000", "1.000000")


def mangled(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out[: chance.randint(8, len(out))])


ENCODERS: dict[str, Callable[[], bytes]] = {kind: (lambda kind=kind: encoded(noise(), kind)) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
def test_no_damaged_image_breaks_the_reading(kind: str, tmp_path: Path) -> None:
    whole, path, broken = ENCODERS[kind](), tmp_path / "a", 0
    for seed in range(60):
        path.write_bytes(mangled(whole, seed))
        try:
            decode(path)
        except Undecodable:
            broken += 1
    assert broken > 10


def test_images_are_judged_alike_in_a_confined_child(tmp_path: Path) -> None:
    dataset, output = tmp_path / "dataset", tmp_path / "output"
    output.mkdir()
    (dataset / "images").mkdir(parents=True)
    files = {f"images/{kind.lower()}.{kind.lower()}": ENCODERS[kind]() for kind in FORMATS if kind != "JPEG"}
    files |= {"images/a.jpg": JPEG, "images/bad.png": PNG[:300], "boxes.json": coco([[0, 0, 1, 1]]).encode()}
    for name, data in files.items():
        (dataset / name).write_bytes(data)
    with ForkServer() as server:
        outcome = server.run(
            Job("score", dataset, output, {"rubric": rubric("IMG-1", "ANN-1")}),
            wall_seconds=60,
            memory_bytes=2_000_000_000,
        )
    assert outcome.status is OutcomeStatus.DONE, outcome
    assert outcome.result is not None
    outside = jiebang.score(dataset, rubric=rubric("IMG-1", "ANN-1"))
    found = {one["id"]: (one["num"], one["den"]) for one in outcome.result["combined"]}
    assert found["IMG-1"] == share(outside, "IMG-1") == (6, 7)
    assert found["ANN-1"] == share(outside, "ANN-1") == (0, 1)
