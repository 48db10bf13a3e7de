"""One short life of a site whose hosts and devices come from different commits; a program, run under the hosts' tree.

    python -P story.py FOLDER SECONDS IMAGE,IMAGE... DEVICE-WORD... [-- DEVICE-WORD...]

The images are what the devices' agents call themselves. The words start a device; "{folder}" in them is that device's folder. Words after "--" start another agent over the same flash, half-way.
What is imported here lies in the tree that PYTHONPATH names, so
this file uses only what the oldest kept hosts have. The last line printed is JSON: the devices' identities, and what was lived through.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import office_ingest.founding
from office_ingest.govern.commands import give_command
from office_ingest.govern.publish import publish
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED
from protocol.command import SET_ACTUATOR
from protocol.diagnostic import DiagnosticError
from protocol.manifest import KIND
from tests.site.harness import lay_out, start_all, stop_all, stop_devices, until, waiting
from tools.demo.layout import signing_key
from tools.demo.releases import GOOD, policy_file
from tools.device import write_device

DEVICES = 2
SAMPLES_PER_S = 12
TRIAL = ("", "[trial]", "min_samples = 8", "min_ms = 300", "limit_ms = 20_000")
# Segments that wait at the gateway while the office is away.
OUTAGE_SEGMENTS = 4
_RELAY = 2


def now_ms():
    """Return the wall's milliseconds."""
    return time.time_ns() // 1_000_000


class Story:
    """A site and how long each of its steps may take, in seconds."""

    def __init__(self, site, seconds):
        self.site = site
        self.seconds = seconds
        # Where the hosts' code lies: a tree that was not found would be replaced in silence by what is installed.
        self.lived = {"hosts": office_ingest.founding.__file__}

    def ask(self, question):
        """Return what a question to the office's database gives: question(store)."""
        store = SqliteStore.open(self.site.office_folder / "office.db")
        try:
            return question(store)
        finally:
            store.close()

    async def wait(self, is_so, otherwise):
        """Wait until is_so() holds. Raises AssertionError with a sentence."""
        await until(is_so, otherwise, self.seconds)

    def count(self, table):
        """Return how many rows of a table the office holds."""
        return self.ask(lambda store: store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    async def hear(self):
        """Every device's heartbeats and segments are at the office."""
        await self.wait(lambda: self.count("heartbeats") > DEVICES, "heartbeats: the office takes none")
        await self.wait(lambda: self.count("segments") > DEVICES, "segments: the office takes none")
        await self.wait(lambda: not waiting(self.site), "custody: the gateway's outbox is never empty")

    async def outlive_an_outage(self):
        """The office is away; the gateway keeps what comes, and gives it on."""
        self.site.uplink.cut()
        await self.wait(lambda: waiting(self.site) >= OUTAGE_SEGMENTS, "outage: the gateway keeps nothing")
        self.lived["waited"] = waiting(self.site)
        self.site.uplink.mend()
        await self.wait(lambda: waiting(self.site) < OUTAGE_SEGMENTS, "outage: nothing is drained")

    async def adopt(self):
        """A changed rule is released, tried and confirmed by every device."""
        self.lived["release"] = number = await asyncio.to_thread(self._publish)
        await self.wait(lambda: self._confirmed(number) == DEVICES, "release: not every device confirms it")
        self.lived["confirmed"] = self._confirmed(number)

    def _publish(self):
        policy = self.site.folder / "policy.yaml"
        policy.write_text(policy_file().read_text("utf-8").replace(GOOD.before, GOOD.after), "utf-8")
        about = {"target": (KIND, "sensor"), "hardware": ["unix"], "author": "test"}
        return self.ask(
            lambda store: (
                publish(store, policy, signing_key(self.site), now_ms=now_ms, **about).release.number
            )
        )

    def _confirmed(self, number):
        def steps(store):
            return [
                device
                for device in self.site.device_ids
                if any(
                    (one.number, one.step) == (number, CONFIRMED) for one in Downward(store).adoptions(device)
                )
            ]

        return len(self.ask(steps))

    async def update(self, words):
        """The devices' agent is another from now on; it goes on where the one before ended, in the same epoch."""
        await stop_devices(self.site)
        held = self.count("segments")
        equip(self.site, words)
        try:
            for device in self.site.devices:
                await device.start()
        except DiagnosticError as fault:
            raise AssertionError(f"update: the new agent does not start on the old flash: {fault}") from None
        await self.wait(lambda: self.count("segments") > held + DEVICES, "update: no segment more")
        epoch = self.ask(
            lambda store: store.connection.execute("SELECT max(epoch) FROM segments").fetchone()[0]
        )
        assert epoch == 0, "update: a new epoch was begun, so the flash was not understood"
        self.lived["segments_after_update"] = self.count("segments") - held

    async def command(self):
        """A command is carried out, or refused by the device's gates, and answered."""
        device = self.site.device_ids[0]
        keystore = Keystore.open(self.site.office_folder / "keystore.db")
        try:
            demand = [SET_ACTUATOR, _RELAY, 1]
            about = {"author": "test", "now_ms": now_ms(), "lasts_ms": 600_000}
            number = self.ask(lambda store: give_command(store, keystore, device, demand, **about).number)
        finally:
            keystore.close()
        answer = lambda: self.ask(lambda store: Downward(store).command(device, number)).verdict  # noqa: E731
        await self.wait(lambda: answer() is not None, "command: no answer")
        self.lived["verdict"] = answer()


def equip(site, words):
    """Let every device be started with these words from now on."""
    for device in site.devices:
        place = site.folder / device.name
        write_device(place / "device.toml")
        device.command = [word.replace("{folder}", str(place)) for word in words]


def know(story, images):
    """Register the agents of the devices, as who updates a fleet does; an office from before it asked for that knows nothing of it."""
    try:
        from office_ingest.govern.attestation import register_image
        from office_ingest.storage.attested import AttestedStore, Image
    except ModuleNotFoundError:
        return

    def register(store):
        held = {image.digest for image in AttestedStore(store).images()}
        for digest in {bytes.fromhex(image) for image in images} - held:
            register_image(store, Image(digest, "unix", True, "test", now_ms()))

    story.ask(register)


async def live(folder, seconds, images, words, later):
    """Live through all of it; return (identities, what was lived). Raises AssertionError, with the part that failed first."""
    site = await lay_out(folder, DEVICES, samples_per_s=SAMPLES_PER_S, sections=TRIAL, key=True)
    equip(site, words)
    story = Story(site, seconds)
    know(story, images)
    try:
        await start_all(site)
        await story.hear()
        await story.outlive_an_outage()
        await story.adopt()
        if later:
            await story.update(later)
        await story.command()
        await stop_all(site)
    finally:
        await site.close()
    return [device.hex() for device in site.device_ids], story.lived


def main(arguments):
    """Print one line of JSON; return the exit code: 1 where a part of the story failed, whose sentence is printed instead."""
    folder, seconds, images, *words = arguments
    split = words.index("--") if "--" in words else len(words)
    try:
        story = live(Path(folder), float(seconds), images.split(","), words[:split], words[split + 1 :])
        devices, lived = asyncio.run(story)
    except AssertionError as fault:
        print(fault)
        return 1
    print(json.dumps({"devices": devices, "lived": lived}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
