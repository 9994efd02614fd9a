"""The language of rules: text to a tree, with errors that say where.

    rule        = condition | "if" condition "then" condition
    condition   = part { "or" part };  part = fact { "and" fact };  fact = "not" fact | "(" condition ")" | comparison
    comparison  = sum { ("<" | "<=" | ">" | ">=" | "=" | "!=") sum } | name ["not"] "in" "(" text { "," text } ")"
    sum         = ["-"] term { ("+" | "-") term }
    term        = number | text | name | "time" "(" name ")" | "abs" "(" sum ")"

A name is a word or stands between backticks; a text stands between quotes, which are doubled inside; `time` says that a
column without a declared type holds times. Nothing else can be said, so a rule can neither run for long nor reach
anything but the cells it names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jiebang.constraints import number

LONGEST_RULE = 1000
MOST_TERMS, LARGEST_TERM = 9, 10**18
"""Terms of a sum, and the largest number in one in millionths: together they stay within int64."""

_DEEPEST = 20
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)(?!\w)|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<quoted>`[^`]+`)|(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|==|!=|<>|[<>=+\-(),]))"
)
_WORDS = frozenset(("and", "or", "not", "in", "if", "then"))
_CALLS = re.compile(r"(?:abs|time)(?=\s*\()")
_COMPARISONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "==": "=", "!=": "<>", "<>": "<>"}


class RuleError(ValueError):
    """A rule that cannot be read; the message is a sentence about it."""


@dataclass(frozen=True)
class Number:
    """A number in millionths."""

    value: int


@dataclass(frozen=True)
class Text:
    """A text between quotes."""

    value: str


@dataclass(frozen=True)
class Name:
    """The cell of a column; `time` where the rule says that it is one."""

    column: str
    time: bool = False


@dataclass(frozen=True)
class Sum:
    """Terms that are added or, where negative, subtracted; its absolute value where it is `absolute`."""

    terms: tuple[tuple[bool, Value], ...]
    absolute: bool = False


Value = Number | Text | Name | Sum


@dataclass(frozen=True)
class Comparison:
    """Values in a chain: each comparison holds between its neighbours. The signs are those of SQL."""

    values: tuple[Value, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """Whether the cell of a column is one of some texts."""

    name: Name
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Junction:
    """Conditions that must all hold, or of which one must."""

    word: str
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """A condition that must not hold."""

    part: Condition


Condition = Comparison | Listed | Junction | Not


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def column(self) -> str:
        """The name that the token is, composed as those of columns are."""
        return unicodedata.normalize("NFC", self.text.strip("`"))


def tokens(rule: str) -> Iterator[_Token]:
    """The words, numbers, texts and signs of a rule."""
    place = 0
    while place < len(rule.rstrip()):
        match = _TOKEN.match(rule, place)
        if match is None:
            rest = rule[place:].lstrip()
            raise RuleError(f"what is {rest[:20].rstrip()!r} at character {len(rule) - len(rest) + 1}?")
        kind = str(match.lastgroup)
        text = match[kind]
        if kind == "quoted" or (kind == "word" and text not in _WORDS and not _CALLS.match(rule, match.start(kind))):
            kind = "name"
        yield _Token(kind, text, match.start(str(match.lastgroup)), match.end())
        place = match.end()


def parse_rule(rule: str) -> Condition:
    """The tree of a rule; RuleError says what is wrong and where."""
    if len(rule) > LONGEST_RULE:
        raise RuleError(f"it has {len(rule)} characters, and {LONGEST_RULE} are allowed")
    return _Parser(rule).rule()


def renamed(rule: str, columns: dict[str, str]) -> str:
    """The text of a rule about other columns."""
    parts, place = [], 0
    for token in tokens(rule):
        if token.kind == "name":
            name = columns[token.column]
            bare = re.fullmatch(r"[^\W\d]\w*", name) is not None and name not in _WORDS
            parts += [rule[place : token.start], name if bare else f"`{name}`"]
            place = token.end
    return "".join([*parts, rule[place:]])


class _Parser:
    def __init__(self, rule: str) -> None:
        self._tokens = list(tokens(rule))
        self._next = 0
        self._depth = 0

    def rule(self) -> Condition:
        if self._take("if"):
            premise = self._condition()
            self._need("then")
            whole: Condition = Junction("or", (Not(premise), self._condition()))
        else:
            whole = self._condition()
        if self._next < len(self._tokens):
            raise self._wrong("the end")
        return whole

    def _condition(self) -> Condition:
        return self._joined("or", lambda: self._joined("and", self._fact))

    def _joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def _fact(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RuleError(f"it is nested more than {_DEEPEST} deep")
        try:
            if self._take("not"):
                return Not(self._fact())
            if self._take("("):
                inner = self._condition()
                self._need(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        values = [self._sum()]
        if isinstance(values[0], Name):
            negated = self._at(1) == "in" and self._take("not")
            if self._take("in"):
                listed = Listed(values[0], self._texts())
                return Not(listed) if negated else listed
        signs = []
        while self._at() in _COMPARISONS:
            signs.append(_COMPARISONS[self._tokens[self._next].text])
            self._next += 1
            values.append(self._sum())
        if not signs:
            raise self._wrong("a comparison")
        return Comparison(tuple(values), tuple(signs))

    def _texts(self) -> tuple[str, ...]:
        self._need("(")
        texts = [self._text()]
        while self._take(","):
            texts.append(self._text())
        self._need(")")
        return tuple(texts)

    def _text(self) -> str:
        value = self._term()
        if not isinstance(value, Text):
            raise RuleError("`in` takes texts between quotes")
        return value.value

    def _sum(self) -> Value:
        terms = [(self._take("-"), self._term())]
        while self._at() in ("+", "-"):
            negative = self._take("-")
            if not negative:
                self._need("+")
            terms.append((negative, self._term()))
        if len(terms) == 1:
            negative, term = terms[0]
            if not negative:
                return term
            if isinstance(term, Number):
                return Number(-term.value)
        whole = Sum(tuple(terms))
        if _count(whole) > MOST_TERMS:
            raise RuleError(f"a sum has more than {MOST_TERMS} terms")
        return whole

    def _term(self) -> Value:
        if self._take("abs"):
            self._need("(")
            inner = self._sum()
            self._need(")")
            return Sum(inner.terms if isinstance(inner, Sum) and not inner.absolute else ((False, inner),), True)
        if self._take("time"):
            self._need("(")
            inner_name = self._term()
            self._need(")")
            if not isinstance(inner_name, Name):
                raise RuleError("`time` takes a column")
            return Name(inner_name.column, True)
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if token is None or token.kind not in ("number", "text", "name"):
            raise self._wrong("a column, a number or a text")
        self._next += 1
        if token.kind == "name":
            return Name(token.column)
        if token.kind == "text":
            quote = token.text[0]
            return Text(unicodedata.normalize("NFC", token.text[1:-1].replace(quote * 2, quote)))
        value = number(token.text)
        if value is None:
            raise RuleError(f"{token.text} has more than twelve digits or six places")
        return Number(value)

    def _at(self, ahead: int = 0) -> str | None:
        place = self._next + ahead
        token = self._tokens[place] if place < len(self._tokens) else None
        return token.text if token is not None and token.kind in ("word", "sign") else None

    def _take(self, text: str) -> bool:
        if self._at() != text:
            return False
        self._next += 1
        return True

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(f"`{text}`")

    def _wrong(self, wanted: str) -> RuleError:
        if self._next >= len(self._tokens):
            return RuleError(f"it ends where {wanted} should follow")
        token = self._tokens[self._next]
        return RuleError(f"{wanted} should stand at character {token.start + 1}, where {token.text[:20]!r} is")


def _count(value: Value) -> int:
    return sum(_count(term) for _, term in value.terms) if isinstance(value, Sum) else 1


def names_of(node: Condition | Value) -> Iterator[Name]:
    """Every column that a rule names, as often as it does."""
    match node:
        case Name():
            yield node
        case Listed():
            yield node.name
        case Sum():
            for _, term in node.terms:
                yield from names_of(term)
        case Comparison():
            for value in node.values:
                yield from names_of(value)
        case Junction():
            for part in node.parts:
                yield from names_of(part)
        case Not():
            yield from names_of(node.part)


def columns_of(node: Condition | Value) -> tuple[str, ...]:
    """The columns that a rule names, in order."""
    return tuple(dict.fromkeys(name.column for name in names_of(node)))


def summands_of(node: Condition) -> tuple[str, ...]:
    """The columns that a rule adds, or takes the absolute value of."""
    match node:
        case Comparison():
            found = [columns_of(value) for value in node.values if isinstance(value, Sum)]
        case Junction():
            found = [summands_of(part) for part in node.parts]
        case Not():
            return summands_of(node.part)
        case _:
            return ()
    return tuple(dict.fromkeys(column for columns in found for column in columns))
