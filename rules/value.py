"""The few integer operations whose operands nobody proved harmless, and the faults they end an evaluation with.

The translated function calls these; everything else in it is plain Python on integers.

Source: SPEC.md sections 4 and 6.
"""

from rules.limits import product_max, value_max

FAULT_DIVISION = 1  # a divisor or modulus of zero
FAULT_VALUE = 2  # a value to store or to request is outside -value_max .. value_max
FAULT_PRODUCT = 3  # a product is outside -product_max .. product_max
FAULT_INDEX = 4  # an index is not below the count of the registers it chooses from

FAULT_NAMES = {
    FAULT_DIVISION: "division by zero",
    FAULT_VALUE: "value out of bounds",
    FAULT_PRODUCT: "product out of bounds",
    FAULT_INDEX: "index out of bounds",
}


class RuleFault(Exception):
    """An evaluation that cannot go on. code: one of the FAULT codes. The engine answers it; nobody else sees it."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return FAULT_NAMES[self.code]


def stored(value: int) -> int:
    """Return value, which is about to be stored or requested. Raises RuleFault(FAULT_VALUE)."""
    if -value_max <= value <= value_max:
        return value
    raise RuleFault(FAULT_VALUE)


def product(left: int, right: int) -> int:
    """Return left * right. Raises RuleFault(FAULT_PRODUCT)."""
    result = left * right
    if -product_max <= result <= product_max:
        return result
    raise RuleFault(FAULT_PRODUCT)


def quotient(left: int, right: int) -> int:
    """Return left / right, rounded towards zero as in CEL. Raises RuleFault(FAULT_DIVISION)."""
    if right == 0:
        raise RuleFault(FAULT_DIVISION)
    if (left >= 0) == (right > 0):
        return left // right
    return -(-left // right)


def remainder(left: int, right: int) -> int:
    """Return what quotient leaves, with the sign of left as in CEL. Raises RuleFault(FAULT_DIVISION)."""
    if right == 0:
        raise RuleFault(FAULT_DIVISION)
    if left >= 0:
        return left % abs(right)
    return -(-left % abs(right))


def position(index: int, count: int) -> int:
    """Return index, which must be 0 .. count - 1. Raises RuleFault(FAULT_INDEX)."""
    if 0 <= index < count:
        return index
    raise RuleFault(FAULT_INDEX)
