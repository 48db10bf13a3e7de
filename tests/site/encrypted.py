"""A site of real processes whose gateway and office are encrypted, and what its disks and logs hold while it runs and after it ended."""

import asyncio
import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from protocol.sqlite_door import READ, open_database
from protocol.sqlite_key import beside, key_of
from tests.site.at_rest import CHANNELS, READINGS, marked
from tests.site.harness import JOURNAL_SECTORS, lay_out, stop_devices, until
from tests.site.test_replaced_gateway import SITE, Place
from tests.support.encrypted import passphrase_file
from tests.support.marks import files_below, of_bytes, of_number, of_text, search
from tools import provision

PASSPHRASES = {"gateway": "what the gateway's medium says", "office": "and what the office's says"}
STORES = ("office.db", "keystore.db", "authority.db")
# Segments of the device, before the gateway is killed and after.
SEGMENTS = 8


class EncryptedSite:
    """One device, a gateway and an office. After live(): what was found in the open, and where the copies are that an auditor gets."""

    def __init__(self, folder):
        self.folder = folder
        # Another disk than that of the stores, as the manual says.
        self.media = folder / "media"
        self.copies = folder / "copies"
        self.backup = folder / "backup"
        self.marks = {}
        self.names = {}
        self.found = []
        self.was_in_plain = set()
        self.logs_seen = set()

    async def live(self):
        """Found it, encrypt it, let it run, kill the gateway once, and end it in order."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(provision, "DEMO_CHANNELS", CHANNELS)
            # Room for what the device says while a command runs on a busy machine.
            self.site = await lay_out(self.folder / "site", devices=1, sectors=4 * JOURNAL_SECTORS)
        for recording in self.site.folder.glob("device-*/recording.csv"):
            recording.write_text(marked(recording.read_text()))
        self.place = Place(self.site)
        self._take_secrets()
        self.was_in_plain = {one.what for one in self._search()}
        try:
            await asyncio.to_thread(self._encrypt)
            await self._run()
        finally:
            await self.site.close()
        self.found += self._search()

    def _take_secrets(self):
        """Mark what only the founding knows, while the office's databases are plain."""
        for number in READINGS:
            self.marks[f"reading {number}"] = of_number(number)
        for name, text in PASSPHRASES.items():
            self.marks[f"passphrase of the {name}"] = of_text(text)
        office = self.site.office_folder
        with contextlib.closing(sqlite3.connect(office / "keystore.db")) as keystore:
            for device, downlink in keystore.execute("SELECT id, downlink FROM devices"):
                self.marks["downlink key"] = of_bytes(downlink)
                self.names["device"] = [device]
            for (secret,) in keystore.execute("SELECT secret FROM links"):
                self.marks["link secret"] = of_bytes(secret)
        with contextlib.closing(sqlite3.connect(office / "authority.db")) as authority:
            for (key,) in authority.execute("SELECT key FROM authorities WHERE key IS NOT NULL"):
                self.marks["authority's key"] = of_bytes(key[-40:])
        # Logs name the device, as they should; databases on a copied disk should not.
        self.names["site"] = [SITE.encode()]

    def _encrypt(self):
        """Name a passphrase in both settings; the gateway has no store yet, so it makes an encrypted one."""
        self.media.mkdir(0o700)
        for name, folder in (("gateway", self.site.gateway_folder), ("office", self.site.office_folder)):
            source = passphrase_file(self.media / name, PASSPHRASES[name])
            with (folder / f"{name}.toml").open("a") as settings:
                settings.write(f'\n[store]\npassphrase_file = "{source.name}"\n')
        self.place.run("office", "store", "encrypt", "--config", self.place.config)
        for path in (self.site.office_folder / name for name in STORES):
            self._mark_key(path)

    def _mark_key(self, path):
        self.marks[f"key of {path.name}"] = of_bytes(key_of(path).key)

    async def _run(self):
        site = self.site
        await site.office.start()
        await site.gateway.start()
        self._mark_key(site.gateway_folder / "gateway.db")
        await site.devices[0].start()
        await until(lambda: self.held() >= SEGMENTS, "the device is not heard")
        self.found += self._search()
        # While it runs and the device speaks.
        words = ["office", "store", "backup", self.backup, "--config", self.place.config]
        await asyncio.to_thread(self.place.run, *words)
        await site.gateway.kill()
        # Its log lies there as the process left it.
        self.found += self._search()
        before = self.held()
        await site.gateway.start()
        await until(lambda: self.held() >= before + SEGMENTS, "the device is not heard after the kill")
        await self._stop()

    async def _stop(self):
        site = self.site
        await stop_devices(site)
        await until(lambda: not self.waiting(), "the gateway's outbox is not empty")
        for service in (site.gateway, site.office):
            assert 0 == await service.stop(), service.name
        self.copies.mkdir()
        for name in STORES:
            shutil.copy(site.office_folder / name, self.copies / name)

    def held(self):
        """Return how many segments the office holds."""
        return self._ask(self.site.office_folder / "office.db", "SELECT count(*) FROM segments")

    def waiting(self):
        """Return how many segments the gateway holds that the office has not receipted."""
        return self._ask(
            self.site.gateway_folder / "gateway.db", "SELECT count(*) FROM segments WHERE raw IS NOT NULL"
        )

    def _ask(self, path, sql):
        with contextlib.closing(open_database(path, READ)) as connection:
            return connection.execute(sql).fetchone()[0]

    def databases(self):
        """Return the files of every database: themselves, logs, shared memory, what lies beside."""
        return {
            name: path
            for name, path in files_below(self.site.folder).items()
            if re.search(r"^(office|gateway)/.*\.db", name)
        } | files_below(self.backup)

    def _search(self):
        logs = {
            name: path for name, path in files_below(self.site.folder).items() if name.startswith("logs/")
        }
        databases = self.databases()
        self.logs_seen |= {path.suffix for path in databases.values()}
        said = {"what commands said": self.place.said.encode()}
        return [
            *search({**self.marks, **self.names}, databases),
            *search(self.marks, {**logs, **said}),
        ]

    def beside(self):
        """Return what lies beside each database and says that it is encrypted."""
        return [
            beside(Path(path))
            for path in (
                *(self.site.office_folder / name for name in STORES),
                self.site.gateway_folder / "gateway.db",
            )
        ]


def encrypted_site_of(folder):
    """Return the EncryptedSite after it ended."""
    site = EncryptedSite(folder)
    asyncio.run(site.live())
    return site
