"""The pins of an ESP32 module as this project uses them. GPIO numbers; docs/operating/boards.md has the table and the wiring.

Not tried on silicon. Source: Espressif, ESP32 datasheet, "Pins": none of these is a strapping pin but SERVICE, the BOOT button.
"""

NAME = "esp32_generic"
I2C = 0
I2C_SCL = 22
I2C_SDA = 21
ONE_WIRE = 4
PULSE = 18
RELAYS = (26, 27)
LINE = 1
LINE_TX = 17
LINE_RX = 16
# Held low after the start, not during it: during it the ROM would wait for an image.
SERVICE = 0
