"""The gateway's name on its networks, asked by the library's own browser over loopback."""

import asyncio
import sys

import pytest

from gateway.links import announcement
from gateway.links.announcement import SERVICES, Announcement
from tests.support.groups import NO_MULTICAST

pytestmark = pytest.mark.skipif(NO_MULTICAST is not None, reason=str(NO_MULTICAST))
zeroconf = pytest.importorskip("zeroconf", reason="no zeroconf: pip install 'outstation[discovery]'")
LOOPBACK = ["127.0.0.1"]
WAIT_S = 30


class Watch:
    """What a browser of the library sees: names that came, and that went."""

    def __init__(self):
        self.came = asyncio.Queue()
        self.went = asyncio.Queue()

    def __call__(self, zeroconf, service_type, name, state_change):
        kind = state_change.name
        if kind in ("Added", "Removed"):
            (self.came if kind == "Added" else self.went).put_nowait((service_type, name))

    async def all_of(self, queue):
        return {await asyncio.wait_for(queue.get(), WAIT_S) for _ in SERVICES}


async def _browse(body):
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    watch = Watch()
    async with AsyncZeroconf(interfaces=LOOPBACK) as heard:
        browser = AsyncServiceBrowser(heard.zeroconf, list(SERVICES), handlers=[watch])
        try:
            await body(heard, watch)
        finally:
            await browser.async_cancel()


def check_gateway_is_found_by_name(site):
    """Under both services, with its port and address; and gone when it ends."""

    async def body(running):
        async def browse(heard, watch):
            said = Announcement("north.gate", running.gateway.link, print, LOOPBACK)
            keeping = asyncio.create_task(said.keep())
            names = await watch.all_of(watch.came)
            assert names == {(kind, f"north-gate.{kind}") for kind in SERVICES}
            for kind, name in names:
                info = await heard.async_get_service_info(kind, name)
                assert info.port == running.gateway.link.port
                assert info.parsed_addresses() == LOOPBACK
                assert info.decoded_properties == {"rt": "outstation", "path": "/h"}
            keeping.cancel()
            await said.close()
            assert await watch.all_of(watch.went) == names

        await _browse(browse)

    site(body)


def test_gateway_is_found_by_name_and_gone_when_it_ends(site):
    """A browser sees it under both services, with port and address; and sees it go."""
    check_gateway_is_found_by_name(site)


@pytest.mark.parametrize(
    ("name", "label"), [("gate", "gate"), ("a\tb\x7f" + "ä" * 30, "a-b-" + "ä" * 27)], ids=["short", "long"]
)
def test_two_gateways_of_one_name_are_both_found(site, name, label):
    """The second one's name gets a number, however long it is: nobody is hidden behind another."""

    async def body(running):
        async def browse(heard, watch):
            # Each at an address of its own, as on machines of their own: where several share one, the kernel gives an answer to any of them.
            both = [
                Announcement(name, running.gateway.link, print, [address])
                for address in ("127.0.0.2", "127.0.0.3")
            ]
            for said in both:
                keeping = asyncio.create_task(said.keep())
                names = await watch.all_of(watch.came)
                keeping.cancel()
            assert names == {(kind, f"{label}-2.{kind}") for kind in SERVICES}
            for said in both:
                await said.close()

        await _browse(browse)

    site(body)


def test_gateway_without_the_library_says_so_and_goes_on(site, monkeypatch):
    """Announcing is optional: where zeroconf is missing a person is told once, and devices are served."""
    monkeypatch.setitem(sys.modules, "zeroconf", None)

    async def body(running):
        said = []
        silent = Announcement("gate", running.gateway.link, said.append)
        keeping = asyncio.create_task(silent.keep())
        while not said:
            await asyncio.sleep(0)
        assert said[0].code == "links-missing"
        assert not keeping.done()
        keeping.cancel()
        await silent.close()

    site(body)


def test_network_that_comes_later_is_announced_on(site, monkeypatch):
    """Where no network can be had at first it is tried again."""
    monkeypatch.setattr(announcement, "RETRY_S", 0.01)

    async def body(running):
        async def browse(heard, watch):
            said = Announcement("late", running.gateway.link, print, ["127.0.0.1"])
            true_info, tries = said._info, []

            def info(service):
                tries.append(service)
                if len(tries) < 3:
                    raise OSError("the network is down")
                return true_info(service)

            said._info = info
            keeping = asyncio.create_task(said.keep())
            assert len(await watch.all_of(watch.came)) == len(SERVICES)
            keeping.cancel()
            await said.close()

        await _browse(browse)

    site(body)
