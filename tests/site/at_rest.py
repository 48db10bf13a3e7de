"""The life of a site of real processes that holds something of everything that must stay secret, and all that it leaves.

Left are files: flash of the devices, folders of two gateways and of the office, logs, a backup of the office's database, core dumps; and
words: command lines and environments of every process, and what commands said. What may lie where is ALLOWED: each such file is its
owner's alone. Recordings are the world that sensors look at, and not searched.
"""

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
from fnmatch import fnmatch
from pathlib import Path

import pytest

from office_ingest.receive.body import ctr
from office_ingest.receive.keystore import Keystore
from protocol.enrolment import parse_code
from protocol.event import decode_events
from protocol.keys import CLEAR, body_keys
from protocol.segment import parse_segment
from tests.site.harness import ROOT, lay_out, stop_devices, until, waiting
from tests.site.test_replaced_gateway import SITE, Place
from tests.support.marks import files_below, of_bytes, of_number, of_text, pieces, search
from tools import provision
from tools.ports import free_port

# Like no other number of a site. They make the demonstration's rules decide, so decisions have them as inputs.
READINGS = tuple(1_918_273_645 + 104_729 * i for i in range(8))
FLOW, TEMPERATURE = provision.DEMO_CHANNELS
CHANNELS = [FLOW, [*TEMPERATURE[:4], 2_000_000_000, TEMPERATURE[5]]]
# Segments of each device, of both lanes together.
SEGMENTS = 8
BODIES = 200

KEYSTORE = "office/keystore.db*"
ALLOWED = {
    "link secret": ("gateway/links.toml", KEYSTORE, "device-*/link.toml", "device-*/device.json"),
    "gateway's token": ("gateway/token",),
    "gateway's key": ("gate-2/identity.pem",),
    "server's key": ("office/tls/office.key",),
    "authority's key": ("office/authority.db*",),
    "downlink key": (KEYSTORE, "device-*/flash.bin"),
    "claim's secret": (KEYSTORE, "claims/*/claim.json"),
}


class Life:
    """One such site. After live(): what was found in the open, and names of what was looked for."""

    def __init__(self, folder):
        self.folder = folder
        self.cores = folder / "cores"
        self.marks = {}
        self.words = {}
        self.found = []

    async def live(self, plant=lambda site: None):
        """Let it run, be killed by a signal that dumps memory, and be searched. plant(site): puts a fault into its processes."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Keystore, "enrol", self._noted(Keystore.enrol))
            patch.setattr(provision, "DEMO_CHANNELS", CHANNELS)
            self.site = await lay_out(self.folder, devices=2)
        for recording in self.folder.glob("device-*/recording.csv"):
            recording.write_text(marked(recording.read_text()))
        self.place = Place(self.site)
        plant(self.site)
        self._allow_dumps()
        try:
            await self._run()
        finally:
            await self.site.close()
        self._take_secrets()
        self._take_bodies()
        self.found = self._search()

    def _noted(self, enrol):
        """Return the keystore's enrol that tells the roots, which are kept nowhere."""

        def noted(keystore, device, seal_root, view_root, downlink):
            self._mark(f"seal root of {device.hex()}", of_bytes(seal_root))
            self._mark(f"view root of {device.hex()}", of_bytes(view_root))
            return enrol(keystore, device, seal_root, view_root, downlink)

        return noted

    def _mark(self, what, forms):
        self.marks[what] = forms

    def _allow_dumps(self):
        """Let the services start where a dump of memory is not forbidden by who starts them, and would lie in a folder of its own."""
        self.cores.mkdir()
        for service in (self.site.office, self.site.gateway):
            script = f'ulimit -c unlimited; cd "{self.cores}"; exec "$@"'
            service.command = ["sh", "-c", script, "sh", *service.command]

    async def _run(self):
        site = self.site
        path = {"PYTHONPATH": str(ROOT)}
        await site.office.start(path)
        await asyncio.to_thread(self._use_commands)
        await site.gateway.start(path)
        await asyncio.gather(*(device.start() for device in site.devices))
        await until(lambda: self.place.held() >= SEGMENTS, "the devices are not heard")
        self._take_words()
        await asyncio.to_thread(self._ask)
        await stop_devices(site)
        await until(lambda: not waiting(site), "the gateway's outbox is not empty")
        self._back_up()
        for service in (site.gateway, site.office):
            assert -signal.SIGABRT == await service.stop(signal.SIGABRT), service.name

    def _use_commands(self):
        """Make what the office makes besides: a token of a person, a gateway with a key of its own, a claim."""
        run, config, folder = self.place.run, self.place.config, self.folder
        token = run("office", "token", "create", "--label", "pages", "--role", "viewer", "--config", config)
        code = run("office", "gateway", "invite", "gate-2", "--site", SITE, "--config", config)
        # Both are shown once, on purpose, to who asked for them.
        self.place.said = self.place.said.replace(token.strip(), "").replace(code.strip(), "")
        self._mark("person's token", of_text(token.strip()))
        secret = parse_code(code.strip()).secret
        self._mark("code's secret", [*of_bytes(secret), code.strip().encode()])
        host, port = self.site.uplink.address
        words = ("--office", f"https://{host}:{port}", "--port", free_port(2))
        run("gateway", "enrol", folder / "gate-2", *words, stdin=code)
        run("provision", "claims", "--office", config, folder / "claims")

    def _ask(self):
        """Let the commands of every day say what they say."""
        for words in (
            ("devices",),
            ("findings",),
            ("acts",),
            ("token", "list"),
            ("gateway", "list"),
            ("ca", "status"),
        ):
            with contextlib.suppress(AssertionError):  # Some end with 1: a finding.
                self.place.run("office", *words, "--config", self.place.config)
        for word in ("status", "devices", "readings", "check", "metrics"):
            with contextlib.suppress(AssertionError):
                self.place.run("gateway", word, "--config", self.site.gateway_folder / "gateway.toml")

    def _take_words(self):
        """Note command line and environment of every process of the site."""
        for service in (self.site.office, self.site.gateway, *self.site.devices):
            for pid in _session(service.process.pid):
                for what in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        self.words[f"{what} of {service.name}"] = Path(f"/proc/{pid}/{what}").read_bytes()

    def _back_up(self):
        with (
            contextlib.closing(sqlite3.connect(self.site.office_folder / "office.db")) as source,
            contextlib.closing(sqlite3.connect(self.folder / "backup.db")) as target,
        ):
            source.backup(target)

    def _take_secrets(self):
        office = self.site.office_folder
        self._mark("gateway's token", of_text((self.site.gateway_folder / "token").read_text().strip()))
        for what, path in (
            ("gateway's key", self.folder / "gate-2/identity.pem"),
            ("server's key", office / "tls/office.key"),
        ):
            # The line of base64 that holds no word of the format.
            self._mark(what, [path.read_bytes().split(b"\n")[2][:40]])
        for claim in self.folder.glob("claims/*/claim.json"):
            self._mark(
                "claim's secret",
                of_bytes(bytes.fromhex(re.search(r'"secret": "([0-9a-f]{32})"', claim.read_text())[1])),
            )
        with contextlib.closing(sqlite3.connect(office / "authority.db")) as authority:
            for (key,) in authority.execute("SELECT key FROM authorities WHERE key IS NOT NULL"):
                self._mark("authority's key", of_bytes(key[-40:]))
        with contextlib.closing(sqlite3.connect(office / "keystore.db")) as keystore:
            for device, key in keystore.execute("SELECT id, downlink FROM devices").fetchall():
                self._mark(f"downlink key of {device.hex()}", of_bytes(key))
            links = self.site.gateway_folder / "links.toml"
            for at, secret in enumerate(re.findall(r'secret = "([0-9a-f]{32})"', links.read_text())):
                self._mark(f"link secret {at}", of_bytes(bytes.fromhex(secret)))

    def _take_bodies(self):
        """Mark what the devices sealed: pieces of every body as it was before it was sealed, and the readings in it."""
        office = self.site.office_folder
        with contextlib.closing(sqlite3.connect(office / "office.db")) as database:
            rows = database.execute(
                "SELECT raw, count FROM segments ORDER BY random() LIMIT ?", (BODIES,)
            ).fetchall()
        with contextlib.closing(Keystore.open(office / "keystore.db", read_only=True)) as keystore:
            opened = [(open_body(keystore, raw), count) for raw, count in rows]
        self._mark("sealed body", [piece for raw, _ in opened for piece in pieces(raw)])
        for number in READINGS:
            self._mark(f"reading {number}", of_number(number))
        self.bodies = len(opened)
        # What the events say; in a body a reading is but its difference to the one before.
        self.events = [event for raw, count in opened if raw for event in decode_events(raw, count)[1]]

    def _search(self):
        files = files_below(self.folder)
        files = {name: path for name, path in files.items() if not name.endswith("recording.csv")}
        said = {"what commands said": self.place.said.encode()}
        return [one for one in search(self.marks, {**files, **self.words, **said}) if not _is_allowed(one)]


def marked(recording, mark_at=lambda at: READINGS[at % len(READINGS)]):
    """Return a recording in which five temperatures of ten are marks, in each row its own of mark_at(row)."""
    rows = recording.splitlines()
    for at, row in enumerate(rows):
        if at % 10 < 5:
            rows[at] = f"{row.partition(',')[0]},{mark_at(at)}"
    return "\n".join(rows) + "\n"


def open_body(keystore, raw):
    """Return the plaintext of a segment's body, b"" of one that has none."""
    segment = parse_segment(raw)
    header = segment.header
    if header.view_class == CLEAR:
        return b""
    return segment.open_body(
        *body_keys(keystore.view_key(header.device, header.view_class, header.period)), ctr
    )


def _session(leader):
    """Return the processes of a session, its leader first."""
    found = [leader]
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if int(name) != leader and os.getsid(int(name)) == leader:
                found.append(int(name))
    return found


def _is_allowed(one):
    patterns = [at for what, places in ALLOWED.items() if one.what.startswith(what) for at in places]
    return any(fnmatch(one.where, pattern) for pattern in patterns)


def secret_files(folder):
    """Return the files in which a secret may lie."""
    patterns = {pattern for places in ALLOWED.values() for pattern in places}
    return {
        name: path
        for name, path in files_below(folder).items()
        if any(fnmatch(name, one) for one in patterns)
    }


def life_of(folder, plant=lambda site: None):
    """Return the Life of a site after it ended."""
    life = Life(folder)
    asyncio.run(life.live(plant))
    return life
