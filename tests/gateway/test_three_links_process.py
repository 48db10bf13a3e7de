"""A device in MicroPython with UDP, a serial line and BLE in its settings file, and the gateway as it ships on all three: in real time."""

import asyncio
import contextlib

import pytest

from gateway.links.ble import Radio
from tests.gateway.serial_bench import serial_settings
from tests.gateway.site import until
from tests.gateway.test_ble_process import provision, running, start
from tests.support.ble_air import Air
from tests.support.ble_bleak import Adapter
from tests.support.ble_radio import RadioServer
from tests.support.serial_lines import Plug, Wire
from tools.flashimage import read_image

KINDS = ("udp", "serial", "ble")
# Nobody listens there.
_DEAD_PORT = 9


class Field:
    """What a device and a gateway have between them. living: which of the three ways work."""

    def __init__(self, folder, living):
        self.folder = folder
        self.living = living
        self.ends = [Plug(folder / name) for name in ("tty-device", "tty-gateway")]
        self.adapter = Adapter(Air(seed=4, late_s=0.005))

    def settings(self):
        """Return what the gateway's settings say of the line and BLE."""
        return serial_settings(self.ends[1]) + "[ble]\nturn_s = 5\n"

    def options(self):
        """Return what the gateway is given in place of this machine's Bluetooth."""
        scanner, client = self.adapter.backends()
        return {"radio": Radio(scanner=scanner, client=client)}

    def link(self, order, port, radio):
        """Return the lines of [link]: every way that the order names has its place, also one that leads nowhere."""
        place = {
            "udp": f'host = "127.0.0.1"\nport = {port if "udp" in self.living else _DEAD_PORT}',
            "serial": f'serial = "{self.ends[0].path if "serial" in self.living else self.folder / "no-tty"}"',
            "ble": f'radio = "127.0.0.1:{radio if "ble" in self.living else _DEAD_PORT}"',
        }
        names = ", ".join(f'"{kind}"' for kind in order)
        return "\n".join([*(place[kind] for kind in order), f"order = [{names}]"])

    @contextlib.asynccontextmanager
    async def device(self, order, port):
        """Run a device with these ways; its process."""
        await self.adapter.switch_on()
        wire = asyncio.ensure_future(Wire(*self.ends).run())
        try:
            async with RadioServer(self.adapter.air) as radio:
                link = self.link(order, port, radio.port)
                process = await start(provision(self.folder / "device-1", 1, link))
                async with running([process]):
                    yield process
        finally:
            wire.cancel()


def carried(gateway):
    """Return kind -> frames or datagrams that the gateway has heard over that link."""
    gateway.serial.count()
    gateway.ble.count()
    counts = gateway.health.counts
    return {kind: counts[name] for kind, name in (("serial", "serial_frames"), ("ble", "ble_frames"))}


async def ends_well(process):
    """Wait for the end of the device's time."""
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


def check_all_arrived(folder, office):
    """Check that what lies on the device's flash is at the office, each segment once."""
    lanes = read_image(folder / "device-1/flash.bin").lanes
    held = [one for lane in lanes for one in lane.segments]
    assert len(held) > 10
    for one in held:
        assert office.segments[one.header.key()] == one.raw
        assert office.arrivals.count(one.raw) == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("living", KINDS)
def test_device_uses_the_last_of_three_links_where_only_that_one_leads_to_a_gateway(site, tmp_path, living):
    """Nobody at its address, no port, no radio: whichever of them is named last and works brings all, and the others are passed over."""
    field = Field(tmp_path, {living})
    order = [*(kind for kind in KINDS if kind != living), living]

    async def body(here):
        async with field.device(order, here.gateway.link.port) as process:
            await ends_well(process)
        frames = carried(here.gateway)
        assert [kind for kind in frames if frames[kind]] == [kind for kind in (living,) if kind != "udp"]
        return here.office

    check_all_arrived(tmp_path, site(body, gateway_options=field.options(), more=field.settings()))


@pytest.mark.timeout(300)
def test_device_goes_on_over_the_next_link_when_the_first_is_cut(site, tmp_path):
    """A line that is pulled out on the way, then BLE: nothing is lost, nothing comes twice."""
    field = Field(tmp_path, set(KINDS))

    async def body(here):
        async with field.device(["serial", "ble", "udp"], here.gateway.link.port) as process:
            await until(lambda: len(here.office.segments) >= 3, "nothing comes over the line", 60)
            assert carried(here.gateway)["ble"] == 0
            for end in field.ends:
                end.unplug()
            await ends_well(process)
        assert carried(here.gateway)["ble"] > 0
        return here.office

    check_all_arrived(tmp_path, site(body, gateway_options=field.options(), more=field.settings()))
