"""The replacement of a release root through the gateway: fetched from the office, kept, and handed to the devices that are ordered to take it."""

import hashlib

from protocol import coap
from protocol.command import Command, root_demand, seal_command
from protocol.keys import downlink_key
from tests.agent.release_bench import replacement
from tests.gateway.site import DOWNLINK, device_id, until

BODY = replacement("release", "next")
DIGEST = hashlib.sha256(BODY).digest()
PATH = f"/v1/parts/{DIGEST.hex()}"


def order(number, device=None, digest=DIGEST):
    """Return a sealed command to take a replacement."""
    fields = Command(device or device_id(), number, 1 << 50, root_demand(digest))
    return seal_command(fields, downlink_key(DOWNLINK, "command"))


async def _ordered(running, body=BODY):
    running.office.bodies[PATH] = body
    running.office.commands[device_id()] = [order(3)]
    device = running.device()
    await device.beat(counter=1)
    await until(lambda: running.gateway.shelf.newest_command(device_id()) == 3, "no command")
    return device


async def _here(running):
    await until(lambda: running.gateway.shelf.replacement(device_id(), 3) is not None, "it never came")


def test_replacement_arrives_block_by_block_byte_for_byte(site):
    """Beside the command that names it, in whatever blocks, and over a restart without the office."""

    async def body(running):
        device = await _ordered(running)
        await _here(running)
        assert (await device.get("c/1")).payload == order(3)
        assert await device.fetch("c/3/0", 64) == BODY
        await running.office.stop()
        await running.restart()
        await device.beat(counter=50)

        assert await device.fetch("c/3/0") == BODY

    site(body)


def check_nobody_else_gets_it(site):
    async def body(running):
        device = await _ordered(running)
        await _here(running)
        stranger = running.device(2)
        await stranger.beat(counter=1)

        assert (await stranger.get("c/3/0")).code == coap.NOT_FOUND
        for path in ("c/2/0", "c/4/0", "c/3/1", "c/3/0/0"):
            assert (await device.get(path)).code == coap.NOT_FOUND, path

    site(body)


def test_replacement_is_there_for_who_is_ordered_to_take_it_alone(site):
    """Under the number of that command, and no other path."""
    check_nobody_else_gets_it(site)


def check_lie_is_not_kept(site):
    async def body(running):
        device = await _ordered(running, BODY[:-1] + b"\0")
        await until(lambda: running.gateway.health.counts["bodies_refused"] > 0, "not refused")

        assert (await device.get("c/3/0")).code == coap.NOT_FOUND
        assert running.gateway.shelf.lacking()[0].path == PATH

    site(body)


def test_other_bytes_than_the_command_names_are_not_kept(site):
    """Whoever gives them; it is asked for again."""
    check_lie_is_not_kept(site)


def test_replacement_goes_with_the_last_command_that_names_it(site):
    """What no device is to take any more takes no room."""

    async def body(running):
        device = await _ordered(running)
        await _here(running)
        running.office.commands[device_id()] = []
        await device.beat(counter=2)
        await until(lambda: running.gateway.shelf.newest_command(device_id()) is None, "it is still there")

        assert (await device.get("c/3/0")).code == coap.NOT_FOUND
        assert running.gateway.shelf.document()["lacking"] == 0
        assert DIGEST not in running.gateway.shelf._parts

    site(body)
