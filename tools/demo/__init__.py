"""`outstation demo`: a whole site on this machine, its story and its proof."""

from tools.demo.command import command

__all__ = ["command"]
