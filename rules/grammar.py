"""The numbers of the grammar: statements, operators, variables, gate flags.

A number here is in signed bundles and in journals for years: it never changes its meaning.

Source: SPEC.md sections 2 and 3; bundle.cddl.
"""

FORMAT = 1

# modes of a rule
OFF = 0
SHADOW = 1
ON = 2

# statements
SET = 0
SET_AT = 1
IF = 2
ACT = 3

# operators
ADD = 0
SUBTRACT = 1
MULTIPLY = 2
DIVIDE = 3
REMAINDER = 4
NEGATE = 5
ABSOLUTE = 6
LEAST = 7
GREATEST = 8
EQUAL = 9
UNEQUAL = 10
BELOW = 11
AT_MOST = 12
ABOVE = 13
AT_LEAST = 14
IN_LIST = 15
AND = 16
OR = 17
NOT = 18
CHOOSE = 19
READ_AT = 20
GOOD = 21
AGE = 22
HAS = 23

# flags of a gate
NEEDS_TIME = 1
NEEDS_LINK = 2
GATE_SHADOW = 4
GATE_FLAGS_ALL = 7

_NOW = 8
_REGISTERS_LOW = 9
_LOW_COUNT = 11
_REGISTERS_HIGH = 32
_REGISTER_SIMPLE_LAST = 148


def variable(simple: int):
    """Return (kind, index) of a simple value: ("input", 0..7), ("now", 0) or ("register", 0..127); None if it is none."""
    if simple < _NOW:
        return "input", simple
    if simple == _NOW:
        return "now", 0
    if simple < _REGISTERS_LOW + _LOW_COUNT:
        return "register", simple - _REGISTERS_LOW
    if _REGISTERS_HIGH <= simple <= _REGISTER_SIMPLE_LAST:
        return "register", simple - _REGISTERS_HIGH + _LOW_COUNT
    return None


def input_variable(channel: int) -> int:
    """Return the simple value that names the last good value of channel 0..7."""
    return channel


def now_variable() -> int:
    """Return the simple value that names the rule tick."""
    return _NOW


def register_variable(register: int) -> int:
    """Return the simple value that names register 0..127 of the rule."""
    if register < _LOW_COUNT:
        return register + _REGISTERS_LOW
    return register - _LOW_COUNT + _REGISTERS_HIGH
