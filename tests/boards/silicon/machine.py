"""As much of `machine` as a board's start touches, written from MicroPython's documentation. No silicon was asked.

CAUSE: what reset_cause() says. HELD: pins that somebody holds low. A reset ends the process with 73.
"""

import os
import sys

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

CAUSE = int(os.getenv("CAUSE") or 1)
HELD = [int(word) for word in (os.getenv("HELD") or "").split()]
mem32 = {0x4005800C: int(os.getenv("SCRATCH") or 0), 0x400D800C: int(os.getenv("SCRATCH") or 0)}


def reset_cause():
    return CAUSE


def reset():
    print("fake: reset", sorted(set(mem32.values())))
    sys.exit(73)


class Pin:
    IN = 0
    OUT = 1
    PULL_UP = 1
    IRQ_FALLING = 4

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self._number = number
        self._value = value

    def value(self, new=None):
        if new is None:
            return 0 if self._number in HELD else 1
        self._value = new
        return None

    def irq(self, handler=None, trigger=0):
        pass


class WDT:
    def __init__(self, timeout=5000):
        print("fake: watchdog", timeout)

    def feed(self):
        pass


class I2C:
    def __init__(self, number, scl=None, sda=None, freq=400000):
        pass

    def writeto(self, address, data):
        raise OSError(19)

    readfrom_into = readfrom_mem = readfrom_mem_into = writeto_mem = writeto


class UART:
    def __init__(
        self, number, baudrate=9600, bits=8, parity=None, stop=1, tx=None, rx=None, timeout=0, rxbuf=256
    ):
        print("fake: uart", number, baudrate, bits, parity, stop)

    def flush(self):
        pass

    def read(self, n=None):
        return None

    def write(self, data):
        return len(data)
