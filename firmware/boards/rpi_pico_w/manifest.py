# What a Pico W freezes. Of the port's own modules rp2 alone: _boot.py here leaves a part of the flash to the agent.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
freeze("$(PORT_DIR)/modules", ("rp2.py",))
include("../wireless/manifest.py")
for name in ("_boot", "board_chip", "board_flash", "board_pins"):
    module(name + ".py", opt=1)
