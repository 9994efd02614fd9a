"""The names of files: decoded, made safe, and unique."""

from __future__ import annotations

import re
import unicodedata

from jiebang.gates.limits import GateFails, Limits

_JUNK_FOLDER = "__MACOSX"
_JUNK_FILES = frozenset((".ds_store", "thumbs.db", "desktop.ini"))
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def decode_name(raw: bytes) -> str:
    """A file's name: UTF-8 where it is valid, else GB18030."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return raw.decode("gb18030")
        except UnicodeDecodeError:
            raise GateFails(
                "unsafe_name", f"A name is neither UTF-8 nor GB18030: {shown(raw.decode('latin-1'))}; rename it."
            ) from None


def shown(name: str) -> str:
    """A name as it can be put into a sentence: short, without control characters."""
    name = _CONTROL.sub("�", name)
    return name if len(name) <= 80 else f"{name[:60]}…{name[-15:]}"


def safe_path(name: str, limits: Limits) -> str:
    """The name of an entry as a relative path in NFC with `/`; empty for the top itself. Raises GateFails."""
    if _CONTROL.search(name):
        raise GateFails("unsafe_name", f"A name holds NUL or a control character: {shown(name)}; rename it.")
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path):
        raise GateFails("unsafe_path", f"A path is absolute: {shown(name)}; use relative paths.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise GateFails("unsafe_path", f"A path climbs out with `..`: {shown(name)}; use plain relative paths.")
    path = "/".join(parts)
    if len(path.encode("utf-8")) > limits.path_bytes or any(len(p.encode("utf-8")) > limits.name_bytes for p in parts):
        raise GateFails(
            "name_too_long",
            f"A name is longer than {limits.name_bytes} bytes, or a path than {limits.path_bytes}: {shown(name)}.",
            limit=limits.name_bytes,
        )
    return path


def is_junk(path: str) -> bool:
    """Whether a file is one that operating systems leave behind, which is never part of a dataset."""
    parts = path.split("/")
    return _JUNK_FOLDER in parts or parts[-1].lower() in _JUNK_FILES


def without_top_folder(paths: list[str]) -> list[str]:
    """The paths without the one folder that all of them lie in, if there is one."""
    tops = {path.partition("/")[0] for path in paths}
    if len(tops) != 1 or not all("/" in path for path in paths):
        return paths
    return [path.partition("/")[2] for path in paths]


class UniquePaths:
    """Paths that must differ after NFC and case folding, and of which none may lie in another."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Take a path; raises GateFails when it collides with an earlier one."""
        key = _folded(path)
        other = self._files.get(key) or self._folders.get(key)
        folder = key
        while other is None and "/" in folder:
            folder = folder.rpartition("/")[0]
            other = self._files.get(folder)
        if other is not None:
            raise GateFails(
                "name_collision", f"{shown(path)} and {shown(other)} are the same name on some systems; rename one."
            )
        self._files[key] = path
        while "/" in key:
            key = key.rpartition("/")[0]
            self._folders.setdefault(key, path)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
