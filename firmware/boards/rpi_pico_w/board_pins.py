"""The pins of a Pico W as this project uses them. GPIO numbers; docs/operating/boards.md has the table and the wiring.

Not tried on silicon. Source: Raspberry Pi, Pico W datasheet, pinout; RP2040 datasheet, watchdog registers.
"""

NAME = "rpi_pico_w"
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
WATCHDOG_SCRATCH_0 = 0x4005800C
