"""What a file is by its bytes, and gate G3: dangerous kinds, and names that say something else than the bytes."""

from __future__ import annotations

import ast
import json
import os
import pickletools
import re
import zlib
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jiebang.gates.limits import GateFails
from jiebang.gates.paths import shown
from jiebang.gates.zip_members import zip_member_bytes, zip_members
from jiebang.structure.names import describes

_HEAD = 1 << 16
_PICKLE_PROBE = 1 << 20
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]")
_MOST_MEMBERS = 10_000
_NPY = b"\x93NUMPY"
_OBJECT_TYPE = re.compile(r"'[|<>=]?O\d*'")


class FileKind(StrEnum):
    """What a file is by its content; the extension is only a hint."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    OTHER = "other"


class Container(StrEnum):
    """A file that holds other files, or one file compressed."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gz"
    ZSTD = "zst"


_CSV_EXTENSIONS = (".csv", ".tsv", ".txt")
_LINES_EXTENSIONS = (".jsonl", ".ndjson")
# Names that say nothing of the content.
_VAGUE_EXTENSIONS = (".dat", ".data", ".tab", ".psv")
_DATA_EXTENSIONS = (*_CSV_EXTENSIONS, *_LINES_EXTENSIONS, ".json", ".parquet")
# Text that goes with a dataset and is no part of its records, beside what describes it.
_ACCOMPANYING = re.compile(r"(notice|changelog|authors|citation)(\..*)?", re.IGNORECASE)
# ZIP files that are documents or data of another program, not archives of a dataset.
_ZIP_DOCUMENTS = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".npz", ".epub", ".whl", ".keras")

_DANGEROUS_EXTENSIONS = {
    "pickle": (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill"),
    "executable": (
        *(".exe", ".dll", ".so", ".dylib", ".msi", ".scr", ".com", ".bat", ".cmd", ".ps1", ".vbs", ".sh"),
        *(".jar", ".apk", ".class", ".pyc", ".wasm", ".hta", ".lnk"),
    ),
    "office_macros": (".docm", ".xlsm", ".pptm", ".dotm", ".xltm", ".xlsb", ".xlam", ".ppam"),
    "html": (".html", ".htm", ".xhtml", ".mht", ".mhtml"),
}
_EXECUTABLE = (
    *(b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\0asm", b"#!/"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Well-known kinds that are neither a table nor dangerous; a table's name on one of them is a mistake.
_BINARY = {
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff",
    "GIF": b"GIF8",
    "PDF": b"%PDF-",
    "SQLite": b"SQLite format 3\0",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "NumPy": b"\x93NUMPY",
    "Arrow": b"ARROW1\0\0",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "RAR": b"Rar!\x1a\x07",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "OLE2": _OLE,
    "ZIP": b"PK\3\4",
    "gzip": b"\x1f\x8b",
    "Zstandard": b"\x28\xb5\x2f\xfd",
    "RIFF": b"RIFF",
}
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)
_SVG_SCRIPT = re.compile(
    rb"<script[\s>/]|\son[a-z]+\s*=|javascript:|<foreignobject[\s>]|<!entity|<iframe[\s>]", re.IGNORECASE
)
_HTML = re.compile(rb"<(?:!doctype\s+html|(?:html|head|script)[\s>])", re.IGNORECASE)
_WHAT_TO_DO = {
    "pickle": "A pickle can run code when it is opened; hand in CSV, JSON lines or Parquet.",
    "executable": "An executable is no data; take it out.",
    "office_macros": "An Office file with macros can run code; hand in CSV.",
    "html": "An HTML page can run scripts; hand in the data as CSV, JSON lines or Parquet.",
    "svg_script": "An SVG image with scripts can run code; take the scripts out.",
}


def container_of(path: str, head: bytes) -> Container | None:
    """What a file with this name and these first bytes holds other files as; None for a file that is itself."""
    if head.startswith(b"\x1f\x8b"):
        return Container.GZIP
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return Container.ZSTD
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        name = path.lower()
        document = name.endswith((*_ZIP_DOCUMENTS, *(e for group in _DANGEROUS_EXTENSIONS.values() for e in group)))
        return None if document or name.endswith(_DATA_EXTENSIONS) else Container.ZIP
    if head[257:262] == b"ustar" or (path.lower().endswith(".tar") and head):
        return Container.TAR
    return None


def _dangerous(code: str, path: str) -> GateFails:
    return GateFails(code, f"{shown(path)} is refused. {_WHAT_TO_DO[code]}")


def sniff(path: str, location: Path) -> FileKind:
    """What a file is; `path` is its name, `location` where its plain content is.

    Raises GateFails for a dangerous kind, for a name that says something else than the bytes, and for a Parquet file
    that is cut off.
    """
    with location.open("rb") as stream:
        head = stream.read(_HEAD)
    name = path.lower()
    for code, extensions in _DANGEROUS_EXTENSIONS.items():
        if name.endswith(extensions):
            raise _dangerous(code, path)
    if head.startswith(_EXECUTABLE) or (head.startswith(b"MZ") and b"\0" in head[:64]):
        raise _dangerous("executable", path)
    if _is_pickle(location, head):
        raise _dangerous("pickle", path)
    if _HTML.match(_without_prologue(head)):
        raise _dangerous("html", path)
    if _SVG.search(head[:4096]) and _contains(location, _SVG_SCRIPT):
        raise _dangerous("svg_script", path)
    if head.startswith(_OLE) and _contains(location, re.compile(re.escape("_VBA_PROJECT".encode("utf-16-le")))):
        raise _dangerous("office_macros", path)
    if head.startswith(b"PK\3\4"):
        _refuse_dangerous_members(path, location)
    if head.startswith(_NPY) and _npy_holds_objects(head):
        raise _dangerous("pickle", path)
    return _data_kind(path, location, head)


def _is_pickle(location: Path, head: bytes) -> bool:
    if _PICKLE_START.match(head):
        return True
    if head[:1] == b"\x78":  # joblib packs with zlib
        try:
            return bool(_PICKLE_START.match(zlib.decompressobj().decompress(head, 64)))
        except zlib.error:
            return False
    # Older protocols look like text; a file that is one from its first byte to its last is no accident.
    if len(head) < 2 or location.stat().st_size > _PICKLE_PROBE:
        return False
    content = location.read_bytes()
    if not content.endswith(b".") or content[:1] not in b"()]}cdlgpIFLSVNKMUX":
        return False
    try:
        *_, (last, _, end) = pickletools.genops(content)
    except (ValueError, IndexError, OverflowError, MemoryError, UnicodeError):
        return False
    return last.name == "STOP" and end == len(content) - 1


def _refuse_dangerous_members(path: str, location: Path) -> None:
    """Look into a ZIP file that is not opened as an archive: documents, arrays, models."""
    with location.open("rb") as stream:
        for member in zip_members(stream, _MOST_MEMBERS)[:_MOST_MEMBERS]:
            name = member.name.lower()
            if name.endswith(_DANGEROUS_EXTENSIONS["pickle"]):
                raise _dangerous("pickle", path)
            if name.endswith("vbaproject.bin") or "/macrosheets/" in name:
                raise _dangerous("office_macros", path)
            if name.endswith(".npy") and _npy_holds_objects(next(zip_member_bytes(stream, member), b"")):
                raise _dangerous("pickle", path)


def _npy_holds_objects(head: bytes) -> bool:
    """Whether a NumPy array holds Python objects, which are pickled; a header that cannot be read counts as if."""
    wide = head[6:7] != b"\1"
    start = 12 if wide else 10
    length = int.from_bytes(head[8:start], "little")
    try:
        header = ast.literal_eval(head[start : start + length].decode("latin-1").strip())
        return bool(_OBJECT_TYPE.search(repr(header["descr"])))
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return True


def _data_kind(path: str, location: Path, head: bytes) -> FileKind:
    name = path.rpartition("/")[2].lower()
    if head.startswith(b"PAR1") or name.endswith(".parquet"):
        _check_parquet(path, location, head)
        return FileKind.PARQUET
    if describes(path) or _ACCOMPANYING.fullmatch(name):
        return FileKind.OTHER
    binary = _binary_kind(head)
    if binary is not None:
        if name.endswith(_DATA_EXTENSIONS):
            raise _mismatch(path, f"its content is {binary}")
        return FileKind.OTHER
    if name.endswith(_CSV_EXTENSIONS):
        if _first_line_is_object(head):
            raise _mismatch(path, "its content is JSON lines; name it .jsonl")
        return FileKind.CSV
    if name.endswith(_LINES_EXTENSIONS):
        return FileKind.JSONL
    if name.endswith(".json"):
        return FileKind.JSON
    if "." in name.lstrip(".") and not name.endswith(_VAGUE_EXTENSIONS):
        return FileKind.OTHER
    return _text_kind(head)


def _text_kind(head: bytes) -> FileKind:
    """The kind of a file whose name says nothing."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"{":
        return FileKind.JSONL if _first_line_is_object(head) else FileKind.JSON
    if text[:1] == b"[":
        return FileKind.JSON
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FileKind.OTHER
    return FileKind.CSV


def _binary_kind(head: bytes) -> str | None:
    for kind, magic in _BINARY.items():
        # Letters alone can also begin a text.
        if head.startswith(magic) and (not magic.isalnum() or b"\0" in head[:1024]):
            return kind
    return None


def _first_line_is_object(head: bytes) -> bool:
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").partition(b"\n")[0]
    if not line.startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(line, parse_int=str, parse_float=str), dict)
    except (ValueError, RecursionError):
        return False


def _check_parquet(path: str, location: Path, head: bytes) -> None:
    name = path.lower()
    if not head.startswith(b"PAR1"):
        if head.startswith(b"PARE"):
            raise GateFails("encrypted_entry", f"{shown(path)} is encrypted; write it without encryption.")
        raise _mismatch(path, "its content is not Parquet")
    if name.endswith(_DATA_EXTENSIONS) and not name.endswith(".parquet"):
        raise _mismatch(path, "its content is Parquet; name it .parquet")
    with location.open("rb") as stream:
        stream.seek(-min(4, len(head)), os.SEEK_END)
        tail = stream.read()
    if tail != b"PAR1" or len(head) < 12:
        raise GateFails("truncated", f"{shown(path)} is cut off: a Parquet file without its end; upload it again.")
    try:
        pq.read_metadata(location)
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        raise GateFails("corrupt_file", f"{shown(path)} is a damaged Parquet file; write it anew.") from None


def parquet_size(location: Path) -> tuple[int, int]:
    """How many bytes the pages of a Parquet file say they expand to, and how many cells the file says it has."""
    metadata = pq.read_metadata(location)
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return sum(max(0, group.total_byte_size) for group in groups), max(0, metadata.num_rows) * metadata.num_columns


def _mismatch(path: str, what: str) -> GateFails:
    return GateFails("type_mismatch", f"{shown(path)} is not what its name says: {what}.")


def _without_prologue(head: bytes) -> bytes:
    """The beginning of a document without what may stand before its first element."""
    while True:
        head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        for opening, closing in ((b"<!--", b"-->"), (b"<?", b"?>")):
            if head.startswith(opening):
                head = head.partition(closing)[2]
                break
        else:
            return head


def _contains(location: Path, pattern: re.Pattern[bytes]) -> bool:
    """Whether a file holds the pattern, read in overlapping pieces."""
    with location.open("rb") as stream:
        before = b""
        while piece := stream.read(1 << 20):
            if pattern.search(before + piece):
                return True
            before = piece[-256:]
    return False
