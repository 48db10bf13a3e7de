"""A board without keys as a process of MicroPython's unix port, until it is admitted: then it is a device (unix_main.py).

What a board has in its flash lies in the folder of claim.json.
"""

import asyncio
import json
import os
import sys
import time

from agent.aes import Aes128
from agent.flash import FileFlash, create_image
from agent.halt import POWER_CUT, halt
from agent.layout import window_sectors
from agent.links.udp import make_udp
from agent.newcomer import SETTINGS, Folder, Newcomer, claim_of, install, read_claim

_INTERRUPTED_EXIT = 130


def admit(items: dict, path: str, interrupts=None) -> dict:
    """Announce the board until it is admitted, and return the items of its device.json.

    items: of claim.json; path: of it; interrupts: unix_interrupts.Interrupts, None: they come as KeyboardInterrupt.
    """
    place = path[: path.rindex("/") + 1] if "/" in path else "./"
    for name, file in (
        ("flash", "flash.bin"),
        ("schema", "schema.cbor"),
        ("bundle", "bundle.cbor"),
        ("recording", "recording.csv"),
    ):
        items.setdefault(name, place + file)
    folder = Folder(place)
    if read_claim(folder) is None:
        # It was admitted when it was cut off.
        return json.loads(folder.read(SETTINGS))
    board, secret = claim_of(items)
    link = make_udp(items["link"], os.urandom)
    newcomer = Newcomer(
        board,
        secret,
        items["hardware"],
        link,
        Aes128,
        time.ticks_ms,
        os.urandom,
        asyncio.sleep_ms,
        items.get("ack_timeout_ms", 2000),
        items.get("announce_ms", 10000),
    )
    print("board {} announces itself".format(items["claim"]["board"]))
    admission = asyncio.run(_until_interrupted(newcomer, interrupts))
    link.close()
    print("board {} is admitted".format(items["claim"]["board"]))
    return install(_window(items), folder, admission, items)


async def _until_interrupted(newcomer: Newcomer, interrupts):
    if interrupts is None:
        return await newcomer.run()
    watch = asyncio.create_task(_end_at(interrupts))
    try:
        return await newcomer.run()
    finally:
        watch.cancel()


async def _end_at(interrupts) -> None:
    await interrupts.next()
    sys.exit(_INTERRUPTED_EXIT)


def _window(items: dict) -> FileFlash:
    sectors = window_sectors(items["flash_sectors"])
    create_image(items["flash"], sectors)
    flash = FileFlash(items["flash"], sectors, on_cut=lambda: halt(POWER_CUT))
    fault = items.get("fault")
    if fault:
        flash.cut_after(fault["power_cut_operation"], fault["mode"])
    return flash
