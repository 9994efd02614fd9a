"""From a file's bytes to UTF-8: the encoding is decided over the whole file, then read in bounded blocks."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

BLOCK_BYTES = 1 << 20
"""How much of a file is held at a time; a record that is longer grows the block up to the limit of a record."""

_UNDECODABLE = "jiebang.undecodable"
# A lone surrogate, which UTF-8 cannot hold: what could not be decoded stays undecodable, so its record fails.
_LONE_SURROGATE = "\udcff"


def _keep_undecodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _LONE_SURROGATE, error.end


codecs.register_error(_UNDECODABLE, _keep_undecodable)


@dataclass(frozen=True)
class Encoding:
    """How the bytes of one file are read.

    `name` is a Python codec; `mark` the length of the byte-order mark; `strict` is true where the whole file is known
    to be readable, so that records need not be tested; `warning` says what a reader of the report should know.
    """

    name: str
    mark: int = 0
    strict: bool = True
    warning: str | None = None

    @property
    def is_utf8(self) -> bool:
        """Whether the bytes can be used as they stand."""
        return self.name == "utf-8"


class Utf8Check:
    """A test of blocks, one after the other, for strict UTF-8; `offset` is the first wrong byte, None while right."""

    def __init__(self) -> None:
        self.offset: int | None = None
        self._seen = 0
        self._rest = b""

    def feed(self, block: bytes) -> bool:
        """Take the next block; false from the first wrong byte on."""
        if self.offset is not None:
            return False
        if self._rest:
            block = self._rest + block
        whole = _whole_characters(block)
        self._rest = block[whole:]
        if not is_utf8(memoryview(block)[:whole]):
            self.offset = self._seen + _first_wrong(block)
            return False
        self._seen += whole
        return True

    def finish(self) -> bool:
        """Say that no more blocks follow; false if the file ends inside a character."""
        if self.offset is None and self._rest:
            self.offset = self._seen
        return self.offset is None


def is_utf8(block: bytes | memoryview) -> bool:
    """Whether the bytes are strict UTF-8."""
    if not len(block):
        return True
    offsets = np.array([0, len(block)], dtype=np.int64)
    value = pa.Array.from_buffers(pa.large_binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    try:
        value.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _whole_characters(block: bytes) -> int:
    """Where to cut a block so that no character is divided."""
    for back in range(1, min(4, len(block)) + 1):
        byte = block[-back]
        if byte < 0x80:
            return len(block) - back + 1
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(block) if back >= length else len(block) - back
    return len(block)


def _first_wrong(block: bytes) -> int:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return len(block)


def decide_encoding(location: Path, declared: str | None = None) -> Encoding:
    """Decide how a file is read: a byte-order mark, else strict UTF-8, else strict GB18030, else UTF-8 with failures.

    A declared encoding overrides all that. Reads the whole file, in blocks.
    """
    with location.open("rb", buffering=0) as stream:
        head = stream.read(4)
        if declared is not None:
            return _declared(declared, head)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            name = "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
            return Encoding(name, mark=2, strict=False)
        mark = 3 if head.startswith(codecs.BOM_UTF8) else 0
        stream.seek(0)
        check = Utf8Check()
        while block := stream.read(BLOCK_BYTES):
            if not check.feed(block):
                break
        if check.finish():
            return Encoding("utf-8", mark=mark)
        if mark:
            return Encoding("utf-8", mark=mark, strict=False, warning=_wrong_bytes(check.offset))
        stream.seek(0)
        decoder = codecs.getincrementaldecoder("gb18030")()
        try:
            while block := stream.read(BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            return Encoding("utf-8", strict=False, warning=_wrong_bytes(check.offset))
    return Encoding("gb18030", warning=f"read as GB18030: byte {check.offset} is not UTF-8.")


def _declared(declared: str, head: bytes) -> Encoding:
    name = codecs.lookup(declared).name
    if name in ("utf-8", "utf-8-sig"):
        return Encoding("utf-8", mark=3 if head.startswith(codecs.BOM_UTF8) else 0, strict=False)
    if name == "utf-16":
        name = "utf-16-be" if head.startswith(codecs.BOM_UTF16_BE) else "utf-16-le"
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    mark = 2 if name in marks and head.startswith(marks[name]) else 0
    warning = "read as GB18030, as declared." if name == "gb18030" else None
    return Encoding(name, mark=mark, strict=False, warning=warning)


def _wrong_bytes(offset: int | None) -> str:
    return f"neither UTF-8 nor GB18030 throughout: records with an undecodable byte fail (the first is byte {offset})."


def utf8_blocks(location: Path, encoding: Encoding) -> Iterator[bytes]:
    """The file's text as blocks of UTF-8 without a byte-order mark; undecodable bytes stay invalid UTF-8."""
    with location.open("rb", buffering=0) as stream:
        stream.seek(encoding.mark)
        if encoding.is_utf8:
            while block := stream.read(BLOCK_BYTES):
                yield block
            return
        decoder = codecs.getincrementaldecoder(encoding.name)(_UNDECODABLE)
        while block := stream.read(BLOCK_BYTES):
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        if rest := decoder.decode(b"", True):
            yield rest.encode("utf-8", "surrogatepass")
