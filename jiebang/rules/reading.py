"""Rules as a declaration writes them: a text, a named text, or a pack with the columns it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jiebang.declared_values import as_mapping, as_names, as_optional_text, as_text, written, wrong
from jiebang.document import KeyPath, refuse_unknown_keys
from jiebang.rules.expression import Condition, RuleError, columns_of, parse_rule, renamed
from jiebang.rules.sectors import packs

MOST_RULES = 200


@dataclass(frozen=True)
class Rule:
    """A rule as it is written, with a name for people where it has one."""

    text: str
    name: str | None = None

    @cached_property
    def condition(self) -> Condition:
        """The tree of the rule."""
        return parse_rule(self.text)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return columns_of(self.condition)

    @property
    def title(self) -> str:
        """What the rule is called where its breach is told."""
        return self.name or self.text

    def as_json(self) -> str | dict[str, str]:
        """The rule as it is declared; one of a pack is written out, so that the pack may change."""
        return self.text if self.name is None else {"name": self.name, "rule": self.text}


def read_rules(value: Any, path: KeyPath) -> tuple[Rule, ...]:
    """The rules of a table; those of packs are written out for the columns that are named."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise wrong(path, f"`{written(path)}` must be a list.", "Write items such as `low <= high` or {pack, columns}.")
    rules = [rule for index, entry in enumerate(value) for rule in _entry(entry, (*path, index))]
    if not rules or len(rules) > MOST_RULES:
        raise wrong(
            path, f"`{written(path)}` must have 1 to {MOST_RULES} rules.", "Leave the key out if there is none."
        )
    return tuple(dict.fromkeys(rules))


def _entry(entry: Any, path: KeyPath) -> list[Rule]:
    if not isinstance(entry, Mapping):
        return [_rule(as_text(entry, path), None, path)]
    own = as_mapping(entry, path) or {}
    if "pack" in own:
        refuse_unknown_keys(own, ("pack", "columns"), path, "a pack of rules")
        return _of_pack(own, path)
    refuse_unknown_keys(own, ("name", "rule"), path, "a rule")
    if own.get("rule") is None:
        raise wrong(path, f"`{written(path)}` lacks `rule`.", "A rule is a text, {name, rule} or {pack, columns}.")
    return [_rule(as_text(own["rule"], (*path, "rule")), as_optional_text(own.get("name"), (*path, "name")), path)]


def _rule(text: str, name: str | None, path: KeyPath) -> Rule:
    rule = Rule(text.strip(), name)
    try:
        if not rule.columns:
            raise RuleError("it names no column")
    except RuleError as error:
        raise wrong(
            path, f"`{written(path)}` is not a rule: {error}.", "Write comparisons such as `low <= high`."
        ) from error
    return rule


def _of_pack(own: Mapping[str, Any], path: KeyPath) -> list[Rule]:
    known = packs()
    name = as_text(own["pack"], (*path, "pack"))
    if name not in known:
        raise wrong((*path, "pack"), f"`{name[:40]}` is not a pack of rules.", f"Packs: {', '.join(known)}.")
    pack, at = known[name], (*path, "columns")
    given = own.get("columns")
    if isinstance(given, Mapping):
        columns = {part: as_text(column, (*at, part)) for part, column in (as_mapping(given, at) or {}).items()}
    else:
        columns = {column: column for column in as_names(given, at)}
    for part in columns:
        if part not in pack.columns:
            detail = f"Its columns: {', '.join(pack.columns)}."
            raise wrong((*at, part), f"`{part[:40]}` is not a column of the pack {name}.", detail)
    rules = [
        Rule(renamed(rule.text, columns), f"{name}: {rule.name}")
        for rule in pack.rules
        if set(columns_of(parse_rule(rule.text))) <= set(columns)
    ]
    if not rules:
        raise wrong(
            at,
            f"`{written(at)}` names too few columns for a rule of the pack {name}.",
            f"Say which of your columns are {', '.join(pack.columns)}, as `theirs: yours`.",
        )
    return rules
