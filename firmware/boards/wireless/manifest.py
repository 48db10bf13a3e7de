# What every board with Wi-Fi freezes besides the common part. Each board's own manifest includes this one.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
options.defaults(opt=1)
include("../../manifest.py", opt=options.opt)
include("$(MPY_DIR)/extmod/asyncio")
require("onewire")
for name in ("block_window", "board_main", "board_setup", "teller", "wifi", "wiring"):
    module(name + ".py", opt=options.opt)
