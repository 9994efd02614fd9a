"""A folder travels as a tar that is never written down."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiebang.errors import DatasetRefused
from jiebang.packing import Package


def whole(package: Package, offset: int = 0) -> bytes:
    return b"".join(package.read(offset))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = tmp_path / "data"
    (result / "更多").mkdir(parents=True)
    (result / "b.csv").write_bytes(b"a,b\n1,2\n")
    (result / "a.csv").write_bytes(b"")
    (result / "更多" / ("n" * 150 + ".jsonl")).write_bytes(os.urandom(70_000))
    return result


def test_a_file_travels_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    package = Package(path)
    assert package.filename == "a.csv"
    assert package.length == 4
    assert whole(package) == b"a\n1\n"
    assert package.sha256() == hashlib.sha256(b"a\n1\n").hexdigest()


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    package = Package(tmp_path / "a.csv")
    assert package.length == 0
    assert whole(package) == b""


def test_a_folder_is_a_tar_that_others_can_read(folder: Path) -> None:
    package = Package(folder)
    assert package.filename == "data.tar"
    content = whole(package)
    assert len(content) == package.length
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    expected = {f"data/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == expected
    assert list(found) == sorted(found, key=os.fsencode)


def test_the_same_folder_gives_the_same_bytes_whatever_its_times(folder: Path) -> None:
    before = Package(folder).sha256()
    os.utime(folder / "a.csv", (1, 1))
    assert Package(folder).sha256() == before


@given(data=st.data())
def test_it_can_be_read_from_any_offset(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "offsets"
    folder.mkdir(exist_ok=True)
    for number, size in enumerate((0, 1, 511, 512, 513, 3000)):
        (folder / f"{number}.csv").write_bytes(bytes([number]) * size)
    package = Package(folder)
    content = whole(package)
    offset = data.draw(st.integers(0, package.length))
    assert whole(package, offset) == content[offset:]


def test_progress_ends_at_the_length(folder: Path) -> None:
    seen: list[int] = []
    package = Package(folder)
    package.sha256(seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == package.length


def test_links_are_refused(folder: Path) -> None:
    (folder / "link.csv").symlink_to(folder / "b.csv")
    with pytest.raises(DatasetRefused) as refusal:
        Package(folder)
    assert refusal.value.code == "not_a_plain_file"


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(DatasetRefused) as refusal:
        Package(tmp_path / "a")
    assert refusal.value.code == "empty_folder"


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetRefused) as refusal:
        Package(tmp_path / "nowhere")
    assert refusal.value.code == "no_such_path"


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 100)
    package = Package(path)
    path.write_bytes(b"x" * 50)
    with pytest.raises(DatasetRefused) as refusal:
        whole(package)
    assert refusal.value.code == "changed_meanwhile"
