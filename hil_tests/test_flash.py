"""Flash outlives its process, and the emulated NOR is, byte for byte, the one that the agent's own tests cut the power of."""

import random

import pytest

from agent.flash import PAGE_BYTES, SECTOR_BYTES, PowerCut, RamFlash
from hil_tests.provisioned import SECTORS
from hil_tests.qemu import Repl
from tools.flashimage import read_image
from tools.image.control import CUT_STATUS, MODES, Control
from tools.image.flashfile import read_window

WINDOW_SECTORS = 4 + SECTORS + 32


def journal_of(flash, tmp_path):
    path = tmp_path / "window.bin"
    path.write_bytes(read_window(flash, WINDOW_SECTORS))
    return read_image(path)


def test_killed_board_starts_again_with_all_that_was_sealed(image, start, device_flash, tmp_path):
    """SIGKILL at any moment is a loss of power: the chain goes on, and no boot is counted twice."""
    numbers = []
    for boot in range(1, 5):
        board = start(image, device_flash)
        board.wait_for(rf"runs, boot {boot},")
        board.quiet(0.4 + 0.3 * boot)
        board.kill()
        found = journal_of(device_flash, tmp_path)
        assert found.faults == []
        numbers.append(found.lane(0).head.number)

    assert numbers == sorted(numbers) and len(set(numbers)) == 4
    with Control(device_flash) as control:
        assert (control.counts().boots, control.counts().violations) == (4, 0)


def test_erased_flash_is_ones_and_programming_only_clears(development, start, blank_flash):
    """NOR, as the datasheets of flash say it; what would need an erase is counted."""
    repl = Repl(start(development, blank_flash))
    repl.run("import nor\nnor.program(256, b'\\x0f' * 256)\nnor.program(256, b'\\x3c' * 256)")

    assert repl.run("print(nor.read(255, 3), nor.counts())") == "b'\\xff\\x0c\\x0c' (2, 0, 512, 1)\r\n"
    assert (
        repl.run("nor.erase(0)\nprint(nor.read(255, 3), nor.counts())")
        == "b'\\xff\\xff\\xff' (2, 1, 512, 1)\r\n"
    )


@pytest.mark.parametrize(
    "call",
    [
        "read(16 << 20, 1)",
        "read(-1, 1)",
        "read((16 << 20) - 4096, 1)",
        "program(1, bytes(256))",
        "program(0, b'x')",
        "erase(4095)",
        "erase(-1)",
    ],
)
def test_access_outside_the_flash_or_not_of_whole_units_is_refused(development, start, blank_flash, call):
    """The control page is no flash, and a page is the least that is programmed."""
    source = f"import nor\ntry:\n nor.{call}\nexcept ValueError:\n print('refused')"

    assert Repl(start(development, blank_flash)).run(source) == "refused\r\n"


@pytest.mark.parametrize("mode", MODES)
def test_power_cut_leaves_what_the_agents_model_says(development, start, blank_flash, mode):
    """The same operations, cut at the same place with the same seed, leave the same bytes on the board and in the model."""
    for seed in range(1, 5):
        script = operations(seed)
        model = RamFlash(8)
        model.cut_after(seed, mode, seed)
        with Control(blank_flash) as control:
            control.write(0, b"\xff" * (8 * SECTOR_BYTES))
            control.cut_after(seed, mode, seed)
            board = start(development, blank_flash)
            Repl(board).start(
                "import nor\n"
                + "".join(f"nor.{verb}({', '.join(map(repr, given))})\n" for verb, given in script)
            )
            with pytest.raises(PowerCut):
                for verb, given in script:
                    getattr(model, verb)(*given)

            assert board.wait_exit() == CUT_STATUS
            assert control.read(0, 8 * SECTOR_BYTES) == bytes(model.image)


def operations(seed):
    """Return flash operations: more than are let happen."""
    chosen = random.Random(seed)
    steps = []
    for step in range(seed + 2):
        if (step + seed) % 3 == 0:
            steps.append(("erase", (chosen.randrange(8),)))
        else:
            data = bytes(chosen.randrange(256) for _ in range(PAGE_BYTES))
            steps.append(("program", (PAGE_BYTES * chosen.randrange(128), data)))
    return steps


def test_every_cut_of_the_agents_first_operations_is_recovered_from(
    image, start, device_flash, tmp_path, figures
):
    """The agent on the board, its power cut torn at each of its operations in turn, over one flash: the chain has no fault."""
    cuts = 12
    for cut in range(cuts):
        with Control(device_flash) as control:
            control.cut_after(3 + cut, MODES[cut % 3], seed=cut + 1)
        board = start(image, device_flash)

        assert board.wait_exit() == CUT_STATUS
        assert journal_of(device_flash, tmp_path).faults == []
    board = start(image, device_flash)
    board.wait_for("runs, boot")
    board.quiet(1.0)
    figures["cuts_recovered_from"] = cuts

    assert "Traceback" not in board.said
