"""The loop of one changed rule: published, rolled out, down the serial line, adopted, decided by, sealed, up, and replayed.

The device is the emulated board; gateway and office are real processes. The recording holds two leaks by turns: a small one, with a
flow between the threshold of the rule as it was and that of the rule as it becomes, and a large one, below both. So which of the
two decided stands in the readings of a decision, whatever its event says of its bundle.
"""

import asyncio
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.store_view import StoreView
from hil_tests.provisioned import know_image, use_port
from hil_tests.qemu import Qemu, Repl
from office_ingest.prove.explain import explain_decision
from office_ingest.prove.replay import Decision, read_decision
from office_ingest.prove.report import Report
from office_ingest.prove.sealed import bundles, open_lane
from office_ingest.receive.keystore import Keystore
from protocol.adoption import CONFIRMED, STAGED, TRIAL
from protocol.event import ADOPTION, DECISION, SAMPLE
from protocol.keys import LANES
from protocol.sqlite_door import READ, open_database
from rules.engine import D_ACTS, D_INPUTS, D_RULE
from rules.replay import step_replay
from tests.site import test_down as desk_site
from tests.site.harness import JOURNAL_SECTORS, ROWS, lay_out, stop_all, until
from tools.demo.releases import GOOD
from tools.image.build import Image
from tools.image.flashfile import make_flash, read_window
from tools.ports import free_port
from tools.site import Site
from tools.site_proof import Proof, prove_site

SEED = 13
SAMPLES_PER_S = 10
SECONDS_MAX = 120
# Either leak begins within so many samples after the switch, wherever that falls: a rule that has not decided by then never will.
SAMPLES_MAX = 100
WINDOW_SECTORS = 4 + JOURNAL_SECTORS + 32
LEAK, VALVE, CLOSED = 1, 1, 0
# Hundredths of l/s. GOOD makes a leak of what lies below 92; before, it was what lies below 90.
THRESHOLD_BEFORE, THRESHOLD_AFTER = 9000, 9200
_SMALL, _LARGE, _NONE = 9100, 8200, 11000


@dataclass
class Loop:
    """What came of one run. number: of the release; before, after: digests of the bundles; frames: of the serial line, the board's alone.

    steps: of the adoption, with the order of each; decisions: with the order of each; samples: their orders. All as the office opens them.
    """

    site: Site
    number: int
    before: bytes
    after: bytes = b""
    frames: int = 0
    steps: list[tuple[int, int]] = field(default_factory=list)
    decisions: list[tuple[int, Decision]] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)

    def read(self) -> None:
        """Take what the office holds at this moment."""
        with office_of(self.site) as (connection, keystore):
            report = Report(has_keys=True)
            self.steps, self.decisions, self.samples = [], [], []
            for lane in LANES:
                for opened in open_lane(connection, keystore, self.site.device_ids[0], lane, report):
                    self._take(opened.order, opened.event[2], opened.event[3])

    def _take(self, order: int, kind: int, fields: tuple[Any, ...]) -> None:
        if kind == SAMPLE:
            self.samples.append(order)
        elif kind == ADOPTION and fields[1] == self.number:
            self.steps.append((fields[0], order))
        elif kind == DECISION and (decision := read_decision(order, fields)) is not None:
            self.decisions.append((order, decision))

    def closings(self, bundle: bytes) -> list[tuple[int, Decision]]:
        """Return the decisions of the changed rule that close the valve, by what they say of their bundle."""
        return [
            (order, one)
            for order, one in self.decisions
            if one.bundle == bundle
            and one.made[D_RULE] == LEAK
            and [VALVE, CLOSED] in [list(act[:2]) for act in one.made[D_ACTS]]
        ]

    def changed(self) -> list[tuple[int, Decision]]:
        """Return the closings that only the rule as it became gives cause for."""
        return [
            (order, one)
            for order, one in self.closings(self.after)
            if THRESHOLD_BEFORE <= one.made[D_INPUTS][0] < THRESHOLD_AFTER
        ]

    def switch(self) -> int:
        """Return the order at which the other bundle took over; 0 if it never did."""
        return next((order for step, order in self.steps if step == TRIAL), 0)

    def samples_since_switch(self) -> int:
        """Return how many samples the changed rule saw."""
        return sum(order > self.switch() > 0 for order in self.samples)


@contextmanager
def office_of(site: Site) -> Iterator[tuple[Any, Keystore]]:
    """Open the office's database and keystore for reading, whether it runs or not."""
    connection = open_database(site.office_folder / "office.db", READ)
    keystore = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        yield connection, keystore
    finally:
        keystore.close()
        connection.close()


def write_leaks(path: Path) -> None:
    """Write a recording in which a small leak and a large one take turns, and nothing stands still."""
    flows = [_SMALL] * 14 + [_NONE] * 26 + [_LARGE] * 14 + [_NONE] * 26
    lines = [f"{flows[row % len(flows)] + row * 7 % 13},{600 + row * 7 % 13}\n" for row in range(ROWS)]
    path.write_text("".join(lines))


async def go_round(folder: Path, image: Image, fault: str = "") -> Loop:
    """Let a rule be changed while the board runs, until the board decided by it; then end all in order, and return what came of it.

    fault: lines that the console of a development image takes before its agent starts.
    """
    site = await lay_out(
        folder,
        1,
        samples_per_s=SAMPLES_PER_S,
        ack_timeout_ms=1000,
        sections=desk_site.TRIAL_SECTION,
        key=True,
    )
    desk = folder / "device-1"
    write_leaks(desk / "recording.csv")
    port = free_port(socket.SOCK_STREAM)
    use_port(site.gateway_folder, f"socket://127.0.0.1:{port}")
    know_image(site.office_folder, image)
    flash = folder / "flash.bin"
    make_flash(desk / "device.toml", flash, random.Random(SEED).randbytes(32))
    try:
        await site.office.start()
        await site.gateway.start()
        with Qemu(Path(image.elf), flash, line_port=port) as board:
            if fault:
                Repl(board).start(fault + "\nimport board_main\nboard_main.run()")
            board.wait_for("runs, boot 1,")
            loop = await _change_a_rule(site, (desk / "bundle.cbor").read_bytes())
        (desk / "flash.bin").write_bytes(read_window(flash, WINDOW_SECTORS))
        with StoreView(site.gateway_folder / "gateway.db") as view:
            loop.frames = view.health()["counts"]["serial_frames"]
        # Whatever of it was not sent yet, over UDP to the same gateway.
        await site.devices[0].start()
        await stop_all(site)
    finally:
        await site.close()
    loop.read()
    return loop


async def _change_a_rule(site: Site, bundle: bytes) -> Loop:
    """Publish when the rule of before has decided, and return when that of after has."""
    loop = Loop(site, 0, sha256(bundle).digest())
    await _until(loop, lambda: loop.closings(loop.before), "the rule as it was decides nothing")
    loop.number = await asyncio.to_thread(desk_site._publish, site, GOOD)
    loop.after = _bundle_of_release(site, loop.number)
    await _until(loop, lambda: CONFIRMED in [step for step, _ in loop.steps], "the board confirms no release")
    await _until(
        loop,
        lambda: loop.changed() or loop.samples_since_switch() >= SAMPLES_MAX,
        "the board samples no more",
    )
    return loop


async def _until(loop: Loop, has_come: Any, otherwise: str) -> None:
    """Wait until the office's rows show it."""

    def look() -> bool:
        loop.read()
        return bool(has_come())

    await until(look, otherwise, SECONDS_MAX)


def _bundle_of_release(site: Site, number: int) -> bytes:
    with office_of(site) as (connection, _):
        rows = connection.execute("SELECT digest FROM bundles ORDER BY rowid").fetchall()
    assert len(rows) == number + 1
    return rows[-1][0]


def broken_links(loop: Loop) -> tuple[list[str], Proof]:
    """Return a sentence for each link of the loop that did not hold, none if it went round; and the proof of the site."""
    proof = prove_site(loop.site)
    found = [*proof.faults, *_way_down(loop), *_decided(loop), *_replayed(loop, proof)]
    return found, proof


def _way_down(loop: Loop) -> Iterator[str]:
    if not loop.frames:
        yield "no frame came over the serial line"
    if desk_site._running(loop.site, loop.number) != 1:
        yield f"the newest heartbeat does not name the rules of release {loop.number}"
    steps = [step for step, _ in loop.steps]
    if steps != [STAGED, TRIAL, CONFIRMED]:
        yield f"the board's steps to release {loop.number} are {steps}"


def _decided(loop: Loop) -> Iterator[str]:
    """Look at which of the two rules decided, by the readings alone, and when."""
    switch = loop.switch()
    before, after = (
        sorted(one.made[D_INPUTS][0] for _, one in loop.closings(bundle))
        for bundle in (loop.before, loop.after)
    )
    if not before or before[-1] >= THRESHOLD_BEFORE:
        yield f"under the rule of before the valve closed at {before}, not below {THRESHOLD_BEFORE} alone"
    if not loop.changed():
        yield f"under the changed rule the valve closed at {after}, not from {THRESHOLD_BEFORE} to {THRESHOLD_AFTER}"
    early = [order for order, one in loop.decisions if (order > switch) != (one.bundle == loop.after)]
    if early:
        yield f"the bundle changed at order {switch}, and decisions {early} name the other one"


def _replayed(loop: Loop, proof: Proof) -> Iterator[str]:
    """Look at the changed decision as a person asks for it, and at what the replay of all of it covered."""
    switch, changed = loop.switch(), loop.changed()
    if proof.figures["run_replay_coverage"] != 1.0:
        yield f"replay covers {proof.figures['run_replay_coverage']} of the samples"
    if not min(loop.samples, default=0) < switch < max(loop.samples, default=0):
        yield f"no samples lie on both sides of the switch at order {switch}"
    if not changed:
        return
    order, decision = changed[0]
    device = loop.site.device_ids[0].hex()
    with office_of(loop.site) as (connection, keystore):
        explained = explain_decision(connection, keystore, device, order)
        differences = step_replay(bundles(connection)(loop.before), decision.made)
    if explained["replay"] or explained["bundle"] != loop.after.hex():
        yield f"the office replays decision {order} under {explained['bundle'][:16]} as {explained['replay']}"
    if [one["number"] for one in explained["releases"]] != [loop.number]:
        yield f"the office traces decision {order} to releases {explained['releases']}"
    if not differences:
        yield f"decision {order} replays equal under the rules of before, too: it shows nothing"
