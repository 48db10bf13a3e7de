# What the unix port freezes: asyncio. Our own modules lie beside it, as files.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
include("$(MPY_DIR)/extmod/asyncio")
