"""Least privilege of a device key: every resource of the gateway, asked for by one device about another."""

import pytest

from protocol import coap
from tests.gateway.site import device_id, heartbeat, segment, until
from tests.gateway.test_delivery import BODIES, NUMBER, RELEASE, command

# Every resource, and what it answers to a device that asks for another's.
OTHERS = {
    "s": coap.FORBIDDEN,
    "h": coap.FORBIDDEN,
    "r": coap.NOT_FOUND,
    "c": coap.NOT_FOUND,
}


@pytest.mark.proves("S47")
def test_no_resource_gives_a_device_what_is_anothers(site):
    """Segments and heartbeats with another's identity, another's release, its parts and its commands: all refused, nothing stored."""

    async def body(running):
        await running.offer(RELEASE, BODIES, n=1)
        running.office.commands[device_id(1)] = [command(4)]
        await running.devices[0].beat(counter=3)
        await until(lambda: running.gateway.shelf.newest_command(device_id(1)) == 4, "no command")
        there = [name.decode() for name in running.gateway.site._resources] + ["r", "c"]
        assert sorted(OTHERS) == sorted(there)
        other, known = running.device(2), running.devices[0]
        asked = {
            "s": [await other.post("s", segment(0, device=device_id(1)))],
            "h": [await other.post("h", heartbeat(device=device_id(1)))],
            "r": [await other.get(f"r/{NUMBER}"), await other.get(f"r/{NUMBER}/0")],
            "c": [await other.get("c/4")],
        }
        for name, answers in asked.items():
            assert {OTHERS[name]} == {answer.code for answer in answers}, name
            assert {b""} == {answer.payload for answer in answers}, name

        assert running.gateway.health.counts["segments"] == 0
        # What its own key asks for is given: the answers above are refusals, not a gateway that answers nothing.
        assert coap.CONTENT == (await known.get("c/4")).code == (await known.get(f"r/{NUMBER}")).code

    site(body)
