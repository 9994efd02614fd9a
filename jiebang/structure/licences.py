"""Licences: texts and names as SPDX expressions, and what a licence permits."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from boolean import ParseError
from license_expression import AND, OR, ExpressionError, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing

from jiebang.declaration import USES

LONGEST_EXPRESSION = 200
"""A longer text is no expression: reading one takes time that grows with its length."""

_OPEN = frozenset(("Permissive", "Public Domain", "Copyleft", "Copyleft Limited"))
"""Categories of licences that permit every use, if under conditions."""

_CREATIVE_COMMONS = re.compile(r"CC-BY(-NC)?(-SA|-ND)?-\d\.\d(-[A-Z-]+)?")
_GRANT = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_NAMED = {
    "cc0": "CC0-1.0",
    "cc-zero": "CC0-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "odc-by": "ODC-By-1.0",
    "mulan-psl-v2": "MulanPSL-2.0",
    "木兰宽松许可证-第2版": "MulanPSL-2.0",
}
_ADDRESSES = (
    (re.compile(r"spdx\.org/licenses/([A-Za-z0-9.+-]+?)(\.html|\.json|\.txt)?"), r"\1"),
    (re.compile(r"(?:www\.)?opensource\.org/licenses?/([A-Za-z0-9.-]+?)(-license)?(\.php|\.html)?"), r"\1"),
    (re.compile(r"choosealicense\.com/licenses/([a-z0-9.-]+)"), r"\1"),
    (re.compile(r"(?:www\.)?apache\.org/licenses/LICENSE-(\d\.\d)(\.txt|\.html)?"), r"Apache-\1"),
    (re.compile(r"creativecommons\.org/publicdomain/zero/(\d\.\d)(/.*)?"), r"CC0-\1"),
    (re.compile(r"creativecommons\.org/licenses/(by(?:-nc)?(?:-sa|-nd)?)/(\d\.\d)(/.*)?"), r"CC-\1-\2"),
    (re.compile(r"opendatacommons\.org/licenses/odbl(/.*)?"), "ODbL-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/by(/.*)?"), "ODC-By-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/pddl(/.*)?"), "PDDL-1.0"),
    (re.compile(r"cdla\.dev/(permissive|sharing)-(\d)-(\d)(/.*)?"), r"CDLA-\1-\2.\3"),
)

_CC_TEXT = re.compile(
    r"(?:creative commons )?attribution((?:[- ]noncommercial)?)((?:[- ]share ?alike|[- ]noderivat(?:iv)?es)?)"
    r"[ -](\d\.\d)[ -](?:international|unported|generic)"
)
# What is in the texts of licences: first the title or opening words that they begin with, then what they hold anywhere.
_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("AGPL-3.0-only", ("gnu affero general public license", "version 3")),
    ("LGPL-3.0-only", ("gnu lesser general public license", "version 3")),
    ("GPL-3.0-only", ("gnu general public license", "version 3")),
    ("GPL-2.0-only", ("gnu general public license", "version 2")),
    ("MPL-2.0", ("mozilla public license", "version 2.0")),
    ("MulanPSL-2.0", ("木兰宽松许可证", "第2版")),
    ("MulanPSL-2.0", ("mulan permissive software license", "version 2")),
    ("ODbL-1.0", ("open database license",)),
    ("ODC-By-1.0", ("open data commons attribution license",)),
    ("PDDL-1.0", ("public domain dedication", "open data commons")),
    ("CDLA-Permissive-2.0", ("community data license agreement", "permissive", "version 2.0")),
    ("CDLA-Permissive-1.0", ("community data license agreement", "permissive", "version 1.0")),
    ("CDLA-Sharing-1.0", ("community data license agreement", "sharing", "version 1.0")),
    (
        "MIT",
        (
            "permission is hereby granted, free of charge, to any person obtaining a copy",
            "the above copyright notice and this permission notice shall be included",
        ),
    ),
    ("ISC", ("permission to use, copy, modify, and/or distribute this software for any purpose",)),
    (
        "BSD-3-Clause",
        ("redistribution and use in source and binary forms", "modification, are permitted", "neither the name"),
    ),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms", "modification, are permitted")),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
)
_LATEST_OPENING = 200
"""Where a licence begins at the latest, in characters without the lines of copyright before it."""

_COPYRIGHT_LINE = re.compile(r"\W*(portions )?(copyright|\(c\)|©|all rights reserved|版权所有)", re.IGNORECASE)
# Words before a title that deny it, and words that say it of something else.
_DENIES = re.compile(
    r"\b(not|no|nobody|none|never|neither|nor|without|except|unlike|instead|forbid\w*|prohibit\w*|proprietary"
    r"|confidential)\b|n['’]t\b|[不非禁未勿]"
)
_OF_OTHERS = re.compile(r"\b(built|us(es?|ing)|contains?|includ(es?|ing)|which)\b")
_IDENTIFIER = re.compile(r"SPDX-License-Identifier:[ \t]*([^\n]{1,200})")


@cache
def _spdx() -> Licensing:
    return get_spdx_licensing()


@cache
def _categories() -> dict[str, str]:
    """The category of each licence by its SPDX id, out of the index that comes with license-expression."""
    index = files("license_expression") / "data" / "scancode-licensedb-index.json"
    entries = json.loads(index.read_text(encoding="utf-8"))
    return {entry["spdx_license_key"]: entry["category"] for entry in entries if entry.get("spdx_license_key")}


@cache
def _listed() -> frozenset[str]:
    """The ids of SPDX's own list, without those that only others know."""
    return frozenset(key for key in _categories() if not key.startswith("LicenseRef-"))


def _parsed(text: str) -> Any:
    """An expression as a tree; None where it is none, or one with an id that is not on SPDX's list nor a grant's."""
    if not text or len(text) > LONGEST_EXPRESSION or text.count("(") > 20:
        return None
    try:
        tree = _spdx().parse(text, validate=False, strict=True)
    except (ExpressionError, ParseError, ValueError, TypeError):
        return None
    if tree is None or any(key not in _listed() and not _GRANT.fullmatch(key) for key in _spdx().license_keys(tree)):
        return None
    return tree


def expression(text: str) -> str | None:
    """The SPDX expression that a text means: an expression, a common name, or the address of a known licence.

    None where it means none. `LicenseRef-…` names a grant of one's own, whose text must lie in the dataset.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    tree = _parsed(_by_address(text) or text)
    if tree is None:
        name = re.sub(r"\b(the|licen[cs]e|version|international|v(?=\d))\b|v(?=\d)|,", " ", text.casefold())
        name = "-".join(name.replace("creative commons", "cc").replace("attribution", "by").split())
        tree = _parsed(_NAMED.get(name, name))
    return None if tree is None else str(tree.render("{symbol.key}"))


def _by_address(text: str) -> str | None:
    if not re.match(r"https?://", text) or len(text) > LONGEST_EXPRESSION:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    address = (parts.netloc + parts.path).rstrip("/")
    for pattern, id in _ADDRESSES:
        match = pattern.fullmatch(address)
        if match:
            return match.expand(id)
    return None


def resolves(text: str) -> bool:
    """Whether a text means an SPDX expression."""
    return expression(text) is not None


def alike(expressions: Iterable[str]) -> bool:
    """Whether expressions mean the same licence; what a text says of later versions (`-only`) is not compared."""
    meant = {re.sub(r"-(only|or-later)\b", "", str(_spdx().parse(each).simplify().render())) for each in expressions}
    return len(meant) < 2


def grants_of(expression: str) -> set[str]:
    """The grants of one's own (`LicenseRef-…`) that an expression names."""
    tree = _parsed(expression)
    return set() if tree is None else {key for key in _spdx().license_keys(tree) if _GRANT.fullmatch(key)}


def licence_of_text(text: str) -> str | None:
    """The SPDX expression of a licence file: what it says by `SPDX-License-Identifier`, is as a whole, or begins as."""
    identifier = _IDENTIFIER.search(text)
    if identifier:
        return expression(identifier[1].strip(" \t*/#->"))
    short = text.strip()
    if len(short) <= LONGEST_EXPRESSION and "\n" not in short:
        return expression(short)
    lines = unicodedata.normalize("NFKC", text[:20_000]).split("\n")
    flat = _flat(lines)
    plain = _flat(line for line in lines if not _COPYRIGHT_LINE.match(line))

    def begins_as(opening: str) -> bool:
        before = flat.partition(opening)[0]
        plainly = plain.partition(opening)[0]
        early = min(len(before), len(plainly)) <= _LATEST_OPENING
        return opening in flat and early and not _DENIES.search(before) and not _OF_OTHERS.search(plainly)

    match = _CC_TEXT.search(flat)
    if match and begins_as(match[0]):
        nc, kind, number = match[1], match[2], match[3]
        suffix = "-SA" if "share" in kind else "-ND" if kind else ""
        return expression(f"CC-BY{'-NC' if nc else ''}{suffix}-{number}")
    for id, (opening, *others) in _TEXTS:
        if begins_as(opening) and all(phrase in flat for phrase in others):
            return id
    return None


def _flat(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).casefold().split())


def permits(expression: str, grants: dict[str, frozenset[str]], use: str) -> bool:
    """Whether a licence permits a use, one of USES; `grants` are the uses that each grant of one's own permits.

    Of `A OR B` one of the two is enough; of `A AND B` both must. What is not known to permit does not.
    """

    def holds(node: Any) -> bool:
        if isinstance(node, OR):
            return any(holds(part) for part in node.args)
        if isinstance(node, AND):
            return all(holds(part) for part in node.args)
        if isinstance(node, LicenseWithExceptionSymbol):
            return holds(node.license_symbol)
        return use in _permitted(str(node.key), grants)

    tree = _parsed(expression)
    return tree is not None and holds(tree)


def _permitted(key: str, grants: dict[str, frozenset[str]]) -> frozenset[str]:
    if key in grants:
        return grants[key]
    match = _CREATIVE_COMMONS.fullmatch(key)
    if match:
        withheld = {"commercial"} if match[1] else set()
        return frozenset(USES) - withheld - ({"modify"} if match[2] == "-ND" else set())
    return frozenset(USES) if key in _listed() and _categories()[key] in _OPEN else frozenset()
