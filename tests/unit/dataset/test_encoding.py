"""The encoding of a file is decided over all its bytes, in blocks of any size."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiebang.dataset import encoding
from jiebang.dataset.encoding import Utf8Check, decide_encoding, utf8_blocks

PIECES = st.sampled_from(
    [
        b"a",
        "é".encode(),
        "数据".encode(),
        "😀".encode(),
        b"\xff",
        b"\xe6",
        b"\x95",
        "数".encode("gb18030"),
        b"\xed\xa0\x80",
    ]
)


def is_text(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(blocks=st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=6), size=st.integers(1, 5))
def test_utf8_is_checked_across_blocks(blocks: list[bytes], size: int) -> None:
    content = b"".join(blocks)
    check = Utf8Check()
    for start in range(0, len(content), size):
        check.feed(content[start : start + size])
    assert check.finish() == is_text(content, "utf-8")
    if check.offset is not None:
        with pytest.raises(UnicodeDecodeError) as wrong:
            content.decode("utf-8")
        assert check.offset == wrong.value.start


@settings(max_examples=300, deadline=None)
@given(content=st.lists(PIECES, max_size=12).map(b"".join), size=st.integers(1, 7))
def test_the_encoding_is_that_of_the_whole_file(content: bytes, size: int, folder: Path) -> None:
    location = folder / "content"
    location.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK_BYTES", size)
        found = decide_encoding(location)
        text = b"".join(utf8_blocks(location, found))
    if is_text(content, "utf-8"):
        assert (found.name, found.strict, text) == ("utf-8", True, content)
    elif is_text(content, "gb18030"):
        assert (found.name, text) == ("gb18030", content.decode("gb18030").encode())
        assert "GB18030" in str(found.warning)
    else:
        assert (found.name, found.strict, text) == ("utf-8", False, content)


def test_a_wrong_byte_far_behind_decides(tmp_path: Path) -> None:
    location = tmp_path / "content"
    location.write_bytes(b"a" * (9 << 20) + "数".encode("gb18030"))
    found = decide_encoding(location)
    assert (found.name, found.warning) == ("gb18030", f"read as GB18030: byte {9 << 20} is not UTF-8.")
