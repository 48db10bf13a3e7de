# What an ESP32-S3 freezes. The port's own modules mount the file system.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
freeze("$(PORT_DIR)/modules", ("_boot.py", "flashbdev.py", "inisetup.py"))
include("../wireless/manifest.py")
for name in ("board_chip", "board_flash", "board_pins"):
    module(name + ".py", opt=1)
