"""Why a board was reset is known after it; a board that hangs is reset by its watchdog; a cut ends the emulator."""

from hil_tests.qemu import Repl
from tools.image.control import CUT_STATUS, Control

CAUSE = "import machine\nprint(machine.reset_cause())\n"


def test_reset_cause_tells_power_from_reset_from_watchdog(development, start, blank_flash):
    """Each way to begin is told from the others, on the same board one after the other."""
    board = start(development, blank_flash)
    seen = [Repl(board).run(CAUSE)]
    board.reset()
    seen.append(Repl(board).run(CAUSE))
    board.type(b"import machine\nmachine.reset()\x04")
    seen.append(Repl(board).run(CAUSE))
    board.type(b"import machine\nmachine.WDT(timeout=200)\nwhile True: pass\x04")
    seen.append(Repl(board).run(CAUSE))

    assert [int(one) for one in seen] == [1, 2, 2, 3]


def test_watchdog_that_is_fed_leaves_the_board_alone(development, start, blank_flash):
    """Feeding more often than the time-out keeps a board up for many time-outs."""
    source = (
        "import machine, time\nw = machine.WDT(timeout=1000)\n"
        "for _ in range(60):\n time.sleep_ms(50)\n w.feed()\nprint('alive', machine.reset_cause())"
    )

    assert Repl(start(development, blank_flash)).run(source) == "alive 1\r\n"


def test_watchdog_that_cannot_interrupt_the_hang_resets_all_the_same(development, start, blank_flash):
    """A loop with interrupts off, which no timer of ours would notice, ends too."""
    board = start(development, blank_flash)
    Repl(board).start(
        "import machine\nmachine.WDT(timeout=200)\nmachine.disable_irq() if hasattr(machine, 'disable_irq') else 0\nwhile True: pass"
    )

    assert int(Repl(board).run(CAUSE)) == 3


def test_power_cut_ends_the_emulator_with_its_own_status(development, start, blank_flash):
    """The harness can tell an ordered cut from every other end."""
    with Control(blank_flash) as control:
        control.cut_after(2)
        board = start(development, blank_flash)
        repl = Repl(board)
        repl.run("import nor\nnor.erase(0)\nnor.program(0, bytes(256))")
        repl.start("nor.program(256, bytes(256))")

        assert board.wait_exit() == CUT_STATUS
        assert (control.counts().programs, control.counts().cuts, control.cut_left()) == (1, 1, None)
        assert control.read(0, 512) == bytes(256) + b"\xff" * 256


def test_power_cut_can_reset_in_place(development, start, blank_flash):
    """After such a cut the board begins anew as after a loss of power."""
    with Control(blank_flash) as control:
        board = start(development, blank_flash)
        repl = Repl(board)
        control.cut_after(0, action="reset")
        repl.start("import nor\nnor.program(0, bytes(256))")

        assert int(Repl(board).run(CAUSE)) == 1
        assert control.counts().boots == 2
