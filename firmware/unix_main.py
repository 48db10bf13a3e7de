"""Runs a device as a process of MicroPython's unix port: `unix_main.py device.json`; or, `claim.json`, a board that is to become one.

This is what a board's image is: it chooses the agent, and what lies beside it is the agent that the image was made with. Exit codes:
0 stopped in order, 2 wrong settings, 70 power cut injected, 71 kill point, 72 watchdog, 130 interrupted twice, or as a board.
See docs/operating/device.md.
"""

import json
import os
import sys

import vfs

_ROOM_SUFFIX = ".agents"
_PLACE = "/slot"
_SETTINGS_EXIT = 2
_RESTART_EXIT = 73
_RESET_BY_SOFTWARE = "2"


class Agents:
    """The agents that releases brought, in a file beside the flash. choice: which runs in this boot."""

    def __init__(self, items: dict):
        from agent.flash import FileFlash, grow_image
        from agent.halt import POWER_CUT, halt
        from agent.rooms import ROOMS_SECTORS, Rooms
        from agent.unset import unset

        self._items = items
        path = items["flash"] + _ROOM_SUFFIX
        with open(path, "ab"):
            # A device that has room for agents from now on begins with two empty rooms.
            pass
        grow_image(path, ROOMS_SECTORS)
        flash = FileFlash(path, ROOMS_SECTORS, on_cut=lambda: halt(POWER_CUT))
        self.rooms = Rooms(flash, sys.implementation._mpy)
        self.choice = unset()

    def start(self, rest: list) -> None:
        """Choose the agent of this boot and let `import agent` find it. rest: where the image's modules lie."""
        from agent.flash import FileFlash
        from agent.starter import choose_agent, start_agent

        flash = FileFlash(self._items["flash"], self._sectors())
        self.choice = choose_agent(flash, self.rooms, self._cause())
        start_agent(self.choice, self.rooms, vfs.mount, rest)

    def _sectors(self) -> int:
        from agent.image import fit_image

        return fit_image(self._items["flash"], self._items["flash_sectors"])

    def _cause(self) -> int:
        try:
            with open(self._items["flash"] + ".reset") as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def note_reset(self) -> None:
        """Keep why the next boot happens, as a board's reset register does."""
        with open(self._items["flash"] + ".reset", "w") as file:
            file.write(_RESET_BY_SOFTWARE)

    def tell(self, board) -> None:
        """Say on a board which agent runs, and where others lie."""
        self.choice.tell(board, self.rooms)


def main(path: str, interrupts=None) -> int:
    """Run one device until it is told to stop; return the exit code. interrupts: unix_interrupts.Interrupts or None."""
    with open(path) as file:
        items = json.load(file)
    if "claim" in items:
        # A board without keys, until it is admitted.
        from unix_newcomer import admit

        items = admit(items, path, interrupts)
    if not items.get("agents"):
        import unix_device

        return unix_device.main(items, None, interrupts)
    rest = list(sys.path)
    while True:
        code = _boot(items, rest, interrupts)
        if code is not None:
            return code


def _boot(items: dict, rest: list, interrupts):
    """Run one boot with the agent that is due; return the exit code, None: another boot begins."""
    sys.path[:] = rest
    agents = Agents(items)
    try:
        agents.start(rest)
    except ValueError as error:
        print("{}; set flash_sectors as provisioned".format(error))
        return _SETTINGS_EXIT
    try:
        import unix_device

        return unix_device.main(items, agents, interrupts)
    except SystemExit as end:
        if end.args[:1] != (_RESTART_EXIT,):
            raise
    except Exception as error:
        # A board resets where its program ends.
        agents.note_reset()
        if not agents.choice.is_counted:
            raise
        # An agent on trial: at the third time the one before runs.
        sys.print_exception(error)
    _forget()
    return None


def _forget() -> None:
    """As after a reset: nothing of the boot before is in memory."""
    if _is_mounted(_PLACE):
        vfs.umount(_PLACE)
    for name in list(sys.modules):
        if name == "unix_device" or name == "agent" or name.startswith("agent."):
            del sys.modules[name]


def _is_mounted(place: str) -> bool:
    try:
        os.stat(place)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    from unix_interrupts import interrupts_of

    sys.exit(main(sys.argv[1], interrupts_of(sys.argv[2:])))
