"""A small dataset that earns a certificate, and an issuer that gives it one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import jiebang
from jiebang.certificate.issuing import Certifiable, Certificate, bundle, own_parts
from jiebang.certificate.log import ISSUED, Entry, Head, revocation_list
from jiebang.certificate.signing import KeyList, ListedKey, SigningKey

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

FILES = {
    "towers.csv": "tower,line,height\n" + "".join(f"T{n},L{n % 3},{30 + n}\n" for n in range(40)),
    "巡检.csv": "id,tower,state\n" + "".join(f"{n},T{n % 40},{'good' if n % 2 else 'poor'}\n" for n in range(100)),
}
DECLARE = {
    "tables": {
        "towers.csv": {"key": ["tower"], "required": ["tower", "line"], "records": 40, "label": "line"},
        "巡检.csv": {
            "key": ["id"],
            "required": ["id", "tower", "state"],
            "label": "state",
            "records": 120,
            "foreign_keys": [{"fields": ["tower"], "to": "towers.csv", "key": ["tower"]}],
        },
    }
}


def write_dataset(folder: Path) -> Path:
    """Write the dataset's files into a folder."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@cache
def report() -> bytes:
    """The dataset's report under core-0."""
    with TemporaryDirectory() as folder:
        return jiebang.score(write_dataset(Path(folder)), declare=DECLARE).to_json().encode()


@dataclass(frozen=True)
class Issuer:
    """A root key, one signing key that it vouches for, and the list that says so."""

    root: SigningKey
    key: SigningKey
    keys: KeyList


@cache
def issuer() -> Issuer:
    """An issuer whose signing key is valid for a hundred days."""
    root, key = SigningKey.new(), SigningKey.new()
    listed = ListedKey(key.public, NOW - DAY, NOW + 100 * DAY)
    return Issuer(root, key, KeyList.sign(root, [listed], version=1, now=NOW - DAY))


@cache
def certificate() -> Certificate:
    """The certificate of the dataset."""
    return Certifiable.of(report()).issue("crt_1", issuer().key, now=NOW, lives=50 * DAY, about={"submission": "sub_1"})


@cache
def log() -> tuple[Entry, ...]:
    """The log with that certificate in it."""
    return (Head().next(NOW, ISSUED, certificate().id, certificate().digest),)


@cache
def handed_over() -> bytes:
    """The zip of the certificate."""
    revocations = revocation_list(log(), issuer().key, now=NOW)
    return bundle(own_parts(certificate(), Certifiable.of(report())), keys=issuer().keys, revocations=revocations)
