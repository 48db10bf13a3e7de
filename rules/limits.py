"""Every maximum of the rules' meaning, each with the reason for its number.

Source: SPEC.md section 8.
"""

# A constant, an input, a register, a tick, a requested value: at most five bytes in CBOR, and 13.6 years of 100 ms ticks.
value_max = 0xFFFFFFFF
# A product that is not yet stored: 1,024 of them fit a bundle, so that no sum of them leaves 64 bits.
product_max = 1 << 48
# One flash sector and nine transfer blocks.
bundle_bytes_max = 4096
# Depth of arrays and maps from the bundle's own map down: the reader's recursion fits the stack of an RP2040.
nesting_max = 16
# Statements of one bundle, together: the work of one sample is bounded by them, since there are no loops.
statements_max = 256
# Registers of one bundle, together: a checkpoint carries them all, a rule can name as many.
registers_max = 128
# Rules of one bundle.
rules_max = 32
# Gates of one bundle: a checkpoint carries the state of each.
gates_max = 16
# Operands of one sum, least, greatest, and, or; members of one list. MicroPython counts a call's arguments in one byte
# (1,000 of them called the wrong thing), CPython's compiler recurses along a sum (4,000 of them were too deep).
operands_max = 32
# Requests that one evaluation can make, along its longest path: a decision event carries them all.
acts_max = 4
# Numbers of rules and actions: three and two bytes.
rule_id_max = 0xFFFF
action_max = 0xFF
