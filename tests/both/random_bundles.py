"""Random well-formed bundles and samples from a seed, the same on both runtimes: integers and a shift register only."""

from protocol.cbor import Simple, dumps, loads
from rules import grammar as g
from rules.limits import nesting_max, value_max

CHANNELS = 3
_MASK = 0xFFFFFFFF


class Dice:
    """Marsaglia's 32-bit xorshift: the same numbers wherever integers are integers."""

    def __init__(self, seed):
        self.state = (seed * 2654435761 + 97) & _MASK or 1

    def below(self, limit):
        """Return 0 .. limit - 1."""
        x = self.state
        x ^= (x << 13) & _MASK
        x ^= x >> 17
        x ^= (x << 5) & _MASK
        self.state = x
        return x % limit

    def pick(self, choices):
        """Return one of choices."""
        return choices[self.below(len(choices))]


class RuleDice:
    """Throws the body of one rule with so many registers."""

    def __init__(self, dice, registers):
        self.dice = dice
        self.registers = registers
        self.acts = 0

    def constant(self):
        """Return a constant: mostly small, now and then at the bounds."""
        kind = self.dice.below(12)
        if kind == 0:
            return self.dice.pick((value_max, -value_max, value_max - 1, 1 << 30, -(1 << 31)))
        if kind < 4:
            return self.dice.below(3) - 1
        return self.dice.below(200) - 100

    def variable(self):
        """Return an input, the tick or a register."""
        kind = self.dice.below(8)
        if kind == 0:
            return Simple(g.now_variable())
        if kind < 4:
            return Simple(g.input_variable(self.dice.below(CHANNELS)))
        return Simple(g.register_variable(self.dice.below(self.registers)))

    def number(self, depth):
        """Return an expression of type int."""
        if depth == 0 or self.dice.below(5) == 0:
            return self.constant() if self.dice.below(2) else self.variable()
        operator = self.dice.pick(
            (g.ADD, g.SUBTRACT, g.MULTIPLY, g.DIVIDE, g.REMAINDER, g.NEGATE, g.ABSOLUTE, g.LEAST)
            + (g.GREATEST, g.CHOOSE, g.READ_AT, g.AGE)
        )
        if operator == g.AGE:
            return [operator, self.dice.below(CHANNELS)]
        if operator == g.READ_AT:
            base, count = self.run()
            return [operator, base, count, self.index(depth - 1, count)]
        if operator == g.CHOOSE:
            return [operator, self.truth(depth - 1), self.number(depth - 1), self.number(depth - 1)]
        if operator in (g.NEGATE, g.ABSOLUTE):
            return [operator, self.number(depth - 1)]
        extra = self.dice.below(3) if operator in (g.ADD, g.LEAST, g.GREATEST) else 0
        return [operator] + [self.number(depth - 1) for _ in range(2 + extra)]

    def run(self):
        """Return (base, count) of some registers."""
        base = self.dice.below(self.registers)
        return base, 1 + self.dice.below(self.registers - base)

    def index(self, depth, count):
        """Return an index expression: mostly one that stays below count."""
        if self.dice.below(6) == 0:
            return self.number(depth)
        return self.dice.below(count)

    def truth(self, depth):
        """Return an expression of type bool."""
        if depth == 0 or self.dice.below(8) == 0:
            return self.dice.below(2) == 1
        kind = self.dice.below(12)
        if kind < 6:
            operator = g.EQUAL + kind
            return [operator, self.number(depth - 1), self.number(depth - 1)]
        if kind == 6:
            return [
                g.IN_LIST,
                self.number(depth - 1),
                [self.constant() for _ in range(1 + self.dice.below(3))],
            ]
        if kind == 7:
            return [g.NOT, self.truth(depth - 1)]
        if kind == 8:
            return [self.dice.pick((g.GOOD, g.HAS)), self.dice.below(CHANNELS)]
        if kind == 9:
            return [self.dice.pick((g.EQUAL, g.UNEQUAL)), self.truth(depth - 1), self.truth(depth - 1)]
        operator = g.AND if kind == 10 else g.OR
        return [operator] + [self.truth(depth - 1) for _ in range(2 + self.dice.below(2))]

    def statement(self, depth):
        """Return one statement; at most 4 act in a whole rule."""
        kind = self.dice.below(10)
        if kind < 2 and self.acts < 4:
            self.acts += 1
            value = self.number(2) if self.dice.below(4) == 0 else self.dice.below(12) - 1
            register = [] if self.dice.below(2) else [self.dice.below(self.registers)]
            return [g.ACT, self.dice.below(4), value] + register
        if kind < 6 and depth > 0:
            branches = [self.body(depth - 1)]
            if self.dice.below(2):
                branches.append(self.body(depth - 1))
            return [g.IF, self.truth(3)] + branches
        if kind == 6:
            base, count = self.run()
            return [g.SET_AT, base, count, self.index(2, count), self.number(2)]
        return [g.SET, self.dice.below(self.registers), self.number(3)]

    def body(self, depth):
        """Return one to three statements."""
        return [self.statement(depth) for _ in range(1 + self.dice.below(3))]


class ConditionDice(RuleDice):
    """Throws a condition without registers: the `adopt` of a bundle."""

    def __init__(self, dice):
        RuleDice.__init__(self, dice, 0)

    def variable(self):
        """Return an input or the tick."""
        kind = self.dice.below(CHANNELS + 1)
        return Simple(g.now_variable() if kind == CHANNELS else g.input_variable(kind))

    def run(self):
        """Return (base, count) of registers; the condition that has them is thrown again."""
        return 0, 1


def has_register(node):
    """Return whether an expression chooses registers by an index."""
    if not isinstance(node, list):
        return False
    return node[:1] == [g.READ_AT] or any([has_register(part) for part in node])


def random_adopt_bundle(seed):
    """Return the bytes of random_bundle(seed) with a random condition of being replaced."""
    top = loads(random_bundle(seed), nesting_max)
    dice = ConditionDice(Dice(seed + 2000003))
    condition = True
    while isinstance(condition, bool) or has_register(condition):
        condition = dice.truth(4)
    top[8] = condition
    return dumps(top)


def random_bundle(seed):
    """Return the bytes of a bundle that a reader accepts: 3 channels, 1 to 3 rules, 3 gates for actions 0 to 2."""
    dice = Dice(seed)
    rules = []
    for rule_id in range(1 + dice.below(3)):
        thrown = RuleDice(dice, 1 + dice.below(8))
        body = thrown.body(2)
        init = [thrown.constant() for _ in range(thrown.registers)]
        rules.append([rule_id * 300, dice.pick((2, 2, 2, 1, 0)), init, dice.pick((0, 0, 1, 5)), body])
    gates = []
    for action in range(3):
        age_mask = dice.below(8)
        age_max = dice.below(40) if age_mask else 0
        gates.append(
            [
                action,
                -1,
                5 + dice.below(6),
                dice.below(30),
                dice.pick((0, 0, 1, 3)),
                age_mask,
                age_max,
                dice.below(8),
                0,
            ]
        )
    return dumps({1: 1, 2: seed, 3: b"\0" * 8, 4: rules, 5: gates, 7: CHANNELS})


def random_samples(seed, count):
    """Return samples (now, values, good, trusted, online) with rising ticks and inputs that come and go."""
    dice = Dice(seed + 1000003)
    now = dice.pick((0, 5000, (1 << 30) - 50, value_max - 40 * count))
    samples = []
    for _ in range(count):
        now += dice.below(40)
        values = [dice.below(240) - 120 for _ in range(CHANNELS)]
        samples.append((now, values, dice.pick((7, 7, 7, 0, 1, 3, 6)), dice.below(4) > 0, dice.below(4) > 0))
    return samples


def history(engine, samples):
    """Return what an engine does with samples: per sample [decisions, faults, waiting], then its state."""
    steps = []
    for now, values, good, trusted, online in samples:
        decisions = engine.sample(now, values, good, trusted_time=trusted, online=online)
        steps.append([[list(one) for one in decisions], [list(one) for one in engine.faults], engine.waiting])
    return [steps, engine.state()]
