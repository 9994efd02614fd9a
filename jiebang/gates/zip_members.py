"""Reading a ZIP file that may lie: every claim is checked against the bytes, which are written in small pieces."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jiebang.gates.limits import GateFails
from jiebang.gates.paths import decode_name, shown

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_COMMENT = 65_535
_PIECE = 1 << 18
_ENCRYPTED, _STORED, _DEFLATED, _UNIX = 0x1, 0, 8, 3


@dataclass(frozen=True)
class ZipMember:
    """A file in a ZIP archive as its central directory tells of it."""

    name: str
    is_folder: bool
    method: int
    crc: int
    stored: int
    size: int
    offset: int


def _corrupt(why: str) -> GateFails:
    return GateFails("corrupt_archive", f"The ZIP archive is damaged or malformed ({why}); make it anew.")


def zip_members(stream: BinaryIO, most: int) -> list[ZipMember]:
    """The members of a ZIP archive in the order of their bytes, at most one more than `most`.

    Raises GateFails for links, encryption, compression other than deflate, overlapping members, and anything that
    does not fit together.
    """
    size = stream.seek(0, 2)
    entries, start, end = _central_directory(stream, size)
    stream.seek(start)
    members = []
    for _ in range(min(entries, most + 1)):
        member = _read_entry(stream, end)
        if member is not None:
            members.append(member)
    if entries <= most and stream.tell() != end:
        raise _corrupt("its directory has another length than it says")
    members.sort(key=lambda member: member.offset)
    behind = 0
    for member in members:
        data = _data_start(stream, member)
        if member.offset < behind or data + member.stored > start:
            raise GateFails("overlapping_members", "Members of the ZIP archive share bytes; make it anew.")
        behind = data + member.stored
    return members


def _central_directory(stream: BinaryIO, size: int) -> tuple[int, int, int]:
    """How many entries the central directory says it has, where it begins, and where it ends."""
    tail_start = max(0, size - _END.size - _MOST_COMMENT)
    stream.seek(tail_start)
    tail = stream.read(size - tail_start)
    place = tail.rfind(b"PK\5\6")
    if place < 0 or place + _END.size > len(tail):
        raise GateFails("truncated", "The ZIP archive is cut off; upload it again.")
    _, disk, start_disk, here, entries, length, start, comment = _END.unpack_from(tail, place)
    end = tail_start + place
    if place + _END.size + comment != len(tail):
        raise _corrupt("bytes follow its end")
    locator = end - _END64_LOCATOR.size
    if locator >= 0:
        stream.seek(locator)
        signature, _, end64, _ = _END64_LOCATOR.unpack(stream.read(_END64_LOCATOR.size))
        if signature == b"PK\6\7":
            stream.seek(min(end64, size))
            record = stream.read(_END64.size)
            if len(record) < _END64.size or record[:4] != b"PK\6\6":
                raise _corrupt("its 64-bit end is not where it should be")
            _, _, _, _, disk, start_disk, here, entries, length, start = _END64.unpack(record)
            end = end64
    if disk or start_disk or here != entries:
        raise _corrupt("it is one part of several")
    if start + length != end:
        raise _corrupt("its directory is not where it should be")
    return entries, start, end


def _read_entry(stream: BinaryIO, end: int) -> ZipMember | None:
    record = stream.read(_CENTRAL.size)
    if len(record) < _CENTRAL.size or record[:4] != b"PK\1\2" or stream.tell() > end:
        raise _corrupt("an entry of its directory is cut off")
    (_, made, _, flags, method, _, _, crc, stored, size, names, extras, comments, _, _, attributes, offset) = (
        _CENTRAL.unpack(record)
    )
    raw = stream.read(names)
    extra = stream.read(extras)
    stream.seek(comments, 1)
    if stream.tell() > end:
        raise _corrupt("an entry of its directory is cut off")
    size, stored, offset = _wide(extra, size, stored, offset)
    name = decode_name(raw)
    mode = attributes >> 16
    if made >> 8 == _UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a link" if stat.S_ISLNK(mode) else "a special file"
        raise GateFails("linked_entry", f"{shown(name)} is {kind}; put the file itself into the archive.")
    is_folder = name.endswith(("/", "\\"))
    if is_folder and (size or stored > 2):  # an empty deflate stream takes two bytes
        raise _corrupt("a folder holds bytes")
    if flags & _ENCRYPTED:
        raise GateFails("encrypted_entry", f"{shown(name)} is encrypted; make the archive without a password.")
    if method not in (_STORED, _DEFLATED):
        raise GateFails("unsupported_compression", f"{shown(name)} is packed by method {method}; use deflate.")
    return ZipMember(name, is_folder, method, crc, stored, size, offset)


def _wide(extra: bytes, size: int, stored: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset, from the 64-bit field where the 32-bit ones are full."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + length]
        if kind == 1:
            values = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            try:
                size = next(values) if size == 0xFFFFFFFF else size
                stored = next(values) if stored == 0xFFFFFFFF else stored
                offset = next(values) if offset == 0xFFFFFFFF else offset
            except StopIteration:
                raise _corrupt("a 64-bit size is missing") from None
        at += 4 + length
    return size, stored, offset


def _data_start(stream: BinaryIO, member: ZipMember) -> int:
    if member.offset > stream.seek(0, 2):  # no seek, which takes no number beyond int64
        raise _corrupt("a member is not where it should be")
    stream.seek(member.offset)
    header = stream.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
        raise _corrupt("a member is not where it should be")
    fields = _LOCAL.unpack(header)
    names, extras = fields[-2:]
    name = stream.read(names)
    if decode_name(name) != member.name:
        raise GateFails(
            "false_name", f"{shown(member.name)} has another name in its own header; make the archive anew."
        )
    return member.offset + _LOCAL.size + int(names) + int(extras)


def zip_member_bytes(stream: BinaryIO, member: ZipMember) -> Iterator[bytes]:
    """The content of a member in pieces; raises GateFails when its size or checksum is not as the archive says."""
    stream.seek(_data_start(stream, member))
    crc = 0
    written = 0
    for piece in _inflated(stream, member):
        written += len(piece)
        if written > member.size:
            raise _false_size(member)
        crc = zlib.crc32(piece, crc)
        yield piece
    if written != member.size:
        raise _false_size(member)
    if crc != member.crc:
        raise _corrupt(f"{shown(member.name)} does not have its checksum")


def _inflated(stream: BinaryIO, member: ZipMember) -> Iterator[bytes]:
    left = member.stored
    inflater = zlib.decompressobj(-15) if member.method == _DEFLATED else None
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            raise GateFails("truncated", "The ZIP archive is cut off; upload it again.")
        left -= len(piece)
        if inflater is None:
            yield piece
            continue
        while piece:
            if inflater.eof:
                raise _false_size(member)
            try:
                yield inflater.decompress(piece, _PIECE)
            except zlib.error:
                raise _corrupt(f"{shown(member.name)} cannot be unpacked") from None
            piece = inflater.unconsumed_tail or inflater.unused_data
    if inflater is not None:
        while not inflater.eof:
            # What the last piece still expands to; nothing more means that it was cut off.
            try:
                rest = inflater.decompress(inflater.unconsumed_tail, _PIECE)
            except zlib.error:
                raise _corrupt(f"{shown(member.name)} cannot be unpacked") from None
            if not rest:
                raise _false_size(member)
            yield rest


def _false_size(member: ZipMember) -> GateFails:
    return GateFails(
        "false_size",
        f"{shown(member.name)} does not have the size that the archive says; make the archive anew.",
        declared=member.size,
    )
