"""How a person is reached: mobile phone, e-mail, QQ, WeChat."""

from __future__ import annotations

import re

from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind, always, names
from jiebang.detectors.lists import words

CLASSES = (
    FindClass(
        "phone", Kind.PERSONAL, "mobile phone number", "手机号", "Take it out, or mask its middle: `138****5678`."
    ),
    FindClass("email", Kind.PERSONAL, "e-mail address", "电子邮箱", "Take it out, or keep the domain alone."),
    FindClass("qq", Kind.PERSONAL, "QQ number", "QQ 号", "Take it out."),
    FindClass("wechat", Kind.PERSONAL, "WeChat id", "微信号", "Take it out."),
)

_RESERVED = tuple(words("reserved_domains"))
_FILES = frozenset(words("file_endings"))


def _email(found: Candidate) -> str | None:
    if found.is_masked:
        return None
    local, _, domain = found.matched.lower().rpartition("@")
    if any(domain == name or domain.endswith(f".{name}") for name in _RESERVED):
        return None
    if domain.rpartition(".")[2] in _FILES or local == "git" or ".." in local:
        return None
    # In ftp://name:secret@host the part before the @ is no mailbox.
    before = found.text[max(0, found.start - 80) : found.start]
    return None if re.search(rb"://[^\s/]*$", before) else "email"


def _wechat(found: Candidate) -> str | None:
    # A word alone is more likely the name of something than of somebody.
    value = re.split(r"[:：=是为 ]", found.matched)[-1]
    return "wechat" if re.search(r"[0-9_-]", value) and not found.is_masked else None


_PHONE = "(?:(?:00)?86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
_IS = "(?: {0,3}(?::|：|=|是|为|is )?) {0,3}"
_QQ = f"qq(?:号码|号|账号| number)?{_IS}"
_WECHAT = f"(?:(?:微信|wechat|weixin)(?:号码|号|账号| ?id)?{_IS}|(?:vx|wx) {{0,3}}(?::|：|=) {{0,3}})"

DETECTORS = (
    Detector(
        "phone",
        f"[^0-9]{_PHONE}[^0-9]",
        re.compile(rf"(?<![0-9])(?<![0-9]\.){_PHONE}(?![0-9])(?!\.[0-9])".encode()),
        always("phone"),
        "no digit beside it, nor a dot that touches a digit; in a column of numbers its name must tell",
        telling=names(
            "phone", "mobile", "tel", "telephone", "cell", "cellphone", "手机", "电话", "联系方式", "联系号码"
        ),
        named=True,
        back=32,
        ahead=12,
    ),
    Detector(
        "email",
        "[0-9A-Za-z._%+-]@[0-9A-Za-z-]{1,63}\\.[0-9A-Za-z]",
        re.compile(
            rb"(?<![0-9A-Za-z._%+-])[0-9A-Za-z_][0-9A-Za-z._%+-]{0,63}"
            rb"@(?:[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?\.)+[A-Za-z]{2,24}(?![0-9A-Za-z-])"
        ),
        _email,
        "no reserved domain (RFC 2606, RFC 6761), no file's name, no user of an address of a service",
        back=220,
        ahead=270,
    ),
    Detector(
        "qq",
        f"{_QQ}[1-9][0-9]{{4}}",
        re.compile(rf"(?<![0-9A-Za-z]){_QQ}[1-9][0-9]{{4,10}}(?![0-9A-Za-z@])(?!\.[0-9])".encode(), re.IGNORECASE),
        always("qq"),
        "5 to 11 digits behind the word QQ, or in a column of that name",
        caseless=True,
        telling=names("qq"),
        keyword="QQ:",
        back=56,
        ahead=20,
    ),
    Detector(
        "wechat",
        f"{_WECHAT}[a-z][0-9a-z_-]{{5}}",
        re.compile(rf"(?<![0-9A-Za-z]){_WECHAT}[a-z][0-9a-z_-]{{5,19}}(?![0-9A-Za-z@_-])".encode(), re.IGNORECASE),
        _wechat,
        "6 to 20 letters, digits, _ and - behind the word 微信, WeChat, vx or wx, or in a column of that name",
        caseless=True,
        telling=names("wechat", "weixin", "微信"),
        keyword="微信:",
        back=64,
        ahead=32,
    ),
)
