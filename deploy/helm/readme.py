"""The tables of the chart's README: values from the comments in values.yaml, settings from the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import yaml

from deploy.helm.chart import CHART
from deploy.helm.settings import (
    NOT_FOR_A_CLUSTER,
    PROCESSES,
    SET_BY_CHART,
    Offered,
    own_settings,
    shared_settings,
)

_KEY = re.compile(r"^( *)([A-Za-z0-9_-]+):")
_LONGEST_DEFAULT = 60


def written(readme: str) -> str:
    """The README with its tables made anew; they stand between `<!-- name -->` and `<!-- end -->`."""
    tables = {"values": values_table(), "settings": settings_tables()}
    for name, table in tables.items():
        readme, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda match, table=table: f"{match[1]}{table}{match[2]}",  # type: ignore[misc]
            readme,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"the README has no place for the table {name}")
    return readme


def values_table() -> str:
    """A row for each value whose comment begins with `--`."""
    text = (CHART / "values.yaml").read_text("utf-8")
    defaults = yaml.safe_load(text)
    rows = []
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- ") or (comment and stripped.startswith("# ")):
            comment.append(stripped.removeprefix("# ").removeprefix("-- "))
            continue
        if match := _KEY.match(line):
            depth = len(match[1])
            path = [*(each for each in path if each[0] < depth), (depth, match[2])]
            if comment:
                keys = [key for _, key in path]
                rows.append((".".join(keys), _default(defaults, keys), " ".join(comment)))
        comment = []
    return _table(("value", "default", "what it is"), rows)


def settings_tables() -> str:
    """What `settings` and each `services.<name>.settings` take, and which settings are not theirs to give."""
    parts = ["### `settings`: read by every process\n\n" + _settings_table(shared_settings())]
    for process in PROCESSES:
        if offered := own_settings(process):
            parts.append(f"### `services.{process}.settings`\n\n" + _settings_table(offered))
    elsewhere = [(f"`{name}`", f"set by the chart: {how}") for name, how in SET_BY_CHART.items()]
    elsewhere += [(f"`{name}`", f"not offered: {why}") for name, why in NOT_FOR_A_CLUSTER.items()]
    parts.append("### Settings that are not given here\n\n" + _table(("setting", "why"), elsewhere))
    return "\n".join(parts)


def _settings_table(offered: Iterable[Offered]) -> str:
    rows = [(f"`{each.name}`", f"`{each.default}`" if each.default else "", each.meaning) for each in offered]
    return _table(("setting", "default", "what it is"), rows)


def _default(defaults: Any, keys: list[str]) -> str:
    for key in keys:
        defaults = defaults[key]
    shown = json.dumps(defaults, ensure_ascii=False)
    return f"`{shown}`" if len(shown) <= _LONGEST_DEFAULT else "see `values.yaml`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
