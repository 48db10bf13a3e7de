"""The CEL subset as a syntax tree: a lexer, and a parser by precedence. Types and meaning are check.py's.

Taken from CEL: the grammar of literals (int, decimal, bool, text), names, calls, lists, ! - * / % + - relations in && || ?:
and comments. What CEL has beyond it (maps, messages, indexing, macros, unsigned, bytes, null) is refused by name.

Source: the CEL language definition, sections Syntax and Values.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

TEXT_MAX = 4000
_DEPTH_MAX = 40
# Whoever walks the tree recurses along a chain of operators.
_OPERATORS_MAX = 200
INT64_MAX = (1 << 63) - 1

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<decimal>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<int>0[xX][0-9a-fA-F]+|\d+)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>&&|\|\||[<>=!]=|[-+*/%!<>?:,.()\[\]{}])""",
    re.VERBOSE,
)
_RESERVED = set(
    "as break const continue else for function if import let loop package namespace return var void while null in".split()
)
_LEVELS = (
    {"||"},
    {"&&"},
    {"<", "<=", ">", ">=", "==", "!=", "in"},
    {"+", "-"},
    {"*", "/", "%"},
)


@dataclass(frozen=True, slots=True)
class Expr:
    """Characters start..stop of the text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """kind: int, decimal, bool or text; value: an int, Fraction, bool or str."""

    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A name, perhaps with dots."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """! or - of an operand."""

    operator: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """An operator of two operands."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Choice(Expr):
    """condition ? yes : no."""

    condition: Expr
    yes: Expr
    no: Expr


@dataclass(frozen=True, slots=True)
class Listing(Expr):
    """[a, b, ...]."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """name(arguments); the name stands at name_start..name_stop."""

    name: str
    arguments: tuple[Expr, ...]
    name_stop: int


class CelError(Exception):
    """The text is no expression of the subset. Who must act: its author. code: rules-syntax or rules-not-supported."""

    def __init__(self, message: str, start: int, stop: int, fix: str | None, code: str):
        super().__init__(message)
        self.message, self.start, self.stop, self.fix, self.code = message, start, stop, fix, code


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    stop: int


def parse(text: str) -> Expr:
    """Return the syntax tree of text. Raises CelError, with the place, for anything that is not the subset."""
    if len(text) > TEXT_MAX:
        raise CelError(
            f"an expression of {len(text)} characters exceeds {TEXT_MAX}",
            0,
            1,
            "use variables",
            "rules-syntax",
        )
    return _Parser(_tokens(text), len(text)).whole()


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind, match[0], position, match.end()))
        position = match.end()
    return found


def _unreadable(text: str, position: int) -> CelError:
    character = text[position]
    fixes = {
        "=": "compare with ==",
        "&": "and is &&",
        "|": "or is ||",
        '"': "close the text with the same quote",
        "'": "close the text with the same quote",
        "`": "names are written without quotes",
    }
    message = f"{character} does not belong here" if character.isprintable() else "a control character"
    return CelError(message, position, position + 1, fixes.get(character), "rules-syntax")


class _Parser:
    def __init__(self, tokens: list[_Token], length: int):
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.operators = 0
        self.end = _Token("end", "", length, length + 1)

    def whole(self) -> Expr:
        tree = self.expression()
        token = self._peek()
        if token.kind != "end":
            fix = {"=": "compare with ==", "and": "and is &&", "or": "or is ||", "not": "not is !"}.get(
                token.text
            )
            raise self._wrong(f"the expression should end before {token.text}", token, fix)
        return tree

    def expression(self) -> Expr:
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise self._wrong("nested too deeply", self._peek(), "use variables")
        condition = self._level(0)
        if self._peek().text == "?":
            self.position += 1
            yes = self._level(0)
            self._expect(":", "a choice is written condition ? this : that")
            no = self.expression()
            condition = Choice(condition.start, no.stop, condition, yes, no)
        self.depth -= 1
        return condition

    def _level(self, level: int) -> Expr:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while self._peek().text in _LEVELS[level] and self._peek().kind != "text":
            operator = self._operator().text
            right = self._level(level + 1)
            left = Binary(left.start, right.stop, operator, left, right)
        return left

    def _unary(self) -> Expr:
        token = self._peek()
        if token.text not in ("!", "-") or token.kind != "mark":
            return self._member()
        signs = []
        while self._peek().text == token.text:
            signs.append(self._operator())
        following = self._peek()
        if token.text == "-" and following.kind in ("int", "decimal") and signs[-1].stop == following.start:
            tree: Expr = self._literal(self._next(), -1, signs.pop().start)
        else:
            tree = self._member()
        for sign in reversed(signs):
            tree = Unary(sign.start, tree.stop, token.text, tree)
        return tree

    def _member(self) -> Expr:
        tree = self._primary()
        token = self._peek()
        if token.text in ("[", "{", ".") and token.kind == "mark":
            what = {"[": "indexing", "{": "messages", ".": "fields and methods"}[token.text]
            raise self._not_supported(what, token)
        return tree

    def _primary(self) -> Expr:
        token = self._next()
        if token.kind in ("int", "decimal"):
            return self._literal(token, 1, token.start)
        if token.kind == "text":
            return Literal(token.start, token.stop, "text", token.text[1:-1])
        if token.kind == "name":
            return self._named(token)
        if token.text == "(":
            tree = self.expression()
            self._expect(")", "close the bracket")
            return tree
        if token.text == "[":
            items, stop = self._listed("]")
            return Listing(token.start, stop, items)
        if token.text == "{":
            raise self._not_supported("maps", token)
        if token.kind == "end":
            raise self._wrong("something is missing at the end", token, None)
        raise self._wrong(f"a value is missing before {token.text}", token, None)

    def _named(self, token: _Token) -> Expr:
        if token.text in ("true", "false"):
            return Literal(token.start, token.stop, "bool", token.text == "true")
        if token.text == "null":
            raise self._not_supported("null", token)
        if token.text in _RESERVED:
            raise self._wrong(
                f"{token.text} is a word of the language, not a name", token, "choose another name"
            )
        name, stop = token.text, token.stop
        while self._peek().text == "." and self._peek(1).kind == "name":
            self.position += 1
            part = self._next()
            name, stop = f"{name}.{part.text}", part.stop
        if self._peek().text == "(":
            self.position += 1
            arguments, end = self._listed(")")
            return Call(token.start, end, name, arguments, stop)
        if self._peek().kind == "text":
            raise self._not_supported(f"text with the prefix {name}", token)
        return Name(token.start, stop, name)

    def _listed(self, closing: str) -> tuple[tuple[Expr, ...], int]:
        items: list[Expr] = []
        while self._peek().text != closing:
            items.append(self.expression())
            if self._peek().text != ",":
                break
            self.position += 1
        return tuple(items), self._expect(closing, f"close with {closing}").stop

    def _literal(self, token: _Token, sign: int, start: int) -> Expr:
        following = self._peek()
        if following.kind == "name" and following.start == token.stop:
            if following.text in ("u", "U"):
                raise self._not_supported("unsigned integers", following)
            fix = f'a duration is written duration("{token.text}{following.text}")'
            raise self._wrong(f"{following.text} follows a number", following, fix)
        if token.kind == "decimal":
            exponent = re.search(r"[eE]([+-]?\d+)$", token.text)
            if len(token.text) > 40 or (exponent and abs(int(exponent[1])) > 20):
                raise self._wrong("this number has too many digits", token, None)
            return Literal(start, token.stop, "decimal", sign * Fraction(token.text))
        value = sign * int(token.text, 16 if token.text[:2].lower() == "0x" else 10)
        if not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise self._wrong("this number does not fit 64 bits", token, None)
        return Literal(start, token.stop, "int", value)

    def _operator(self) -> _Token:
        self.operators += 1
        if self.operators > _OPERATORS_MAX:
            message = f"an expression has more than {_OPERATORS_MAX} operators"
            raise self._wrong(message, self._peek(), "use variables")
        return self._next()

    def _peek(self, ahead: int = 0) -> _Token:
        at = self.position + ahead
        return self.tokens[at] if at < len(self.tokens) else self.end

    def _next(self) -> _Token:
        token = self._peek()
        self.position += 1
        return token

    def _expect(self, text: str, fix: str) -> _Token:
        token = self._next()
        if token.text != text or token.kind == "text":
            found = "the end" if token.kind == "end" else token.text
            raise self._wrong(f"{text} is missing before {found}", token, fix)
        return token

    def _wrong(self, message: str, token: _Token, fix: str | None) -> CelError:
        return CelError(message, token.start, token.stop, fix, "rules-syntax")

    def _not_supported(self, what: str, token: _Token) -> CelError:
        fix = "docs/rules/language.md lists what is"
        return CelError(
            f"{what} are not part of the rules' CEL"
            if what != "null"
            else "null is not part of the rules' CEL",
            token.start,
            token.stop,
            fix,
            "rules-not-supported",
        )
