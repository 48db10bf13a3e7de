"""Real processes: a gateway dies with its disk, another one is enrolled by a code, and the devices' journals go on.

No file of links is carried by hand at any step: the devices are provisioned at the office alone, and every gateway learns its site's links
from the office, over the connection that its certificate makes.
"""

import asyncio
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from office_ingest.storage.sqlite import SqliteStore
from protocol.coap import OSCORE, decode, option
from protocol.diagnostic import OK
from protocol.oscore import decode_option
from tests.site.harness import lay_out, proved, stop_all, until
from tools.ports import free_port

SITE = "test site"
COMMAND_S = 60
# Segments of each device before the gateway dies, and after.
SEGMENTS = 6


class Place:
    """A site, the office's and the gateways' commands, and what all of them said."""

    def __init__(self, site):
        self.site = site
        self.config = site.office_folder / "office.toml"
        self.said = ""

    def run(self, *words, stdin=""):
        """Run a command of ours to its end and return what it prints."""
        command = [sys.executable, "-P", "-m", "tools.cli", *map(str, words)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        self.said += done.stderr + done.stdout
        assert OK == done.returncode, done.stderr
        return done.stdout

    async def enrol(self, name, site=SITE, folder=None, port=None):
        """Let a machine with an empty disk become a gateway."""
        host, at = self.site.uplink.address
        folder = folder or self.site.gateway_folder
        code = await asyncio.to_thread(
            self.run, *("office", "gateway", "invite", name, "--site", site, "--config", self.config)
        )
        words = ("--office", f"https://{host}:{at}", "--port", port or self.site.gateway_port)
        await asyncio.to_thread(self.run, "gateway", "enrol", folder, *words, stdin=code)

    def held(self):
        """Return how many segments the office holds of the device that it holds fewest of."""
        with closing(sqlite3.connect(self.site.office_folder / "office.db")) as database:
            counted = dict(database.execute("SELECT device, count(*) FROM segments GROUP BY device"))
        return min(counted.get(device, 0) for device in self.site.device_ids)

    def secrets(self):
        """Return every link secret, as the office has it."""
        with closing(sqlite3.connect(self.site.office_folder / "keystore.db")) as keystore:
            return [secret for (secret,) in keystore.execute("SELECT secret FROM links")]

    def gateway_files(self):
        """Return the bytes of everything in the gateway's folder."""
        return b"".join(path.read_bytes() for path in self.site.gateway_folder.glob("*"))


def _run(folder, story):
    async def main():
        site = await lay_out(folder, devices=2)
        # Whatever provisioning wrote for a gateway: nobody has it.
        shutil.rmtree(site.gateway_folder)
        place = Place(site)
        try:
            await site.office.start()
            await story(place)
        finally:
            await site.close()

    asyncio.run(main())


def check_replaced_gateway(folder):
    """Let a gateway be replaced by one with an empty disk, and prove that every journal is whole."""

    async def story(place):
        site = place.site
        await place.enrol("gate-1")
        await site.gateway.start()
        await asyncio.gather(*(device.start() for device in site.devices))
        await until(lambda: place.held() >= SEGMENTS, "the devices are not heard through the first gateway")
        await site.gateway.kill()
        shutil.rmtree(site.gateway_folder)
        before = place.held()
        await place.enrol("gate-2")
        await site.gateway.start()
        await until(
            lambda: place.held() >= before + SEGMENTS, "the devices are not heard through the second gateway"
        )
        await stop_all(site)
        logs = b"".join(path.read_bytes() for path in site.logs.glob("*.log")) + place.said.encode()
        secrets = place.secrets()

        assert 2 == len(secrets)
        assert [] == [one.hex() for one in secrets if one in logs or one.hex().encode() in logs]
        assert "[[device]]" not in (site.gateway_folder / "links.toml").read_text()
        assert 0o600 == (site.gateway_folder / "gateway.db").stat().st_mode & 0o777
        proved(site)

    _run(folder, story)


@pytest.mark.proves("S38")
def test_replaced_gateway_gets_its_sites_links_and_no_journal_has_a_hole_or_a_double(tmp_path):
    """The old one is killed and its disk is gone, with what it had in custody; the new one is enrolled by a code."""
    check_replaced_gateway(tmp_path / "site")


def check_large_site(folder):
    """Let a site have more devices than an answer of the office has room for: those that run come behind all of them."""

    async def story(place):
        site = place.site
        _add_devices(site, 5000)
        await place.enrol("gate-1")
        await site.gateway.start()
        await asyncio.gather(*(device.start() for device in site.devices))
        await until(lambda: place.held() >= SEGMENTS, "the devices behind the first step are not served")
        await stop_all(site)
        with closing(sqlite3.connect(site.gateway_folder / "gateway.db")) as store:
            told = store.execute("SELECT count(DISTINCT device) FROM links").fetchone()[0]

        assert 5002 == told

    _run(folder, story)


def _add_devices(site, count):
    """Register devices that never run, with links, under the lowest identities."""
    ids = [at.to_bytes(8, "big") for at in range(count)]
    with closing(SqliteStore.open(site.office_folder / "office.db")) as store, store.transaction():
        for one in ids:
            store.put_device(one, one.hex(), SITE, 1)
    with closing(sqlite3.connect(site.office_folder / "keystore.db")) as keystore, keystore:
        links = [(one, b"link" + one[5:], b"secret 8" + one) for one in ids]
        keystore.executemany("INSERT INTO links VALUES (?, ?, ?, 1)", links)


@pytest.mark.timeout(240)
def test_device_of_a_large_site_is_served_at_once(tmp_path):
    """5,000 devices come before it; the office tells the gateway in two steps, one right after the other."""
    check_large_site(tmp_path / "site")


def check_links_stay_at_their_site(folder):
    """Let a gateway of another site be enrolled, a device be revoked, and a gateway be revoked."""

    async def story(place):
        site = place.site
        first, second = place.secrets()
        await place.enrol("gate-1")
        await site.gateway.start()
        await until(lambda: first in place.gateway_files(), "the first gateway has no links")
        place.run(
            *("office", "device", "revoke", "device-1", "--author", "A. Person"),
            *("--reason", "stolen", "--yes", "--config", place.config),
        )
        await site.gateway.stop()
        await site.gateway.start()
        revoked = _secret_of(place, 0)
        await until(lambda: revoked not in place.gateway_files(), "the revoked device is served on")
        left = [one for one in (first, second) if one in place.gateway_files()]
        await site.gateway.stop()
        shutil.rmtree(site.gateway_folder)
        place.run("site", "create", "elsewhere", "--config", place.config)
        await place.enrol("gate-3", "elsewhere")
        await site.gateway.start()
        await until(lambda: _asked(place), "the gateway of the other site did not ask")
        files = place.gateway_files()

        assert [_secret_of(place, 1)] == left
        assert [] == [one for one in (first, second) if one in files or one.hex().encode() in files]

    _run(folder, story)


def _secret_of(place, index):
    with closing(sqlite3.connect(place.site.office_folder / "keystore.db")) as keystore:
        sql = "SELECT secret FROM links WHERE device = ?"
        return keystore.execute(sql, (place.site.device_ids[index],)).fetchone()[0]


def _asked(place):
    """Return whether the gateway was told a set, be it an empty one."""
    with closing(sqlite3.connect(place.site.gateway_folder / "gateway.db")) as store:
        return store.execute("SELECT count(*) FROM link_set").fetchone()[0] == 1


@pytest.mark.proves("S38")
def test_gateway_of_another_site_gets_no_link_and_a_revoked_device_is_removed(tmp_path):
    """Over the office's real interface: what a gateway's disk holds is looked at, byte by byte."""
    check_links_stay_at_their_site(tmp_path / "site")


class Answers:
    """Listens on the devices' link: under which number each protected answer was sealed."""

    def __init__(self):
        self.under = {}
        self.reused = []

    def keep(self, upward, datagram):
        """Let everything pass."""
        message = None if upward else decode(datagram)
        value = message and option(message.options, OSCORE)
        if value is not None:
            number = decode_option(value)[0]
            if number is None or self.under.setdefault(number, message.payload) != message.payload:
                self.reused.append(datagram)
        return True


def _lead(site, port):
    """Let the devices' datagrams reach another gateway from now on."""
    site.link.server = ("127.0.0.1", port)
    for back in site.link._backs.values():
        back.close()
    site.link._backs.clear()


def check_device_moves(folder):
    """Lead devices from one running gateway to another and back, and prove that every journal is whole."""

    async def story(place):
        site, answers = place.site, Answers()
        site.link.keep = answers.keep
        second = site.folder / "gateway-2"
        port = free_port(socket.SOCK_DGRAM)
        await place.enrol("gate-1")
        await place.enrol("gate-2", folder=second, port=port)
        other = site._service("gateway-2", "gateway", "run", second / "gateway.toml", "listening on")
        await site.gateway.start()
        await other.start()
        await asyncio.gather(*(device.start() for device in site.devices))
        for at in (site.gateway_port, port, site.gateway_port):
            _lead(site, at)
            before = place.held()
            await until(lambda: place.held() >= before + SEGMENTS, f"not heard through port {at}")  # noqa: B023
        code = await other.stop()
        await stop_all(site)

        assert 0 == code
        assert [] == answers.reused
        assert 3 * SEGMENTS < len(answers.under)
        proved(site)

    _run(folder, story)


@pytest.mark.proves("S38")
def test_device_moves_between_the_gateways_of_its_site(tmp_path):
    """Both run; the devices are led from one to the other and back. Every journal is whole, and no number seals two answers."""
    check_device_moves(tmp_path / "site")
