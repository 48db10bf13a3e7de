# What the emulated board freezes besides the common part.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
options.defaults(opt=1)
include("../../manifest.py", opt=options.opt)
include("$(MPY_DIR)/extmod/asyncio")
for name in ("board_main.py", "board_device.py", "board_flash.py"):
    module(name, opt=options.opt)
