"""Gate G3: what a file is by its bytes, and what is refused."""

from __future__ import annotations

import gzip
import io
import marshal
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from jiebang.dataset.opening import FileKind, open_dataset
from jiebang.result import GateStatus


def npy(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=True)
    return target.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return target.getvalue()


def parquet() -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), target)
    return target.getvalue()


OBJECTS = npy(np.array([{"a": 1}], dtype=object))
NUMBERS = npy(np.array([1.5, 2.5]))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def opened(tmp_path: Path, name: str, content: bytes) -> tuple[list[str], list[FileKind]]:
    folder, scratch = tmp_path / "data", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    (folder / name).write_bytes(content)
    dataset = open_dataset([folder], scratch=scratch)
    gates = {gate.id: gate for gate in dataset.gates}
    assert gates["G1"].status is GateStatus.PASSED
    assert (gates["G3"].status is GateStatus.FAILED) == bool(gates["G3"].reasons)
    return [reason.code for reason in gates["G3"].reasons], [file.kind for file in dataset.files]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        *(("data.csv", pickle.dumps([1, "a"], protocol), "pickle") for protocol in range(6)),
        ("model.bin", pickle.dumps({"w": [1.0]}), "pickle"),
        ("a.csv", zlib.compress(pickle.dumps([1])), "pickle"),
        ("a.pkl", b"a,b\n", "pickle"),
        ("a.joblib", b"a,b\n", "pickle"),
        ("a.pt", zipped(("a/data.pkl", pickle.dumps([1]))), "pickle"),
        ("a.npy", OBJECTS, "pickle"),
        ("a.npy", b"\x93NUMPY\1\0\4\0oops", "pickle"),
        ("a.npz", zipped(("x.npy", NUMBERS), ("y.npy", OBJECTS)), "pickle"),
        ("a.csv", b"\x7fELF\2\1\1" + bytes(60), "executable"),
        ("a", b"MZ\x90\0\3\0\0\0" + bytes(60), "executable"),
        ("a.txt", b"#!/bin/sh\nrm -rf /\n", "executable"),
        ("a.exe", b"text", "executable"),
        ("a.pyc", marshal.dumps(1), "executable"),
        ("a.xlsx", zipped(("xl/workbook.xml", b"<x/>"), ("xl/vbaProject.bin", b"x")), "office_macros"),
        ("a.docm", b"text", "office_macros"),
        (
            "a.doc",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "_VBA_PROJECT".encode("utf-16-le"),
            "office_macros",
        ),
        ("a.svg", b"<svg xmlns='x'><script>alert(1)</script></svg>", "svg_script"),
        ("a.svg", b"<?xml version='1.0'?><svg onload = 'x()'/>", "svg_script"),
        ("a.csv", b"<!DOCTYPE html><html></html>", "html"),
        ("a.txt", b"\xef\xbb\xbf <!-- a --><?x?>\n<!-- b -->\n<HTML >", "html"),
        ("a.html", b"text", "html"),
        ("a.csv", PNG, "type_mismatch"),
        ("a.csv", parquet(), "type_mismatch"),
        ("a.json", parquet(), "type_mismatch"),
        ("a.parquet", b"a,b\n1,2\n", "type_mismatch"),
        ("a.csv", b'{"a": 1}\n{"a": 2}\n', "type_mismatch"),
        ("a.csv", zipped(("b.csv", b"a\n1\n")), "type_mismatch"),
        ("a.parquet", parquet()[:-20], "truncated"),
        ("a.parquet", b"PAR1", "truncated"),
        ("a.parquet", b"PAR1" + bytes(40) + b"PAR1", "corrupt_file"),
        ("a.parquet.gz", gzip.compress(parquet()), "unsupported_compression"),
        ("a.csv.gz", gzip.compress(pickle.dumps([1])), "pickle"),
    ],
)
def test_a_file_is_refused(name: str, content: bytes, code: str, tmp_path: Path) -> None:
    assert opened(tmp_path, name, content) == ([code], [FileKind.OTHER])


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", b"a,b\n1,2\n", FileKind.CSV),
        ("a.csv", b"", FileKind.CSV),
        ("a.csv", b"MZ,intensity\n1,2\n", FileKind.CSV),
        ("a.csv", b"BZh,RIFF\n1,2\n", FileKind.CSV),
        ("a.csv", b"a\0b,c\n1,2\n", FileKind.CSV),
        ("a.csv", "\ufeffa,b\n".encode("utf-16-le"), FileKind.CSV),
        ("a.csv", b"{x},y\n1,2\n", FileKind.CSV),
        ("a.csv", b"(1, 2).\n", FileKind.CSV),
        ("a.tsv", b"a\tb\n", FileKind.CSV),
        ("a.jsonl", b'{"a":1}\n', FileKind.JSONL),
        ("a.ndjson", b"not json\n", FileKind.JSONL),
        ("a.json", b'{"a":1}\n{"a":2}\n', FileKind.JSON),
        ("a.json", b'[{"a":1}]', FileKind.JSON),
        ("a.parquet", parquet(), FileKind.PARQUET),
        ("table", parquet(), FileKind.PARQUET),
        ("table", b"a,b\n1,2\n", FileKind.CSV),
        ("table", b'{"a":1}\n{"a":2}', FileKind.JSONL),
        ("table", b'[\n{"a":1}]', FileKind.JSON),
        ("table", b"\1\2\0\3", FileKind.OTHER),
        ("a.npy", NUMBERS, FileKind.OTHER),
        ("a.npz", zipped(("x.npy", NUMBERS)), FileKind.OTHER),
        ("a.xlsx", zipped(("xl/workbook.xml", b"<x/>")), FileKind.OTHER),
        ("a.png", PNG, FileKind.OTHER),
        ("a.svg", b"<svg><circle r='1'/></svg>", FileKind.OTHER),
        ("README.txt", b"a,b", FileKind.OTHER),
        ("LICENSE", b"MIT, of course", FileKind.OTHER),
        ("croissant.json", b'{"a":1}', FileKind.OTHER),
        ("notes.md", b"# a, b", FileKind.OTHER),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n"), FileKind.CSV),
        ("a.jsonl.zst", zstandard.compress(b'{"a":1}\n'), FileKind.JSONL),
    ],
)
def test_a_file_is_of_a_kind(name: str, content: bytes, kind: FileKind, tmp_path: Path) -> None:
    # It is all that was handed in; images alone are a dataset, other files that are no table are not.
    codes = ["not_a_dataset"] if kind is FileKind.OTHER and name != "a.png" else []
    assert opened(tmp_path, name, content) == (codes, [kind])


def test_many_comments_in_front_of_no_page_cost_nothing(tmp_path: Path) -> None:
    assert opened(tmp_path, "a.csv", b"<!---->" * 9_000 + b"a,b\n") == ([], [FileKind.CSV])
