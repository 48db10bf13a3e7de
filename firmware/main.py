"""Starts the agent on this board; nothing else. Frozen, and so never the `main.py` of a filesystem."""

from board_main import run  # type: ignore[import-not-found]  # each board has its own

run()
