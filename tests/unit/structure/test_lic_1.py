"""LIC-1: which files stand under a licence that is clear."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from jiebang.declaration import USES
from jiebang.result import Status
from jiebang.structure.licences import alike, expression, licence_of_text, permits
from tests.unit.structure.packages import TABLE, Files, croissant, judged, notes, share

MIT = """MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction.

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.
"""
GRANT = "授权方：某某电网有限公司\n授权范围：商业使用、修改、分发\n签署日期：2026-03-01\n"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("MIT", "MIT"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("MIT License", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("cc0", "CC0-1.0"),
        ("odbl", "ODbL-1.0"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("https://spdx.org/licenses/CC-BY-4.0.html", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-sa/3.0/deed.zh", "CC-BY-SA-3.0"),
        ("http://opendatacommons.org/licenses/odbl/1-0/", "ODbL-1.0"),
        ("LicenseRef-ours", "LicenseRef-ours"),
        ("unknown", None),
        ("other", None),
        ("All rights reserved", None),
        ("https://example.org/MIT", None),
        ("MIT OR", None),
        ("", None),
        ("(" * 150 + "MIT", None),
        ("MIT OR " * 60 + "MIT", None),
    ],
)
def test_a_text_means_an_expression_or_none(text: str, means: str | None) -> None:
    assert expression(text) == means


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (MIT, "MIT"),
        ("                Apache License\n          Version 2.0, January 2004\n", "Apache-2.0"),
        ("Attribution-NonCommercial 4.0 International\n\n====\n\nCreative Commons Corporation\n", "CC-BY-NC-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported\nlong text", "CC-BY-SA-3.0"),
        ("Creative Commons Legal Code\n\nCC0 1.0 Universal\n", "CC0-1.0"),
        ("SPDX-License-Identifier: CC-BY-4.0\n\nand so on", "CC-BY-4.0"),
        ("CC BY 4.0\n", "CC-BY-4.0"),
        ("This database is made available under the Open Database License:\nhttp://example.org/\n", "ODbL-1.0"),
        ("All rights are ours.\nNobody may use it.\n", None),
        (
            "All rights reserved. Redistribution and use in source and binary forms for commercial purposes is "
            "forbidden.\nAsk us.\n",
            None,
        ),
        ("NOT under the Open Database License. Nobody may use it.\n\n", None),
        ("Copyright 2026 Somebody. Not under\nthe Open Database License.\n", None),
        ("Proprietary tool built with pandas under the Apache License, Version 2.0.\nAsk us.\n", None),
        ("Our tool uses a library under the Apache License, Version 2.0.\nAsk us.\n", None),
        ("", None),
        (f"{'The data are ours and ours alone. ' * 10}\nParts are under the Apache License, Version 2.0.\n", None),
    ],
)
def test_a_licence_file_is_known_by_its_text(text: str, means: str | None) -> None:
    assert licence_of_text(text) == means


@pytest.mark.parametrize(
    ("package", "means"),
    [
        ("numpy", "BSD-3-Clause"),
        ("duckdb", "MIT"),
        ("pluggy", "MIT"),
        ("pyyaml", "MIT"),
        ("jinja2", "BSD-3-Clause"),
        ("pygments", "BSD-2-Clause"),
        ("pathspec", "MPL-2.0"),
        ("requests", "Apache-2.0"),
    ],
)
def test_the_licence_files_of_packages_are_known(package: str, means: str) -> None:
    files = [file for file in metadata.files(package) or [] if file.name.startswith("LICENSE")]
    assert means in {licence_of_text(file.read_text()) for file in files}


@pytest.mark.parametrize(
    "files",
    [
        {"LICENSE": MIT},
        {"LICENSE.txt": "CC-BY-4.0"},
        {"许可证.md": "CC0-1.0"},
        {"README.md": "---\nlanguage: [zh]\nlicense: cc-by-4.0\n---\n# t"},
        {"README.md": "---\nlicense:\n- 'mit'\nother: x\n---\n# t"},
        {"README.md": '---\nlicense: ["cc0-1.0"]\n---\n# t'},
        {"croissant.json": croissant()},
        {"datapackage.json": json.dumps({"licenses": [{"name": "ODC-By-1.0"}], "resources": []})},
        {"datapackage.json": json.dumps({"resources": [{"path": "t.csv", "licenses": [{"name": "CC0-1.0"}]}]})},
        {"授权书.md": GRANT},
        {"LICENSE": "LicenseRef-grid", "LICENSES/LicenseRef-grid.txt": GRANT},
        {"LICENSE": MIT, "croissant.json": croissant(license="https://opensource.org/licenses/MIT")},
    ],
)
def test_a_licence_is_clear_however_it_is_named(files: Files) -> None:
    assert share(judged({"t.csv": TABLE, **files}, "LIC-1"), "LIC-1") == (1, 1)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"LICENSE": "Ask us.\nWe may say yes.\n"}, "the text of `LICENSE` is no licence that is known"),
        ({"README.md": "---\nlicense: other\n---\n"}, "`README.md` names `other`"),
        ({"LICENSE": MIT, "croissant.json": croissant()}, "which differ"),
        ({"LICENSE": "LicenseRef-grid"}, "`LICENSES/LicenseRef-grid.txt` with the text of the grant is not there"),
        ({"LICENSE": "LicenseRef-g", "LICENSES/LicenseRef-g.txt": "Grantor: me\n"}, "does not say: uses, signed"),
        ({"a/LICENSE": MIT}, "no licence is named"),
        (
            {"datapackage.json": json.dumps({"licenses": [{"name": "MIT"}, {"name": "ours"}], "resources": []})},
            "names `ours`",
        ),
    ],
)
def test_what_is_not_clear_is_told(files: Files, why: str) -> None:
    report = judged({"t.csv": TABLE, **files}, "LIC-1")
    assert share(report, "LIC-1")[0] == 0
    assert why in str(notes(report, "LIC-1")["t.csv"])
    assert report.fixes[0].what.startswith("Make the licence of 1 of 1 files clear")


def test_the_nearest_statement_decides() -> None:
    package = {"licenses": [{"name": "MIT"}], "resources": [{"path": "v.csv", "licenses": [{"name": "ours"}]}]}
    files = {
        "t.csv": TABLE,
        "v.csv": TABLE,
        "a/b/u.csv": TABLE,
        "a/LICENSE": "nobody knows\nthis text\n",
        "datapackage.json": json.dumps(package),
    }
    report = judged(files, "LIC-1")
    assert share(report, "LIC-1") == (1, 3)
    assert set(notes(report, "LIC-1")) == {"v.csv", "a/b/u.csv"}


def test_where_nothing_is_said_it_is_not_declared_and_in_a_challenge_failed() -> None:
    assert judged({"t.csv": TABLE}, "LIC-1")["LIC-1"].status is Status.NOT_DECLARED
    assert judged({"t.csv": TABLE}, "LIC-1", demand={"types": {"a": "integer"}})["LIC-1"].status is Status.FAILED


@pytest.mark.parametrize(
    ("licence", "permitted"),
    [
        ("MIT", set(USES)),
        ("CC-BY-NC-4.0", {"modify", "share"}),
        ("CC-BY-ND-4.0", {"commercial", "share"}),
        ("CC-BY-NC-ND-4.0", {"share"}),
        ("MIT AND CC-BY-NC-4.0", {"modify", "share"}),
        ("CC-BY-NC-4.0 OR MIT", set(USES)),
        ("GPL-2.0-only WITH Classpath-exception-2.0", set(USES)),
        ("LicenseRef-ours", {"modify"}),
        ("LicenseRef-scancode-public-domain", set()),
        ("BUSL-1.1", set()),
    ],
)
def test_what_a_licence_permits(licence: str, permitted: set[str]) -> None:
    grants = {"LicenseRef-ours": frozenset({"modify"})}
    assert {use for use in USES if permits(licence, grants, use)} == permitted


def test_the_order_of_an_expression_and_later_versions_make_no_difference() -> None:
    assert alike(["MIT OR Apache-2.0", "Apache-2.0 OR MIT"])
    assert alike(["GPL-3.0-only", "GPL-3.0-or-later"])
    assert not alike(["MIT", "CC0-1.0"])
