"""A policy as written: YAML nodes become channels, actuators, rules and tests; every wrong key or value is reported.

CEL texts stay nodes here; check.py gives them meaning. The shape follows CEL policies (name, imports, variables, match with
condition and output, nested rules), and adds channels, guard, state and tests.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from protocol.diagnostic import Diagnostic, suggest
from protocol.limits import channels_max
from rules import grammar as g
from rules.authoring.bounds import SMALL_MAX
from rules.authoring.source import Node, Unreadable, decimals, number, read_source, shown_ticks, ticks
from rules.limits import action_max, rule_id_max, value_max

TOP_KEYS = "name description imports sample blind_after adopt_when channels guard rule rules tests".split()
IMPORT_KEYS = ("channels", "guard")
CHANNEL_KEYS = ("unit", "scale", "range", "stuck_after", "description")
GUARD_KEYS = "action range safe scale gap good fresh within needs_time needs_link shadow description".split()
RULE_KEYS = "name id description mode needs state variables match starts ask retry".split()
NESTED_KEYS = ("description", "variables", "match")
MATCH_KEYS = ("condition", "output", "explanation", "rule")
STATE_KEYS = ("name", "starts", "range", "next", "unit")
TEST_KEYS = ("name", "every", "steps")
_WORDS = set("age duration good has held lag latch math now window true false in null".split())


@dataclass(slots=True)
class Channel:
    """One channel: index into the schema; low, high raw."""

    name: str
    node: Node
    index: int
    unit: str
    scale: int
    low: int
    high: int
    stuck_after: int


@dataclass(slots=True)
class Actuator:
    """One action and its gate; low, high, safe raw at scale, gap and age_max in ticks."""

    name: str
    node: Node
    action: int
    scale: int
    low: int
    high: int
    safe: int
    gap: int
    good_mask: int
    age_mask: int
    age_max: int
    flags: int


@dataclass(slots=True)
class State:
    """One register that the author names. kind: int, decimal, bool or duration; starts, low, high raw."""

    name: str
    node: Node
    kind: str
    scale: int
    unit: str | None
    starts: int
    low: int
    high: int
    next: Node


@dataclass(slots=True)
class Match:
    """One alternative: a condition (None: always) and what is wanted then, or a rule inside."""

    node: Node
    condition: Node | None
    output: dict[str, tuple[Node, Node]]
    explanation: str
    inner: "Block | None"


@dataclass(slots=True)
class Block:
    """Variables and alternatives, the first that matches counts."""

    variables: dict[str, Node] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)


@dataclass(slots=True)
class RulePolicy:
    """One rule. needs: channel mask, or None for those that it reads. retry: ticks, or None for never."""

    name: str
    node: Node
    rule_id: int
    mode: int
    needs: int | None
    states: list[State]
    block: Block
    starts: dict[str, Node]
    always: bool
    retry: int | None
    description: str


@dataclass(slots=True)
class Policy:
    """Everything that a policy says. sample, blind_after: ticks or None. tests: nodes, for test.py.

    adopt: when the bundle may be replaced, or None. broken: names whose declaration was refused.
    """

    name: str
    description: str
    sample: int | None
    blind_after: int | None
    channels: dict[str, Channel]
    actuators: dict[str, Actuator]
    rules: list[RulePolicy]
    adopt: Node | None
    tests: list[Node]
    broken: set[str]


def read_policy(
    text: str, path: str, load: Callable[[str], str], report: Callable[[Diagnostic], None]
) -> Policy | None:
    """Return the policy of a YAML text; None if nothing of it can be used.

    load: gives the text of an imported file, named as the policy names it; raises OSError or UnicodeDecodeError.
    """
    try:
        root, mistakes = read_source(text, path)
    except Unreadable as error:
        report(error.diagnostic)
        return None
    for mistake in mistakes:
        report(mistake)
    reader = Reader(report)
    if root.kind != "map" or not root.entries:
        report(
            root.mistake(
                "rules-wrong-value",
                "a policy is a map: name, channels, guard, rules",
                "see docs/rules/language.md",
            )
        )
        return None
    reader.keys(root, TOP_KEYS, ("name",))
    _import(reader, root, load)
    return _whole(reader, root)


def _import(reader: "Reader", root: Node, load: Callable[[str], str]) -> None:
    """Put channels and guard of imported files before the policy's own."""
    for item in reader.items(root, "imports"):
        name = reader.word(item)
        if name is None:
            continue
        try:
            inner, mistakes = read_source(load(name), name)
        except Unreadable as error:
            reader.report(error.diagnostic)
            continue
        except (OSError, UnicodeDecodeError):
            reader.report(
                item.mistake(
                    "rules-file", f"{name} cannot be read", "the path starts at this policy's folder"
                )
            )
            continue
        for mistake in mistakes:
            reader.report(mistake)
        if inner.kind == "map":
            reader.keys(inner, IMPORT_KEYS, ())
            _merge(reader, root, inner)


def _merge(reader: "Reader", root: Node, inner: Node) -> None:
    for key, (key_node, value) in inner.entries.items():
        if key not in IMPORT_KEYS or value.kind != "map":
            continue
        if key not in root.entries:
            own = Node(value.source, value.start, value.stop, "map")
            root.entries[key] = (key_node, own)
        own = root.entries[key][1]
        for name in value.entries:
            if name in own.entries:
                reader.report(own.entries[name][0].mistake("rules-duplicate", f"{name} is imported already"))
        own.entries = {**value.entries, **own.entries}


def _whole(reader: "Reader", root: Node) -> Policy:
    channels = reader.named(root, "channels", _channel)
    if not 1 <= len(channels) <= channels_max:
        at = root.entries["channels"][0] if "channels" in root.entries else root
        reader.report(
            at.mistake("rules-wrong-value", f"a device has 1 to {channels_max} channels, not {len(channels)}")
        )
    actuators = reader.named(root, "guard", lambda r, n, k, i: _actuator(r, n, k, channels))
    sample = reader.duration(root, "sample")
    if sample == 0:
        reader.report(
            root.entries["sample"][1].mistake("rules-wrong-value", "samples need some time between them")
        )
        sample = None
    blind = reader.duration(root, "blind_after")
    written = [root.entries["rule"][1]] if "rule" in root.entries else reader.items(root, "rules")
    rules = [rule for i, node in enumerate(written) if (rule := _rule(reader, node, channels, i))]
    if "rule" in root.entries and "rules" in root.entries:
        message = "a policy has either rule or rules"
        reader.report(root.entries["rules"][0].mistake("rules-duplicate", message, "keep rules, a list"))
    if not written:
        reader.report(root.mistake("rules-missing-key", "a policy has at least one rule", "add rules:"))
    for what in ("rule_id", "name"):
        _unequal(reader, [(getattr(rule, what), rule.node) for rule in rules], what.replace("rule_", ""))
    _unequal(reader, [(one.action, one.node) for one in actuators.values()], "action")
    return Policy(
        reader.text(root, "name") or "",
        reader.text(root, "description") or "",
        sample,
        blind if blind is not None else 2 * sample if sample else None,
        channels,
        actuators,
        rules,
        root.entries["adopt_when"][1] if "adopt_when" in root.entries else None,
        reader.items(root, "tests"),
        reader.broken,
    )


def _unequal(reader: "Reader", rows: list[tuple[object, Node]], what: str) -> None:
    seen: set[object] = set()
    for value, node in rows:
        if value in seen:
            reader.report(
                node.mistake("rules-duplicate", f"another one has the {what} {value}", "choose another")
            )
        seen.add(value)


def _channel(reader: "Reader", name: Node, node: Node, index: int) -> Channel | None:
    if not reader.is_map(node, "a channel") or not reader.keys(
        node, CHANNEL_KEYS, ("unit", "scale", "range")
    ):
        return None
    scale = reader.whole(node, "scale", -9, 9, 0)
    low, high = reader.range(node, "range", scale, -SMALL_MAX, SMALL_MAX)
    stuck = reader.whole(node, "stuck_after", 0, value_max, 0)
    return Channel(name.text, name, index, reader.text(node, "unit") or "", scale, low, high, stuck)


def _actuator(reader: "Reader", name: Node, node: Node, channels: dict[str, Channel]) -> Actuator | None:
    if not reader.is_map(node, "an actuator") or not reader.keys(
        node, GUARD_KEYS, ("action", "range", "safe")
    ):
        return None
    scale = reader.whole(node, "scale", -9, 9, 0)
    low, high = reader.range(node, "range", scale, -value_max, value_max)
    safe = reader.raw(node.entries["safe"][1], scale, low, high)
    flags = 0
    for key, flag in (("needs_time", g.NEEDS_TIME), ("needs_link", g.NEEDS_LINK), ("shadow", g.GATE_SHADOW)):
        flags |= flag if reader.yes(node, key) else 0
    age_mask = reader.mask(node, "fresh", channels)
    within = reader.duration(node, "within")
    if bool(age_mask) != (within is not None):
        fix = "fresh: [channel, ...] and within: 108s belong together"
        reader.report(name.mistake("rules-missing-key", "fresh and within stand together or not at all", fix))
    return Actuator(
        name.text,
        name,
        reader.whole(node, "action", 0, action_max, 0),
        scale,
        low,
        high,
        low if safe is None else safe,
        reader.duration(node, "gap") or 0,
        reader.mask(node, "good", channels) or 0,
        age_mask or 0,
        (within or 0) if age_mask else 0,
        flags,
    )


def _rule(reader: "Reader", node: Node, channels: dict[str, Channel], index: int) -> RulePolicy | None:
    if not reader.is_map(node, "a rule") or not reader.keys(node, RULE_KEYS, ("name", "match")):
        return None
    name = reader.text(node, "name") or ""
    modes = {"off": g.OFF, "shadow": g.SHADOW, "on": g.ON, "": g.ON}
    mode = reader.one_of(node, "mode", modes)
    asks = {"": False, "on_change": False, "every_sample": True}
    always = bool(reader.one_of(node, "ask", asks))
    return RulePolicy(
        name,
        node.entries["name"][1],
        reader.whole(node, "id", 0, rule_id_max, index + 1),
        int(mode),
        reader.mask(node, "needs", channels),
        [state for item in reader.items(node, "state") if (state := _state(reader, item))],
        _block(reader, node),
        {key: value for key, (_, value) in reader.map(node, "starts").items()},
        always,
        reader.duration(node, "retry"),
        reader.text(node, "description") or "",
    )


def _block(reader: "Reader", node: Node) -> Block:
    block = Block()
    for item in reader.items(node, "variables"):
        if reader.is_map(item, "a variable") and reader.keys(
            item, ("name", "expression"), ("name", "expression")
        ):
            name = reader.name(item.entries["name"][1])
            if name in block.variables:
                reader.report(
                    item.entries["name"][1].mistake("rules-duplicate", f"{name} stands here a second time")
                )
            elif name:
                block.variables[name] = item.entries["expression"][1]
    for item in reader.items(node, "match"):
        if reader.is_map(item, "an alternative") and reader.keys(item, MATCH_KEYS, ()):
            block.matches.append(_match(reader, item))
    if not block.matches:
        reader.report(node.mistake("rules-missing-key", "a rule needs at least one alternative under match"))
    for early in block.matches[:-1]:
        if early.condition is None:
            fix = "give it a condition, or move it to the end"
            reader.report(early.node.mistake("rules-wrong-value", "what follows this is never reached", fix))
    return block


def _match(reader: "Reader", item: Node) -> Match:
    inner = None
    if "rule" in item.entries:
        nested = item.entries["rule"][1]
        if reader.is_map(nested, "a rule inside") and reader.keys(nested, NESTED_KEYS, ("match",)):
            inner = _block(reader, nested)
    if ("rule" in item.entries) == ("output" in item.entries):
        reader.report(
            item.mistake(
                "rules-missing-key", "an alternative has either output or rule", "output: {actuator: value}"
            )
        )
    condition = item.entries["condition"][1] if "condition" in item.entries else None
    return Match(item, condition, reader.map(item, "output"), reader.text(item, "explanation") or "", inner)


def _state(reader: "Reader", item: Node) -> State | None:
    if not reader.is_map(item, "a state") or not reader.keys(item, STATE_KEYS, ("name", "starts", "next")):
        return None
    name, starts = reader.name(item.entries["name"][1]), item.entries["starts"][1]
    unit, following = reader.text(item, "unit"), item.entries["next"][1]
    node = item.entries["name"][1]
    if not name:
        return None
    if starts.text in ("true", "false"):
        return State(name, node, "bool", 0, None, int(starts.text == "true"), 0, 1, following)
    length = ticks(starts.text)
    if length is not None and length.denominator == 1:
        return State(name, node, "duration", 0, None, int(length), 0, value_max, following)
    if "range" not in item.entries:
        reader.report(node.mistake("rules-missing-key", f"{name} needs a range", "range: [0, 100]"))
        return None
    texts = [starts.text, *(part.text for part in item.entries["range"][1].items)]
    scale = -max([decimals(value) for text in texts if (value := number(text)) is not None] or [0])
    low, high = reader.range(item, "range", scale, -SMALL_MAX, SMALL_MAX)
    first = reader.raw(starts, scale, low, high)
    kind = "decimal" if any("." in text for text in texts) else "int"
    return State(name, node, kind, scale, unit, first or 0, low, high, following)


class Reader:
    """Asks nodes for what they should hold, and reports what they do not; goes on with a harmless value."""

    def __init__(self, report: Callable[[Diagnostic], None]):
        self.report = report
        # What was meant to be declared; nobody needs to hear that it is not there.
        self.broken: set[str] = set()

    def keys(self, node: Node, known: "list[str] | tuple[str, ...]", needed: tuple[str, ...]) -> bool:
        """Return whether all needed keys are there; report each unknown one with the nearest known."""
        for key, (key_node, _) in node.entries.items():
            if key not in known:
                near = suggest(key, known)
                fix = f"did you mean {near}?" if near else f"known here are: {', '.join(known)}"
                self.report(key_node.mistake("rules-unknown-key", f"nobody reads the key {key}", fix))
        missing = [key for key in needed if key not in node.entries]
        if missing:
            first = next(iter(node.entries.values()), (node, node))[0]
            word = "keys" if len(missing) > 1 else "key"
            self.report(
                first.mistake(
                    "rules-missing-key", f"the {word} {', '.join(missing)} is missing here", "add it"
                )
            )
        return not missing

    def is_map(self, node: Node, what: str) -> bool:
        """Return whether node is a map; report it if not."""
        if node.kind != "map":
            self.report(node.mistake("rules-wrong-value", f"{what} is a map of keys and values"))
        return node.kind == "map"

    def items(self, node: Node, key: str) -> list[Node]:
        """Return the members of a list, [] where there is none."""
        if key not in node.entries:
            return []
        value = node.entries[key][1]
        if value.kind != "list":
            self.report(
                node.entries[key][0].mistake(
                    "rules-wrong-value", f"{key} holds a list", "start each member with -"
                )
            )
        return value.items

    def map(self, node: Node, key: str) -> dict[str, tuple[Node, Node]]:
        """Return the entries of a map, {} where there is none."""
        if key not in node.entries:
            return {}
        value = node.entries[key][1]
        if value.kind != "map":
            self.report(
                node.entries[key][0].mistake(
                    "rules-wrong-value", f"{key} holds a map", f"{key}: {{name: value}}"
                )
            )
        return value.entries

    def named(self, node: Node, key: str, make: Callable) -> dict:
        """Return name -> what make says of each entry of a map."""
        found = {}
        for index, (name, value) in enumerate(self.map(node, key).values()):
            self.name(name)
            one = make(self, name, value, index)
            if one is not None:
                found[name.text] = one
            else:
                self.broken.add(name.text)
        return found

    def name(self, node: Node) -> str | None:
        """Return a name that CEL can use."""
        word = self.word(node)
        if word is None:
            return None
        if not word.isascii() or not word.isidentifier() or word in _WORDS:
            fix = "letters, digits and _, not starting with a digit, and no word of the language"
            self.report(node.mistake("rules-wrong-value", f"{word} cannot be a name", fix))
            return None
        return word

    def word(self, node: Node) -> str | None:
        """Return the text of a scalar."""
        if node.kind != "text" or not node.text:
            self.report(node.mistake("rules-wrong-value", "a word is needed here"))
            return None
        return node.text

    def text(self, node: Node, key: str) -> str | None:
        """Return the text of a key, None where there is none."""
        return self.word(node.entries[key][1]) if key in node.entries else None

    def yes(self, node: Node, key: str) -> bool:
        """Return whether a key says true."""
        if key not in node.entries:
            return False
        value = node.entries[key][1]
        if value.text not in ("true", "false"):
            self.report(value.mistake("rules-wrong-value", f"{key} is true or false"))
        return value.text == "true"

    def one_of(self, node: Node, key: str, choices: dict[str, int] | dict[str, bool]) -> int:
        """Return what a word stands for; the choice "" if the key is missing."""
        if key not in node.entries:
            return choices[""]
        value = node.entries[key][1]
        if value.text not in choices or not value.text:
            words = [word for word in choices if word]
            near = suggest(value.text, words)
            fix = f"did you mean {near}?" if near else f"write one of: {', '.join(words)}"
            self.report(value.mistake("rules-wrong-value", f"{value.text} is no {key}", fix))
        return choices.get(value.text, choices[""])

    def whole(self, node: Node, key: str, low: int, high: int, default: int) -> int:
        """Return the whole number of a key, default where there is none."""
        return self._within(node.entries[key][1], 0, low, high, default) if key in node.entries else default

    def raw(self, node: Node, scale: int, low: int, high: int) -> int | None:
        """Return a decimal number as raw units at a scale."""
        return self._within(node, scale, low, high, None)

    def _within(self, node: Node, scale: int, low: int, high: int, default):
        value = number(node.text) if node.kind == "text" else None
        if value is None:
            self.report(node.mistake("rules-wrong-value", "a number is needed here"))
            return default
        raw = value / Fraction(10) ** scale
        if raw.denominator != 1:
            self.report(
                node.mistake(
                    "rules-precision", f"{node.text} has more decimal places than scale {scale} keeps"
                )
            )
            return default
        if not low <= raw <= high:
            unit = Fraction(10) ** scale
            limits = f"{float(low * unit):g}..{float(high * unit):g}"
            self.report(node.mistake("rules-wrong-value", f"{node.text} is outside {limits}"))
            return default
        return int(raw)

    def range(self, node: Node, key: str, scale: int, low: int, high: int) -> tuple[int, int]:
        """Return (low, high) of a key that holds [low, high] in decimal."""
        key_node, value = node.entries[key]
        if value.kind != "list" or len(value.items) != 2:
            self.report(key_node.mistake("rules-wrong-value", f"{key} is [lowest, highest]"))
            return low, high
        found = [self._within(item, scale, low, high, None) for item in value.items]
        if found[0] is None or found[1] is None:
            return low, high
        if found[0] > found[1]:
            self.report(
                key_node.mistake(
                    "rules-wrong-value", f"the lowest of {key} is above the highest", "swap them"
                )
            )
            return low, high
        return found[0], found[1]

    def duration(self, node: Node, key: str) -> int | None:
        """Return the ticks of a key, None where there is none."""
        if key not in node.entries:
            return None
        value = node.entries[key][1]
        count = ticks(value.text)
        if count is None or count.denominator != 1 or count > value_max:
            message = f"{value.text} is no duration in whole 100 ms, at most {shown_ticks(value_max)}"
            self.report(value.mistake("rules-wrong-value", message, "write 500ms, 108s, 12m or 1h30m"))
            return None
        return int(count)

    def mask(self, node: Node, key: str, channels: dict[str, Channel]) -> int | None:
        """Return one bit for each channel that a list names, None where there is no list."""
        if key not in node.entries:
            return None
        found = 0
        for item in self.items(node, key):
            channel = channels.get(item.text)
            if channel is None and item.text not in self.broken:
                near = suggest(item.text, channels)
                fix = f"did you mean {near}?" if near else f"known are: {', '.join(channels)}"
                self.report(item.mistake("rules-unknown-name", f"no channel is called {item.text}", fix))
            elif channel is not None:
                found |= 1 << channel.index
        return found
