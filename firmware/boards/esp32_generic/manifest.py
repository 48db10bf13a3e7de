# What an ESP32 freezes: as an ESP32-S3, with pins of its own.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
freeze("$(PORT_DIR)/modules", ("_boot.py", "flashbdev.py", "inisetup.py"))
include("../wireless/manifest.py")
for name in ("board_chip", "board_flash"):
    module(name + ".py", base_path="../esp32_generic_s3", opt=1)
module("board_pins.py", opt=1)
