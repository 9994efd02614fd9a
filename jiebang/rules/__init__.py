"""Rules that records are to keep: a small language of comparisons, sums and conditions, and packs by sector."""

from __future__ import annotations

from jiebang.rules.expression import LARGEST_TERM, RuleError, summands_of
from jiebang.rules.kinds import Kind, kinds_of
from jiebang.rules.reading import Rule, read_rules
from jiebang.rules.sectors import packs

__all__ = ["LARGEST_TERM", "Kind", "Rule", "RuleError", "kinds_of", "packs", "read_rules", "summands_of"]
