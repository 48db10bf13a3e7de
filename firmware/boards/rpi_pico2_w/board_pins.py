"""The pins of a Pico 2 W as this project uses them. GPIO numbers; docs/operating/boards.md has the table and the wiring.

Not tried on silicon. Source: Raspberry Pi, Pico 2 W datasheet, pinout; RP2350 datasheet, watchdog registers.
"""

NAME = "rpi_pico2_w"
I2C = 0
I2C_SCL = 5
I2C_SDA = 4
ONE_WIRE = 16
PULSE = 17
RELAYS = (18, 19)
LINE = 1
LINE_TX = 8
LINE_RX = 9
SERVICE = 22
WATCHDOG_SCRATCH_0 = 0x400D800C
