"""Secrets that tell by what stands before them: passwords in connection strings and assignments."""

from __future__ import annotations

import re

from jiebang.detectors.credentials import entropy, is_placeholder
from jiebang.detectors.definition import Candidate, Detector, FindClass, Kind

CLASSES = (
    FindClass(
        "connection_string",
        Kind.SECRET,
        "connection string with a password",
        "含口令的连接串",
        "Change the password, then take the string out.",
    ),
    FindClass(
        "password",
        Kind.SECRET,
        "password or key that is given a value",
        "口令或密钥赋值",
        "Change the password or key, then take it out.",
    ),
)

_LEAST_BITS = 3.0
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile("[^0-9A-Za-z]"))


def _connection_string(found: Candidate) -> str | None:
    match = re.search(r"://[^:/@\s]*:([^@/\s]+)@", found.matched)
    if match is None or found.is_masked or (is_placeholder(match[1]) and not _looks_drawn(match[1])):
        return None
    return None if _is_variable(match[1]) else "connection_string"


def _is_variable(value: str) -> bool:
    return value[:1] in "$<{[%" or value.lower() in {"pass", "password", "passwd", "pwd", "secret", "token", "xxx"}


def _looks_drawn(value: str) -> bool:
    """Whether a value mixes kinds of characters as a good password does."""
    return sum(bool(kind.search(value)) for kind in _KINDS) >= 3 and entropy(value) >= _LEAST_BITS


def _password(found: Candidate) -> str | None:
    value = re.split("[:=：]", found.matched, maxsplit=1)[1].lstrip(">").strip(" \t\"'`")
    if found.is_masked or is_placeholder(value) or _is_variable(value):
        return None
    # A call, a path, an address or a name with dots is code that fetches a secret, not the secret.
    if re.search(r"[()]|://|^/|^[A-Za-z_]+(?:\.[A-Za-z_]+)+$", value):
        return None
    hexadecimal = re.fullmatch("[0-9a-f]{16,}|[0-9A-F]{16,}", value) is not None
    mixed = sum(bool(kind.search(value)) for kind in _KINDS) >= 2 and re.search("[0-9]", value) is not None
    return "password" if entropy(value) >= _LEAST_BITS - 0.25 and (hexadecimal or mixed) else None


_SCHEMES = (
    "(?:mysql|mariadb|postgres|postgresql|mongodb|mongodb\\+srv|redis|rediss|amqp|amqps|mssql|sqlserver|oracle|clickhouse|jdbc:[a-z]{2,12}"
    "|ftp|ftps|sftp|smtp|smtps|imap|ldap|ldaps|https|http|mysql\\+pymysql|postgresql\\+psycopg2|kafka|nats|ssh)"
)
_WORDS = (
    "(?:password|passwd|pwd|passphrase|secret|secret_?key|secretkey|api_?key|api-key|access_?key|access-key|access_?token|auth_?token"
    "|access_?key_?secret|client_?secret|private_?key|token|密码|口令|密钥)"
)
_IS = "[\"'`]?[ \t]{0,8}(?:=>|=|:|：)[ \t]{0,8}"

DETECTORS = (
    Detector(
        "connection_string",
        "://[0-9A-Za-z._%+-]{0,64}:[^@/ \\n\\t\"']{3,128}@[0-9A-Za-z]",
        re.compile(
            rf"(?<![0-9A-Za-z+]){_SCHEMES}://[0-9A-Za-z._%+-]{{0,64}}:[^@/\s\"'<>]{{3,128}}@[0-9A-Za-z][0-9A-Za-z.-]*".encode()
        ),
        _connection_string,
        "a scheme, a user and a password that is no placeholder or variable",
        back=240,
        ahead=160,
    ),
    Detector(
        "password",
        f"{_WORDS}{_IS}[\"'`]?[0-9a-z!-/:-@\\x5b-\\x60{{-~]{{8}}",
        re.compile(
            rf"{_WORDS}{_IS}(?:\"[!#-~]{{8,128}}\"|'[!-&(-~]{{8,128}}'|`[!-_a-~]{{8,128}}`"
            rf"|[!#-&(-+\--:<-_a-~]{{8,128}})".encode(),
            re.IGNORECASE,
        ),
        _password,
        "8 characters at least behind a word such as password, secret, token or 密码; digits among other kinds of"
        " characters, 2.75 bits a character; no placeholder, variable, call or path",
        ahead=200,
        caseless=True,
    ),
)
