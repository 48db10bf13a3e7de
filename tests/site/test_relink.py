"""Another link over a whole site of real processes: taken while events flow, the one of before refused afterwards, nothing lost.

No file of links is carried by hand: the devices are provisioned at the office alone, and the gateway learns both links from it.
"""

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from gateway.config import Link
from office_ingest.govern.relink import IN_FORCE
from protocol import coap
from protocol.aes_host import Aes128
from protocol.coap import CON, OSCORE, POST, UNAUTHORIZED, Message, decode, encode, option
from protocol.diagnostic import USAGE
from protocol.oscore import OscoreContext, decode_option
from tests.gateway.site import Counter
from tests.site.harness import ROOT, stop_all, until
from tests.site.test_replaced_gateway import SEGMENTS, _run
from tools.site_proof import EXPECTED_FINDINGS, prove_site

TIMEOUT_S = 10


class Asked:
    """Listens on the devices' link: under which sender IDs devices ask, as they change."""

    def __init__(self):
        self.kids = []

    def keep(self, upward, datagram):
        """Let everything pass."""
        value = option(decode(datagram).options, OSCORE) if upward else None
        kid = None if value is None else decode_option(value)[1]
        if kid is not None:
            self.kids.append(kid)
        return True


def _office(place, *words):
    return json.loads(place.run("office", *words, "--config", place.config, "--json"))


def _relink(place, device):
    return _office(place, "device", "relink", device, "--author", "test")


def _states(place):
    return [row["relink"] and row["relink"]["state"] for row in _office(place, "devices")["devices"]]


def _links(place, of):
    """Return device -> sender IDs and secrets that the office or the gateway has on disk."""
    file = place.site.office_folder / "keystore.db" if of == "office" else _gateway_file(place)
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT device, kid, secret FROM links ORDER BY device, kid").fetchall()
    return [Link(*row) for row in rows]


def _gateway_file(place):
    return place.site.gateway_folder / "gateway.db"


def _ask_under(link, port):
    """Ask a running gateway over a link, sealed as its device would; return (code, whether the answer is protected)."""
    context = OscoreContext(Aes128, link.secret, link.kid, b"", Counter(0), id_context=os.urandom(8))
    plain = Message(CON, POST, 1, b"", coap.path_options("h"), b"")
    request, _ = context.protect_request(plain)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(TIMEOUT_S)
        asking.sendto(encode(request), ("127.0.0.1", port))
        answer = decode(asking.recv(2048))
    return answer.code, option(answer.options, OSCORE) is not None


def _is_refused_with_a_token(place):
    """The gateway of provisioning shows a token: it is told no links, so no device of its site is relinked."""
    words = ("office", "device", "relink", "device-1", "--config", place.config, "--json")
    command = [sys.executable, "-m", "tools.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = json.loads(done.stdout)["diagnostics"][0]
    return (done.returncode, said["code"], "and gateway of its site has none" in said["message"]) == (
        USAGE,
        "command-refused",
        True,
    )


def check_relinked_site(folder):
    """Relink two devices while events flow and the gateway is killed; return what was asked under, and the links of before."""
    asked, found = Asked(), []

    async def story(place):
        site = place.site
        site.link.keep = asked.keep
        before = _links(place, "office")
        assert await asyncio.to_thread(_is_refused_with_a_token, place)
        await place.enrol("gate-1")
        await asyncio.to_thread(_office, place, "gateway", "revoke", "gateway", "--reason", "was replaced")
        await site.gateway.start()
        await asyncio.gather(*(device.start() for device in site.devices))
        await until(lambda: place.held() >= SEGMENTS, "the devices are not heard")
        for device in ("device-1", "device-2"):
            await asyncio.to_thread(_relink, place, device)
        await site.gateway.kill()
        await site.gateway.start()
        await until(
            lambda: len(_links(place, "office")) == 2 and not set(before) & set(_links(place, "office")),
            "the links of before did not end",
        )
        await until(
            lambda: _links(place, "gateway") == _links(place, "office"), "the gateway holds other links"
        )
        at, held = len(asked.kids), place.held()
        kids = {link.kid for link in _links(place, "office")}
        await until(
            lambda: place.held() >= held + SEGMENTS and kids <= set(asked.kids[at:]),
            "the devices are not heard over the other links",
        )
        later = set(asked.kids[at:])
        codes = [await asyncio.to_thread(_ask_under, link, site.gateway_port) for link in before]
        now = [
            await asyncio.to_thread(_ask_under, link, site.gateway_port) for link in _links(place, "office")
        ]
        states = await asyncio.to_thread(_states, place)
        files = place.gateway_files()
        await stop_all(site)

        assert states == [IN_FORCE, IN_FORCE]
        assert later == kids
        # Like a stranger's; who has the link of now is asked for an Echo, in an answer that only it can read.
        assert codes == [(UNAUTHORIZED, False)] * 2
        assert [is_protected for _, is_protected in now] == [True, True]
        assert [] == [link for link in before if link.secret in files]
        found.extend(before)
        proof = prove_site(site, expected=(*EXPECTED_FINDINGS, "gateway-revoked", "link-secret"))
        assert proof.is_clean, "\n".join(proof.faults)
        assert (proof.figures["lost"], proof.figures["duplicated"]) == (0, 0)
        assert proof.figures["events_recorded"] == proof.figures["events_at_office"] > 0

    _run(folder, story)
    return asked, found


@pytest.mark.proves("S07", "S38")
def test_devices_take_other_links_while_events_flow_and_the_old_ones_are_refused(tmp_path):
    """Nothing lost, nothing twice; afterwards both are heard over the other links alone, and nobody over those of before."""
    asked, before = check_relinked_site(tmp_path / "site")

    assert {link.kid for link in before} < set(asked.kids)
