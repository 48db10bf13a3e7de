"""Lays the names of CDDL rules over bytes: which rule fits, what each item is called, where the first bad byte is."""

from dataclasses import dataclass, field
from typing import Any

from tools.cbor_tree import ARRAY, BYTES, MAP, TEXT, BadBytes, Item, read_tree
from tools.cddl import Box, Choice, Control, Entry, Group, Literal, Major, Name, Span

_BUILT_IN = {
    "uint": lambda item: item.major == 0,
    "nint": lambda item: item.major == 1,
    "int": lambda item: item.major in (0, 1),
    "bstr": lambda item: item.major == BYTES,
    "bytes": lambda item: item.major == BYTES,
    "tstr": lambda item: item.major == TEXT,
    "text": lambda item: item.major == TEXT,
    "bool": lambda item: item.value in (True, False) and item.major == 7,
    "true": lambda item: item.major == 7 and item.value is True,
    "false": lambda item: item.major == 7 and item.value is False,
    "null": lambda item: item.major == 7 and item.value is None,
    "nil": lambda item: item.major == 7 and item.value is None,
    "any": lambda item: True,
}


@dataclass(slots=True)
class Named:
    """One item with its name. label: its name in the rule that holds it; rule: the rule it fits; word: of an enumeration."""

    item: Item
    label: str | None = None
    rule: str | None = None
    word: str | None = None
    is_nested: bool = False
    children: list["Named"] = field(default_factory=list)


class Matcher:
    """Matches one input against rules. rules_met: every rule that a successful match went through."""

    def __init__(self, rules: dict[str, Any], data: bytes):
        self.rules = rules
        self.data = data
        self.rules_met: set[str] = set()
        self.farthest: BadBytes | None = None

    def match(self, rule: str, item: Item) -> Named:
        """Return item under the names of rule. Raises BadBytes at the farthest place that was reached."""
        self.farthest = None
        try:
            return self._type(Name(rule), item)
        except BadBytes as error:
            raise self.farthest or error from None

    def _miss(self, offset: int, expected: str) -> BadBytes:
        error = BadBytes(offset, expected)
        if self.farthest is None or offset >= self.farthest.offset:
            self.farthest = error
        return error

    def _type(self, wanted: Any, item: Item) -> Named:
        if isinstance(wanted, Name):
            return self._named(wanted.name, item)
        if isinstance(wanted, Choice):
            return self._choice(wanted, item)
        if isinstance(wanted, Control):
            return self._control(wanted, item)
        if isinstance(wanted, Box) and wanted.kind == "&":
            return self._enumeration(wanted, item)
        if isinstance(wanted, Box):
            return self._box(wanted, item)
        if not _fits(wanted, item):
            raise self._miss(item.start, describe(wanted))
        return Named(item)

    def _named(self, name: str, item: Item) -> Named:
        if name not in self.rules:
            if not _BUILT_IN[name](item):
                raise self._miss(item.start, name)
            return _bare(item)
        rule = self.rules[name]
        if isinstance(rule, Group):
            rule = rule.alternatives[0][0].type
        found = self._type(rule, item)
        self.rules_met.add(name)
        found.rule = name if found.rule is None else found.rule
        return found

    def _choice(self, wanted: Choice, item: Item) -> Named:
        for option in wanted.options:
            try:
                return self._type(option, item)
            except BadBytes:
                continue
        raise self._miss(item.start, describe(wanted))

    def _control(self, wanted: Control, item: Item) -> Named:
        found = self._type(wanted.type, item)
        if wanted.operator in (".cbor", ".cborseq"):
            found = self._nested(wanted, item)
        elif wanted.operator == ".size":
            size = (
                item.end - item.content if item.major in (BYTES, TEXT) else (item.value.bit_length() + 7) // 8
            )
            span = wanted.argument
            low, high = (span.low, span.high) if isinstance(span, Span) else (span.value, span.value)
            if not low <= size <= high:
                raise self._miss(item.start, f"{low}..{high} bytes" if low != high else f"{low} bytes")
        return found

    def _nested(self, wanted: Control, item: Item) -> Named:
        try:
            inner = read_tree(self.data, item.content, item.end)
        except BadBytes as error:
            raise self._miss(error.offset, error.expected) from None
        if inner.end != item.end:
            raise self._miss(inner.end, "the end of the byte string")
        found = self._type(wanted.argument, inner)
        return Named(item, rule=found.rule, is_nested=True, children=[found])

    def _enumeration(self, wanted: Box, item: Item) -> Named:
        group = self.rules[wanted.group.name] if isinstance(wanted.group, Name) else wanted.group
        for entry in group.alternatives[0]:
            if isinstance(entry.type, Literal) and _fits(entry.type, item):
                return Named(item, word=entry.label)
        raise self._miss(item.start, describe(wanted))

    def _box(self, wanted: Box, item: Item) -> Named:
        if item.major != (ARRAY if wanted.kind == "[" else MAP):
            raise self._miss(item.start, "an array" if wanted.kind == "[" else "a map")
        found = Named(item)
        if wanted.kind == "{":
            found.children = self._map(wanted.group, item)
            return found
        found.children, used = self._sequence(wanted.group, item, 0)
        if used != len(item.children):
            raise self._miss(item.children[used].start, "the end of the array")
        return found

    def _sequence(self, group: Group, item: Item, at: int) -> tuple[list[Named], int]:
        error = None
        for entries in group.alternatives:
            try:
                return self._entries(entries, item, at)
            except BadBytes as miss:
                error = miss
        assert error is not None
        raise error

    def _entries(self, entries: tuple, item: Item, at: int) -> tuple[list[Named], int]:
        found: list[Named] = []
        for entry in entries:
            for times in range(entry.high):
                try:
                    more, at = self._entry(entry, item, at)
                except BadBytes:
                    if times < entry.low:
                        raise
                    break
                found += more
        return found, at

    def _entry(self, entry: Entry, item: Item, at: int) -> tuple[list[Named], int]:
        group = self._as_group(entry.type)
        if group is not None:
            taken = self._sequence(group, item, at)
            if isinstance(entry.type, Name):
                self.rules_met.add(entry.type.name)
            return taken
        if at >= len(item.children):
            raise self._miss(item.end, entry.label or describe(entry.type))
        one = self._type(entry.type, item.children[at])
        one.label = entry.label
        return [one], at + 1

    def _as_group(self, wanted: Any) -> Group | None:
        if isinstance(wanted, Group):
            return wanted
        if isinstance(wanted, Name):
            rule = self.rules.get(wanted.name)
            return rule if isinstance(rule, Group) else None
        return None

    def _map(self, group: Group, item: Item) -> list[Named]:
        (entries,) = group.alternatives
        left = list(zip(item.children[::2], item.children[1::2], strict=True))
        found = []
        for entry in entries:
            taken: list[tuple[Item, Item]] = []
            for pair in left:
                if len(taken) < entry.high and self._is_key(entry, pair[0]):
                    one = self._type(entry.type, pair[1])
                    one.label = entry.label or self._type(entry.key, pair[0]).word or str(pair[0].value)
                    taken.append(pair)
                    found.append(one)
            if len(taken) < entry.low:
                raise self._miss(item.end, f"the key {entry.label}")
            left = [pair for pair in left if pair not in taken]
        if left:
            raise self._miss(left[0][0].start, "no further key")
        return found

    def _is_key(self, entry: Entry, key: Item) -> bool:
        held = self.farthest
        try:
            self._type(entry.key, key)
        except BadBytes:
            self.farthest = held
            return False
        return True


def _bare(item: Item) -> Named:
    """Return an item that no rule describes further: its parts have no names."""
    found = Named(item)
    found.children = [_bare(child) for child in item.children]
    return found


def _fits(wanted: Any, item: Item) -> bool:
    if isinstance(wanted, Literal):
        is_number = isinstance(wanted.value, int)
        return item.major in ((0, 1) if is_number else (BYTES, TEXT)) and item.value == wanted.value
    if isinstance(wanted, Span):
        return item.major in (0, 1) and wanted.low <= item.value <= wanted.high
    assert isinstance(wanted, Major), wanted
    if item.major != wanted.major:
        return False
    number = getattr(item.value, "value", None)
    if wanted.argument is None:
        return True
    if isinstance(wanted.argument, Span):
        return number is not None and wanted.argument.low <= number <= wanted.argument.high
    return number == wanted.argument.value


def describe(wanted: Any) -> str:
    """Return a type in a few words."""
    if isinstance(wanted, Name):
        return wanted.name
    if isinstance(wanted, Literal):
        return f"h'{wanted.value.hex()}'" if isinstance(wanted.value, bytes) else repr(wanted.value)
    if isinstance(wanted, Span):
        return f"{wanted.low}..{wanted.high}"
    if isinstance(wanted, Choice):
        return " or ".join(describe(option) for option in wanted.options)
    if isinstance(wanted, Control):
        return describe(wanted.type)
    if isinstance(wanted, Box):
        return {"[": "an array", "{": "a map", "&": "one of the listed numbers"}[wanted.kind]
    return "one of the listed values"
