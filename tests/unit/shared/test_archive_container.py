"""The file of an archive: what goes in comes out, and whatever was changed on the way is noticed."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.archive.container import BLOCK_BYTES, ArchiveRefused, Entry, Reader, Writer

COUNTS = {"documents": {}, "records": {}, "objects": {"count": 2}}


def write(file: Path) -> Path:
    writer = Writer(file)
    writer.add("format.json", json.dumps({"format": "jiebang-archive", "version": 1}).encode())
    writer.add_block("documents/board/teams/000001", b"documents" * 50)
    writer.add("objects/uploads/upl_1/a-name-that-is-longer-than-the-hundred-bytes-that-a-header-of-tar-has-room-for/"
               "000001", b"piece" * 300)  # fmt: skip
    with writer.member("objects/数据.csv", 6) as put:
        put(b"a,b")
        put(b"\n1,")
    writer.finish(COUNTS)
    return file


def read(file: Path) -> dict[str, bytes]:
    """Every member that an archive shows, verified."""
    shown: dict[str, bytes] = {}

    def look(entry: Entry) -> None:
        shown[entry.name] = entry.block() if entry.service else b"".join(entry.pieces())

    Reader(file).verify(lambda count: None, look)
    return shown


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("archive") / "a.tar").read_bytes()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tar")
    assert list(read(file).values()) == [b"documents" * 50, b"piece" * 300, b"a,b\n1,"]
    again = Reader(file)
    assert [entry.object for entry in again.entries(lambda count: None)][2] == "数据.csv"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    assert file.stat().st_mode & 0o077 == 0, "secrets of webhooks are in it"


def test_other_tools_read_it_too(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path / "a.tar")) as tar:
        names = tar.getnames()
        sums = tar.extractfile("SHA256SUMS")
        assert sums is not None
        assert [line.split(b"  ")[1].decode() for line in sums.read().splitlines()] == names[:-2]
        assert names[-1] == "manifest.json"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    at, by = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    file = tmp_path / "changed.tar"
    file.write_bytes(whole[:at] + bytes([whole[at] ^ by]) + whole[at + 1 :])
    try:
        shown = list(read(file).values())
    except ArchiveRefused:
        return
    assert shown == [b"documents" * 50, b"piece" * 300, b"a,b\n1,"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_archive_that_is_cut_off_is_noticed(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    end = whole.rindex(b"}")
    file = tmp_path / "cut.tar"
    file.write_bytes(whole[: data.draw(st.integers(0, end))])
    with pytest.raises(ArchiveRefused):
        read(file)


@pytest.mark.parametrize(
    "name", ["objects/../../etc/passwd", "objects//a", "objects/a/./b", "/objects/a", "documents/board/../x", "else"]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    writer = Writer(tmp_path / "a.tar")
    writer.add("format.json", json.dumps({"format": "jiebang-archive", "version": 1}).encode())
    writer.add(name, b"x")
    writer.finish(COUNTS)
    with pytest.raises(ArchiveRefused, match="strange"):
        read(tmp_path / "a.tar")


def test_a_block_that_unpacks_to_more_than_any_block_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.tar")
    writer.add("format.json", json.dumps({"format": "jiebang-archive", "version": 1}).encode())
    packer = zlib.compressobj(9, wbits=31)
    writer.add("documents/board/teams/000001", packer.compress(bytes(10 * BLOCK_BYTES)) + packer.flush())
    writer.finish(COUNTS)
    with pytest.raises(ArchiveRefused, match="larger than any block"):
        read(tmp_path / "a.tar")


def test_an_archive_of_a_later_release_says_so(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.tar")
    writer.add("format.json", json.dumps({"format": "jiebang-archive", "version": 2}).encode())
    writer.finish(COUNTS)
    with pytest.raises(ArchiveRefused) as told:
        read(tmp_path / "a.tar")
    assert told.value.code == "archive_too_new"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ArchiveRefused):
        read(tmp_path / "a.tar")


def test_a_tar_of_something_else_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("objects/a")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(ArchiveRefused):
        read(tmp_path / "a.tar")


def test_nothing_is_left_of_what_was_abandoned(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.tar")
    writer.add("format.json", b"{}")
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_changes_while_it_is_written_ends_the_export(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.tar")
    with pytest.raises(ArchiveRefused) as told, writer.member("objects/a", 5) as put:
        put(b"four")
    assert told.value.code == "changed_meanwhile"
    writer.abandon()
