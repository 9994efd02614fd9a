"""The headers of tus: what is understood, and the code of what is not."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import tus
from shared.problems import Problem

DIGEST = hashlib.sha256(b"abc").hexdigest()


def b64(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def announced(**changes: str | None) -> dict[str, str]:
    headers: dict[str, str | None] = {
        "upload-length": "3",
        "upload-metadata": f"filename {b64('数据.csv')},sha256 {b64(DIGEST)}",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in headers.items() if value is not None}


def code_of(headers: dict[str, str], max_bytes: int = 100) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        tus.announcement(headers, max_bytes=max_bytes)
    return refused.value.status, refused.value.code


def test_a_creation_says_length_name_and_digest() -> None:
    said = tus.announcement(announced(), max_bytes=3)
    assert said == tus.Announcement(3, DIGEST, "数据.csv", None)


def test_a_client_that_names_no_file_gets_a_name() -> None:
    said = tus.announcement(announced(upload_metadata=f"sha256 {b64(DIGEST)}, filetype {b64('text/csv')}"), max_bytes=3)
    assert (said.filename, said.filetype) == ("dataset", "text/csv")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"upload_length": None}, 400, "bad_header"),
        ({"upload_length": "-1"}, 400, "bad_header"),
        ({"upload_length": "1e3"}, 400, "bad_header"),
        ({"upload_length": "٣"}, 400, "bad_header"),
        ({"upload_length": "9" * 5000}, 400, "bad_header"),
        ({"upload_length": "101"}, 413, "upload_too_large"),
        ({"upload_length": None, "upload_defer_length": "1"}, 400, "length_required"),
        ({"upload_metadata": None}, 422, "digest_required"),
        ({"upload_metadata": "sha256"}, 422, "digest_required"),
        ({"upload_metadata": f"sha256 {b64(DIGEST.upper())}"}, 422, "digest_malformed"),
        ({"upload_metadata": f"sha256 {b64('abc')}"}, 422, "digest_malformed"),
        ({"upload_metadata": "sha256 ***"}, 400, "bad_metadata"),
        ({"upload_metadata": "a b c"}, 400, "bad_metadata"),
        ({"upload_metadata": f"sha256 {b64(DIGEST)},sha256 {b64(DIGEST)}"}, 400, "bad_metadata"),
        ({"upload_metadata": f"filename {b64(bytes([255, 254]))},sha256 {b64(DIGEST)}"}, 400, "bad_metadata"),
        ({"upload_metadata": f"filename {b64('../x')},sha256 {b64(DIGEST)}"}, 422, "filename_refused"),
        ({"upload_metadata": f"filename {b64('a' * 4000)},sha256 {b64(DIGEST)}"}, 422, "filename_refused"),
        ({"upload_metadata": f"filename {b64('a' + chr(0))},sha256 {b64(DIGEST)}"}, 422, "filename_refused"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_code(changes: dict[str, str | None], status: int, code: str) -> None:
    assert code_of(announced(**changes)) == (status, code)


def test_another_version_of_tus_is_refused_with_ours() -> None:
    with pytest.raises(Problem) as refused:
        tus.require_version({"tus-resumable": "0.2.2"})
    assert (refused.value.status, refused.value.headers["Tus-Version"]) == (412, "1.0.0")
    tus.require_version({"tus-resumable": "1.0.0"})


def test_a_checksum_is_thirty_two_bytes_of_sha256() -> None:
    digest = hashlib.sha256(b"abc").digest()
    assert tus.checksum({}) is None
    assert tus.checksum({"upload-checksum": f"sha256 {b64(digest)}"}) == digest
    for header, code in (
        (f"sha1 {b64(digest)}", "checksum_algorithm"),
        ("sha256 abc", "bad_header"),
        ("sha256", "bad_header"),
    ):
        with pytest.raises(Problem) as refused:
            tus.checksum({"upload-checksum": header})
        assert refused.value.code == code


@given(st.text(max_size=300))
def test_no_metadata_header_does_anything_but_parse_or_be_refused(header: str) -> None:
    status = 200
    try:
        tus.announcement({"upload-length": "1", "upload-metadata": header}, max_bytes=1)
    except Problem as problem:
        status = problem.status
    assert 200 <= status < 500


@given(st.dictionaries(st.sampled_from(["filename", "sha256", "x"]), st.text(max_size=50)))
def test_metadata_that_we_write_reads_back(pairs: dict[str, str]) -> None:
    assert {key: value.decode() for key, value in tus.metadata(tus.write_metadata(pairs)).items()} == pairs
