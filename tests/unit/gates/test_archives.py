"""Gate G1: what an archive may not be, and what is said about it."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from jiebang.dataset.opening import FileKind, Limits, OpenedDataset, open_dataset
from jiebang.errors import DatasetRefused
from jiebang.result import GateStatus

CSV = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number * 7919 % 1000) for number in range(50))

Open = Callable[..., OpenedDataset]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def opening(name: str, content: bytes, **limits: int) -> OpenedDataset:
        path = tmp_path / name
        path.write_bytes(content)
        return open_dataset([path], scratch=scratch, limits=Limits(**limits))

    return opening


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def tarred(*members: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def codes(dataset: OpenedDataset, gate: str = "G1") -> list[str]:
    (found,) = [result for result in dataset.gates if result.id == gate]
    assert (found.status is GateStatus.FAILED) == bool(found.reasons)
    return [reason.code for reason in found.reasons]


def paths(dataset: OpenedDataset) -> list[str]:
    return [file.path for file in dataset.files]


PACKED = {
    "d.zip": zipped(("top/b.csv", CSV), ("top/a.csv", CSV)),
    "d.tar": tarred(("top/b.csv", CSV), ("top/a.csv", CSV)),
    "d.tar.gz": gzip.compress(tarred(("top/b.csv", CSV), ("top/a.csv", CSV))),
    "d.tgz": gzip.compress(tarred(("top/b.csv", CSV), ("top/a.csv", CSV))),
    "d.tar.zst": zstandard.compress(tarred(("top/b.csv", CSV), ("top/a.csv", CSV))),
}


@pytest.mark.parametrize("name", PACKED)
def test_an_archive_gives_the_digest_of_the_folder_it_holds(name: str, opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CSV)
    (folder / "b.csv").write_bytes(CSV)
    (folder / ".DS_Store").write_bytes(b"junk")
    plain = open_dataset([folder], scratch=tmp_path)
    dataset = opened(name, PACKED[name])
    assert codes(dataset) == codes(dataset, "G3") == []
    assert paths(dataset) == paths(plain) == ["a.csv", "b.csv"]
    assert dataset.digest == plain.digest
    assert all(file.location.read_bytes() == CSV and file.kind is FileKind.CSV for file in dataset.files)


def test_a_compressed_file_counts_as_it_was_handed_in(opened: Open) -> None:
    packed = gzip.compress(CSV)
    (file,) = opened("a.csv.gz", packed).files
    assert (file.path, file.bytes, file.kind) == ("a.csv.gz", len(packed), FileKind.CSV)
    assert file.location.read_bytes() == CSV


def test_the_digest_is_over_path_bytes_and_sha256(opened: Open) -> None:
    content = b"a\n1\n"
    listed = f'[{{"bytes":4,"path":"é.csv","sha256":"{hashlib.sha256(content).hexdigest()}"}}]'
    assert opened("é.csv", content).digest == hashlib.sha256(listed.encode("utf-8")).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.zip", zipped(("zeros.csv", bytes(5_000_000))), "ratio_too_high"),
        ("a.csv.gz", gzip.compress(bytes(5_000_000)), "ratio_too_high"),
        ("a.csv.zst", zstandard.compress(bytes(5_000_000)), "ratio_too_high"),
        ("a.tar.gz", gzip.compress(tarred(("zeros.csv", bytes(5_000_000)))), "ratio_too_high"),
        ("a.zip", zipped(("../a.csv", CSV)), "unsafe_path"),
        ("a.zip", zipped(("x/../../a.csv", CSV)), "unsafe_path"),
        ("a.zip", zipped(("..\\a.csv", CSV)), "unsafe_path"),
        ("a.zip", zipped(("C:\\a.csv", CSV)), "unsafe_path"),
        ("a.tar", tarred(("/etc/a.csv", CSV)), "unsafe_path"),
        ("a.tar", tarred(("a\x01.csv", CSV)), "unsafe_name"),
        ("a.tar", tarred(("n" * 4_000 + ".csv", CSV)), "name_too_long"),
        ("a.tar", tarred(("/".join(["folder"] * 200) + "/a.csv", CSV)), "name_too_long"),
        ("a.zip", zipped(("A.csv", CSV), ("a.csv", CSV)), "name_collision"),
        ("a.zip", zipped(("\u00e9.csv", CSV), ("e\u0301.csv", CSV)), "name_collision"),
        ("a.zip", zipped(("a.csv", CSV), ("a.csv/b.csv", CSV)), "name_collision"),
        ("a.zip", zipped(("a.csv", CSV))[:-30], "truncated"),
        ("a.zip", zipped(("a.csv", CSV)) + b"hidden", "corrupt_archive"),
        ("a.zip", zipped(("a.csv", CSV), method=zipfile.ZIP_BZIP2), "unsupported_compression"),
        ("a.tar", tarred(("a.csv", CSV))[:700], "truncated"),
        ("a.tar", tarred(("a.csv", CSV))[:1024], "truncated"),
        ("a.tar.gz", gzip.compress(tarred(("a.csv", random.Random(1).randbytes(9_000))))[:-50], "truncated"),
        ("a.csv.gz", gzip.compress(CSV)[:-8], "truncated"),
        ("a.csv.gz", gzip.compress(CSV) + b"more", "corrupt_file"),
        ("a.csv.zst", zstandard.compress(CSV)[:-3], "truncated"),
        ("a.zip", zipped(("b.zip", zipped(("c.zip", zipped(("a.csv", CSV)))))), "nested_too_deep"),
    ],
)
def test_a_hostile_archive_fails_and_is_listed_as_it_is(name: str, content: bytes, code: str, opened: Open) -> None:
    dataset = opened(name, content)
    assert codes(dataset) == [code]
    assert [(file.path, file.bytes, file.kind) for file in dataset.files] == [(name, len(content), FileKind.OTHER)]


def test_an_archive_in_an_archive_is_opened(opened: Open) -> None:
    dataset = opened("a.zip", zipped(("b.zip", zipped(("x/c.csv", CSV), ("x/d.csv", CSV))), ("a.csv", CSV)))
    assert codes(dataset) == []
    assert paths(dataset) == ["a.csv", "b.zip/c.csv", "b.zip/d.csv"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_a_tar_fails(kind: bytes, opened: Open) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("a.csv")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert codes(opened("a.tar", target.getvalue())) == ["linked_entry"]


def test_a_link_in_a_zip_fails(opened: Open) -> None:
    info = zipfile.ZipInfo("a.csv")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    assert codes(opened("a.zip", zipped((info, b"/etc/passwd")))) == ["linked_entry"]


def test_a_link_in_a_folder_fails(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").symlink_to("/etc/passwd")
    dataset = open_dataset([folder], scratch=tmp_path)
    assert codes(dataset) == ["linked_entry"]
    assert paths(dataset) == []


def test_a_name_with_nul_fails(opened: Open) -> None:
    content = zipped(("axb.csv", CSV)).replace(b"axb.csv", b"a\0b.csv")
    assert codes(opened("a.zip", content)) == ["unsafe_name"]


def test_an_encrypted_member_fails(opened: Open) -> None:
    content = bytearray(zipped(("a.csv", CSV)))
    content[content.index(b"PK\1\2") + 8] |= 1
    assert codes(opened("a.zip", bytes(content))) == ["encrypted_entry"]


@pytest.mark.parametrize("declared", [10, len(CSV) - 1, len(CSV) + 1, 4_000_000_000])
def test_an_archive_that_lies_about_a_size_fails(declared: int, opened: Open) -> None:
    content = bytearray(zipped(("a.csv", CSV)))
    struct.pack_into("<L", content, content.index(b"PK\1\2") + 24, declared)
    assert codes(opened("a.zip", bytes(content))) == ["false_size"]


def test_an_archive_that_lies_about_a_checksum_fails(opened: Open) -> None:
    content = bytearray(zipped(("a.csv", CSV)))
    content[content.index(b"PK\1\2") + 16] ^= 0xFF
    assert codes(opened("a.zip", bytes(content))) == ["corrupt_archive"]


def test_members_that_share_bytes_fail(opened: Open) -> None:
    content = zipped(("a.csv", CSV), ("b.csv", CSV))
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 4)
    lying = bytearray(content)
    lying[second + 42 : second + 46] = content[first + 42 : first + 46]  # both begin where the first does
    lying[second + 46 : second + 51] = b"a.csv"
    assert codes(opened("a.zip", bytes(lying))) == ["overlapping_members"]


def test_a_member_beyond_every_file_fails(opened: Open) -> None:
    content = zipped(("a.csv", CSV))
    directory, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    wide = struct.pack("<HHQ", 1, 8, 2**64 - 1)  # the 64-bit offset of a member whose 32-bit one is full
    entry = bytearray(content[directory:end] + wide)
    struct.pack_into("<H", entry, 30, len(wide))
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    closing = bytearray(content[end:])
    struct.pack_into("<L", closing, 12, len(entry))
    assert codes(opened("a.zip", content[:directory] + entry + closing)) == ["corrupt_archive"]


def test_headers_that_lengthen_names_without_end_fail(opened: Open) -> None:
    longer = tarfile.TarInfo("././@LongLink")
    longer.type, longer.size = tarfile.GNUTYPE_LONGNAME, 1
    header = longer.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(tarfile.BLOCKSIZE, b"\0")
    assert codes(opened("a.tar", header * 3_000 + tarred(("a.csv", CSV)))) == ["corrupt_archive"]


def test_a_member_with_two_names_fails(opened: Open) -> None:
    content = bytearray(zipped(("a.csv", CSV)))
    content[30:35] = b"b.csv"
    assert codes(opened("a.zip", bytes(content))) == ["false_name"]


def test_limits_are_counted_over_everything(opened: Open) -> None:
    many = zipped(*((f"{number}.csv", CSV) for number in range(20)), method=zipfile.ZIP_STORED)
    assert codes(opened("a.zip", many, entries=20)) == ["too_many_entries"]
    assert codes(opened("a.zip", many, entries=21)) == []
    assert codes(opened("a.zip", many, expanded=20 * len(CSV) - 1)) == ["too_large"]
    assert codes(opened("a.csv", CSV, expanded=len(CSV) - 1)) == ["too_large"]


def test_a_chinese_name_without_the_utf8_flag_is_read(opened: Open) -> None:
    content = zipped(("xxxx.csv", CSV)).replace(b"xxxx.csv", "数据.csv".encode("gb18030"))
    assert paths(opened("a.zip", content)) == ["数据.csv"]


def test_emoji_in_a_name_are_fine(opened: Open) -> None:
    assert paths(opened("a.zip", zipped(("📈/😀.csv", CSV), ("📈/a.csv", CSV)))) == ["a.csv", "😀.csv"]


def test_files_are_sorted_by_the_bytes_of_their_paths(opened: Open) -> None:
    names = ("\uffee.csv", "\U00010000.csv", "b.csv", "a/c.csv", "B2.csv")
    assert paths(opened("a.zip", zipped(*((name, CSV) for name in names)))) == sorted(names, key=str.encode)


def test_several_files_keep_their_paths_below_the_common_folder(tmp_path: Path) -> None:
    for name in ("x/a.csv", "y/a.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(CSV)
    dataset = open_dataset([tmp_path / "y/a.csv", tmp_path / "x/a.csv"], scratch=tmp_path)
    assert paths(dataset) == ["x/a.csv", "y/a.csv"]


@pytest.mark.parametrize("handed_in", [[], ["none.csv"], ["empty"]])
def test_what_is_not_there_is_refused(handed_in: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetRefused) as refused:
        open_dataset([tmp_path / name for name in handed_in], scratch=tmp_path)
    assert refused.value.code == "not_a_dataset"


def test_a_parquet_file_that_expands_too_far_fails(opened: Open) -> None:
    target = io.BytesIO()
    zeros = pa.table({"a": pa.array(np.zeros(3_000_000, dtype=np.int64))})
    pq.write_table(zeros, target, compression="zstd", use_dictionary=False)
    assert codes(opened("a.parquet", target.getvalue())) == ["ratio_too_high"]


def test_a_parquet_file_of_too_many_repeated_cells_fails(opened: Open) -> None:
    target = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array(np.zeros(3_000_000, dtype=np.int64))}), target)
    assert len(target.getvalue()) < 20_000
    assert codes(opened("a.parquet", target.getvalue(), expanded=2_999_999)) == ["too_large"]
    assert codes(opened("a.parquet", target.getvalue(), expanded=3_000_000)) == []
