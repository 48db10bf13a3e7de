# What the emulated board freezes besides the common part.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
options.defaults(opt=1)
include("../../manifest.py", opt=options.opt)
include("$(MPY_DIR)/extmod/asyncio")
module("board_main.py", opt=options.opt)
