"""Runs in MicroPython: one boot of a board of silicon over the fakes, or the programs of its provisioning.

program.py ROOT BOARD FOLDERS [PROGRAM ...]       ROOT: what the board's file system would be; FOLDERS: joined by commas
"""

import sys

here = __file__[: __file__.rindex("/")]
boards = here[: here.rindex("/tests/")] + "/firmware/boards/"
root, folders, programs = sys.argv[1], (sys.argv[2] + ",wireless").split(","), sys.argv[3:]
sys.path[:0] = [here + "/silicon"] + [boards + name for name in folders]


def adapted(source):
    """Return a program with the board's own root in place of this machine's."""
    return source.replace("'/', print", repr(root) + ", print")


class Prompt:
    """MicroPython's raw REPL as its documentation describes it, on standard input and output: for mpremote and for us."""

    def __init__(self):
        self.names = {}
        self._in, self._out = sys.stdin.buffer, sys.stdout.buffer

    def serve(self):
        """Friendly until Ctrl-A; what is typed there is not looked at."""
        while True:
            key = self._in.read(1)
            if not key:
                return
            if key == b"\x01":
                self._out.write(b"raw REPL; CTRL-B to exit\r\n>")
                self._raw()

    def _raw(self):
        held = b""
        while True:
            key = self._in.read(1)
            if key in (b"", b"\x02"):
                self._out.write(b"\r\nMicroPython\r\n>>> ")
                return
            if key == b"\x01":
                self._out.write(b"raw REPL; CTRL-B to exit\r\n>")
                held = b""
            elif key == b"\x05":
                # Raw paste mode: known, and not had.
                self._in.read(2)
                self._out.write(b"R\x00")
            elif key == b"\x04":
                self._run(held.decode())
                held = b""
            elif key not in (b"\x03", b"\r") or held:
                held += key

    def _run(self, source):
        if not source:
            self.names = {}
            self._out.write(b"OK\r\nMPY: soft reboot\r\nraw REPL; CTRL-B to exit\r\n>")
            return
        self._out.write(b"OK")
        failed = None
        try:
            exec(adapted(source), self.names)
        except Exception as error:  # noqa: BLE001 -- told at the prompt, as on a board
            failed = error
        self._out.write(b"\x04")
        if failed is not None:
            sys.print_exception(failed)
        self._out.write(b"\x04>")


if programs:
    given = {}
    for path in programs:
        with open(path) as file:
            source = file.read()
        exec(adapted(source), given)
else:
    import board_main

    board_main._ROOT = root
    board_main.run()
    print("fake: prompt")
    open(root + "prompt", "w").close()
    Prompt().serve()
