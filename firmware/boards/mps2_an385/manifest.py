# What the emulated board freezes besides the common part.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
include("../../manifest.py")
include("$(MPY_DIR)/extmod/asyncio")
module("board_main.py", opt=1)
