# What a Pico 2 W freezes: as a Pico W, with pins and registers of its own.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
freeze("$(PORT_DIR)/modules", ("rp2.py",))
include("../wireless/manifest.py")
for name in ("_boot", "board_chip", "board_flash"):
    module(name + ".py", base_path="../rpi_pico_w", opt=1)
module("board_pins.py", opt=1)
