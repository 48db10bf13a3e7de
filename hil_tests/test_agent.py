"""A release brings the board another agent over its serial line: it is tried, kept, and runs again after a loss of power."""

import asyncio
import random
import socket
from functools import partial

import pytest

from agent.rooms import ROOMS_SECTORS
from gateway.store_view import StoreView
from hil_tests.provisioned import know_image, use_port
from hil_tests.qemu import BoardSilent, Qemu
from office_ingest.govern.rollout import progress
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, STAGED, TRIAL
from tests.site import test_agent as desk_site
from tests.site.harness import JOURNAL_SECTORS, lay_out, proved, stop_all, until
from tools.image.flashfile import make_flash, read_window
from tools.ports import free_port

WINDOW_SECTORS = 4 + JOURNAL_SECTORS + 32
ROOMS_OFFSET = 12 << 20
SAID = "another agent runs"
SECONDS_MAX = 200


def is_kept(store, number):
    """Say whether every device runs the release."""
    return all(one.runs for one in progress(store, number))


@pytest.mark.timeout(300)
def test_agent_of_a_release_runs_on_the_board_and_is_kept(image, tmp_path, figures):
    """The image's own agent fetches it; what it recorded since is whole, proved by the office and carried on on a desk."""

    port = free_port(socket.SOCK_STREAM)

    async def live():
        site = await lay_out(
            tmp_path, 1, samples_per_s=2, ack_timeout_ms=1000, sections=desk_site.SECTIONS, key=True
        )
        use_port(site.gateway_folder, f"socket://127.0.0.1:{port}")
        know_image(site.office_folder, image)
        settings = tmp_path / "device-1" / "device.toml"
        settings.write_text("agents = true\n" + settings.read_text())
        store = SqliteStore.open(site.office_folder / "office.db")
        try:
            keys = desk_site._second_key(site, store)
            await site.office.start()
            await site.gateway.start()
            rules = (tmp_path / "device-1" / "bundle.cbor").read_bytes()
            archive = desk_site._archive(tmp_path, f"print({SAID!r})")
            number = desk_site._release(store, keys, rules, archive)
            await _live_on_board(site, store, number, image)
            steps = [one.step for one in reversed(Downward(store).adoptions(site.device_ids[0]))]
            await site.devices[0].start()
            await stop_all(site)
        finally:
            store.close()
            await site.close()
        return site, steps

    async def _live_on_board(site, store, number, image):
        flash = tmp_path / "flash.bin"
        desk = tmp_path / "device-1"
        make_flash(desk / "device.toml", flash, random.Random(11).randbytes(32))
        with Qemu(image.elf, flash, line_port=port) as board:
            board.wait_for("runs, boot 1,")
            assert SAID not in board.said
            try:
                await until(partial(is_kept, store, number), "the agent was not kept", SECONDS_MAX)
            except AssertionError as error:
                raise BoardSilent(f"{error}: {board.tail()}") from None
            assert SAID in board.said
        with Qemu(image.elf, flash) as board:
            board.wait_for(SAID)
            heap = board.wait_for(r"runs, boot \d+, (\d+) bytes of heap free")
            figures["heap_free_running_agent_of_a_release_bytes"] = int(heap[1])
        (desk / "flash.bin").write_bytes(read_window(flash, WINDOW_SECTORS))
        rooms = flash.read_bytes()[ROOMS_OFFSET : ROOMS_OFFSET + ROOMS_SECTORS * 4096]
        (desk / "flash.bin.agents").write_bytes(rooms)

    site, steps = asyncio.run(live())
    proved(site, "python -m pytest hil_tests/test_agent.py")
    with StoreView(site.gateway_folder / "gateway.db") as view:
        figures["datagrams_for_an_agent"] = view.health()["counts"]["serial_frames"]

    assert steps == [STAGED, TRIAL, CONFIRMED]
    assert SAID in (site.logs / "device-1.log").read_text()
