"""An upload: its offset only moves over bytes that are stored, and only what was announced is verified."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.upload import (
    BeyondLength,
    FilenameRefused,
    OffsetConflict,
    Part,
    Upload,
    UploadClosed,
    UploadState,
    plain_filename,
)

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(hours=24)


def upload(length: int = 10) -> Upload:
    return Upload.create(
        id="upl_a", team="team_a", length=length, sha256="a" * 64, filename="data.csv", filetype=None, at=T0
    )


def whole(length: int = 10) -> Upload:
    return upload(length).append(0, (Part("0-a", length),), T0)


def test_the_last_byte_makes_it_whole_and_fixes_the_moment() -> None:
    half = upload().append(0, (Part("0-a", 4),), T0 + timedelta(seconds=1))
    assert (half.state, half.offset, half.completed_at) == (UploadState.RECEIVING, 4, None)
    full = half.append(4, (Part("4-b", 6),), T0 + timedelta(seconds=2))
    assert (full.state, full.completed_at) == (UploadState.VERIFYING, T0 + timedelta(seconds=2))


def test_an_upload_of_nothing_is_whole_at_once() -> None:
    assert upload(0).state is UploadState.VERIFYING
    assert upload(0).completed_at == T0


def test_bytes_for_another_offset_are_refused_with_the_right_one() -> None:
    with pytest.raises(OffsetConflict) as refused:
        upload().append(3, (Part("3-a", 1),), T0)
    assert (refused.value.expected, refused.value.received) == (0, 3)


def test_more_bytes_than_announced_are_refused() -> None:
    with pytest.raises(BeyondLength):
        upload().append(0, (Part("0-a", 11),), T0)


def test_a_whole_upload_takes_no_more_bytes() -> None:
    with pytest.raises(UploadClosed):
        whole().append(10, (Part("10-a", 0),), T0)


def test_only_the_announced_digest_is_verified_and_the_first_verdict_stands() -> None:
    assert whole().verify("a" * 64, T0).state is UploadState.VERIFIED
    refused = whole().verify("b" * 64, T0)
    assert refused.state is UploadState.REFUSED
    assert refused.problem is not None
    assert (refused.problem.code, refused.problem.received) == ("digest_mismatch", "b" * 64)
    assert refused.verify("a" * 64, T0) is refused


def test_it_expires_a_day_after_its_last_byte_but_not_while_it_is_verified() -> None:
    half = upload().append(0, (Part("0-a", 4),), T0 + timedelta(hours=5))
    assert half.expire(DAY, T0 + timedelta(hours=28)) is half
    assert half.expire(DAY, T0 + timedelta(hours=29)).state is UploadState.EXPIRED
    assert whole().expire(DAY, T0 + timedelta(days=9)).state is UploadState.VERIFYING


def test_a_deleted_upload_takes_no_bytes_and_gets_no_verdict() -> None:
    gone = whole().terminate(T0)
    assert gone.problem is not None
    assert gone.problem.code == "upload_terminated"
    assert gone.verify("a" * 64, T0) is gone
    with pytest.raises(UploadClosed):
        upload().terminate(T0).append(0, (Part("0-a", 1),), T0)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=30))
def test_the_counted_parts_cover_the_stream_without_gap_or_overlap(writes: list[tuple[int, int]]) -> None:
    current = upload(12)
    for number, (offset, size) in enumerate(writes):
        try:
            current = current.append(offset, (Part(f"{offset}-{number}", size),), T0)
        except (OffsetConflict, UploadClosed, BeyondLength):
            continue
    reached = 0
    for part in current.parts:
        assert int(part.name.split("-")[0]) == reached
        reached += part.size
    assert reached == current.offset <= 12
    assert (current.state is UploadState.VERIFYING) == (current.offset == 12)


@pytest.mark.parametrize("name", ["data.csv", "数据.csv", "🐧.parquet", "a" * 255, "..hidden", " spaced name .csv"])
def test_a_plain_name_is_taken_as_it_is(name: str) -> None:
    assert plain_filename(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../etc/passwd", "a/b.csv", "a\\b.csv", "a\0.csv", "a\n.csv", "\x7f", "a" * 4000, "企" * 86],
)
def test_a_name_that_is_a_path_or_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(FilenameRefused):
        plain_filename(name)


def test_a_name_with_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(FilenameRefused):
        plain_filename("a\ud800.csv")
