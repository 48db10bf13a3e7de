"""What the office makes of what a device says that it runs: known, unknown or not judged, and what it withholds."""

import contextlib
import hashlib
import json
import sqlite3

import pytest

from office_ingest.govern.attestation import KNOWN, UNJUDGED, UNKNOWN, Attestations, register_image
from office_ingest.govern.commands import give_command
from office_ingest.govern.image_cli import read_description
from office_ingest.govern.rekey import give_rekey
from office_ingest.govern.relink import give_relink
from office_ingest.govern.views import put_grant
from office_ingest.overview import devices_overview
from office_ingest.prove.verify import verify_database
from office_ingest.storage.attested import Image
from protocol.attestation import AGENT, BUNDLE, DBGSTAT, ENABLED, HWMODEL, IMAGE, SEMANTICS, claims_of
from protocol.command import REPORT
from protocol.diagnostic import DiagnosticError
from protocol.event import ATTESTATION
from protocol.keys import CRITICAL
from tests.office_ingest.test_takings import make_fleet, newer, publish

IMAGE_DIGEST, OTHER = b"i" * 32, b"o" * 32


class Attesting:
    """An office with two devices, an image that is registered for their hardware, and a release that both should run."""

    def __init__(self, desk):
        self.desk = desk
        self.device, self.other = make_fleet(desk)
        self.traits = Attestations(desk.store)._down.traits(self.device.device)
        register_image(desk.store, self.image(IMAGE_DIGEST))

    def image(self, digest, *, is_development=False):
        """Return an image for the devices' hardware."""
        return Image(digest, self.traits.hardware, is_development, "a", self.desk.now_ms)

    def claims(self, **changed):
        """Return what an honest device says, less what is changed by the name of its claim's constant."""
        made = claims_of(self.traits.hardware, 1, 3, IMAGE_DIGEST, None, self.traits.bundle, 1)
        names = {"hardware": HWMODEL, "debug": DBGSTAT, "image": IMAGE, "agent": AGENT, "bundle": BUNDLE}
        return {**made, **{{**names, "semantics": SEMANTICS}[key]: value for key, value in changed.items()}}

    def say(self, **changed):
        """Let the device say what it runs, in a sealed event."""
        event = (self.device.order, 5, ATTESTATION, (self.claims(**changed),))
        self.device.order += 1
        return self.desk.take(self.device.seal(CRITICAL, [event]))

    def beat(self):
        """Return the answer to a heartbeat of the device."""
        return self.desk.take(heartbeats=[self.device.heartbeat()])

    def state(self):
        """Return what the office makes of it, and whether a finding is open."""
        verdict = Attestations(self.desk.store).verdict(self.device.device)
        return verdict.state, ("attestation", "claims") in self.desk.findings()

    def wanted(self):
        """Return the release that the device is told."""
        return dict(self.beat().releases).get(self.device.device)


@pytest.fixture
def office(desk):
    """That office."""
    return Attesting(desk)


def test_claims_that_are_known_are_no_finding(office):
    """Hardware, image and rules as they were registered and provisioned."""
    office.say()

    assert (KNOWN, False) == office.state()


def check_unknown_claim(office, name, value):
    """Let a device claim one thing that this office does not know, and look what is made of it."""
    office.say(**{name: value})

    assert (UNKNOWN, True) == office.state()


UNKNOWN_CLAIMS = [
    ("hardware", b"another"),
    ("image", OTHER),
    ("agent", OTHER),
    ("bundle", OTHER),
    ("debug", ENABLED),
    ("semantics", 99),
]


@pytest.mark.proves("S39")
@pytest.mark.parametrize(("name", "value"), UNKNOWN_CLAIMS, ids=[name for name, _ in UNKNOWN_CLAIMS])
def test_any_unknown_claim_is_a_finding(office, name, value):
    """Each alone: other hardware, image, agent, rules or engine, and debugging where the image has none."""
    check_unknown_claim(office, name, value)


def check_withheld(office):
    """Look what a device with unknown claims is told, before and after its image is registered."""
    desk = office.desk
    number = publish(desk, newer(2))
    before = office.wanted()
    office.say(image=OTHER)
    # From now on its keys are due.
    put_grant(desk.store, "gw-1", 2, 1, "a", desk.now_ms)
    withheld = office.beat()
    register_image(desk.store, office.image(OTHER))
    known = (office.state(), office.wanted())

    assert (number, 0) == (before, dict(withheld.releases)[office.device.device])
    assert [] == [view for view in withheld.views if view[0] == office.device.device]
    assert ((KNOWN, False), number) == known


@pytest.mark.proves("S39")
def test_releases_and_keys_are_withheld_until_it_is_known(office):
    """No release and no view keys; with the registration of its image the finding closes, and the release is told."""
    check_withheld(office)


def check_rekey_waits(office):
    """Look which commands a device with unknown claims is handed, before and after its image is registered."""
    desk, device = office.desk, office.device.device
    office.say(image=OTHER)
    words = {"author": "a", "now_ms": desk.now_ms, "lasts_ms": 86_400_000}
    rekey = give_rekey(desk.store, desk.keystore, device, **words)
    report = give_command(desk.store, desk.keystore, device, [REPORT], **words)
    withheld = office.beat().commands
    register_image(desk.store, office.image(OTHER))

    assert [report.raw] == withheld
    assert [rekey.raw, report.raw] == office.beat().commands


@pytest.mark.proves("S39")
def test_other_keys_wait_until_what_runs_is_known_and_other_commands_do_not(office):
    """A command that gives keys is kept back; one that only asks goes down as ever."""
    check_rekey_waits(office)


def check_relink_waits(office):
    """Look which commands a device with unknown claims is handed, before and after its image is registered."""
    desk, device = office.desk, office.device.device
    office.say(image=OTHER)
    desk.keystore.add_link(device, b"\x01", bytes(16), 1)
    words = {"author": "a", "now_ms": desk.now_ms, "lasts_ms": 86_400_000}
    relink = give_relink(desk.store, desk.keystore, device, [], **words)
    withheld = office.beat().commands
    register_image(desk.store, office.image(OTHER))

    assert [] == withheld
    assert [relink.raw] == office.beat().commands


def test_another_link_waits_until_what_runs_is_known(office):
    """As other keys do: an agent that nobody knows may forget it, and nobody would serve the one of before."""
    check_relink_waits(office)


def test_rules_become_known_with_the_last_signature_of_their_release(office):
    """In the process that judged before: what was signed meanwhile counts."""
    attestations = Attestations(office.desk.store)
    office.say(bundle=hashlib.sha256(newer(2)).digest())
    before = attestations.verdict(office.device.device).state
    publish(office.desk, newer(2))

    assert (UNKNOWN, KNOWN) == (before, attestations.verdict(office.device.device).state)


def test_claims_that_become_known_end_the_finding(office):
    """A device that says what is known again, after a roll back, gets its release again."""
    office.say(bundle=OTHER)
    unknown = office.state()
    office.say()

    assert ((UNKNOWN, True), (KNOWN, False)) == (unknown, office.state())


def test_nothing_is_judged_without_a_word_or_an_image(desk):
    """A device that says nothing, and one of whose hardware no image is registered, get what they got before."""
    device, _ = make_fleet(desk)
    silent = Attestations(desk.store).shown(device.device)
    traits = Attestations(desk.store)._down.traits(device.device)
    event = (0, 5, ATTESTATION, (claims_of(traits.hardware, 0, 1, OTHER, None, OTHER, 1),))
    desk.take(device.seal(CRITICAL, [event]))
    said = Attestations(desk.store).shown(device.device)

    assert (UNJUDGED, None) == (silent["state"], silent["claims"])
    assert (UNJUDGED, OTHER.hex()) == (said["state"], said["claims"]["image"])
    assert [] == desk.findings()


def test_the_first_image_of_a_hardware_begins_the_judging(desk):
    """Registering it looks at what was said before."""
    device, _ = make_fleet(desk)
    traits = Attestations(desk.store)._down.traits(device.device)
    event = (0, 5, ATTESTATION, (claims_of(traits.hardware, 1, 1, OTHER, None, traits.bundle, 1),))
    desk.take(device.seal(CRITICAL, [event]))
    unknown = register_image(desk.store, Image(IMAGE_DIGEST, traits.hardware, False, "a", desk.now_ms))

    assert ([device.device], [("attestation", "claims")]) == (unknown, desk.findings())


def test_newest_claims_count_in_whatever_order_they_come(office):
    """An older event that comes late changes nothing."""
    first = office.device.seal(CRITICAL, [(0, 5, ATTESTATION, (office.claims(image=OTHER),))])
    second = office.device.seal(CRITICAL, [(1, 6, ATTESTATION, (office.claims(),))])
    office.desk.take(second)
    office.desk.take(first)

    assert (KNOWN, False) == office.state()


def test_auditor_compares_the_claims_with_the_sealed_event(office):
    """Clean as it is; a row that was changed, added or deleted is named."""
    office.say()
    desk = office.desk

    def found(sql=None):
        with contextlib.closing(sqlite3.connect(":memory:")) as copy:
            desk.store.connection.backup(copy)
            if sql:
                copy.execute(sql)
                copy.commit()
            return {finding.table for finding in verify_database(copy, desk.keystore).findings}

    assert set() == found()
    for sql in ("UPDATE attestations SET boot = 9", "DELETE FROM attestations"):
        assert "attestations" in found(sql)


def test_devices_show_what_they_run(office):
    """In the table's rows, for people and machines."""
    office.say(image=OTHER)
    row = next(
        row
        for row in devices_overview(office.desk.store.connection)
        if row["device"] == office.device.device.hex()
    )

    assert (UNKNOWN, OTHER.hex()) == (row["attestation"]["state"], row["attestation"]["claims"]["image"])
    assert json.dumps(row["attestation"])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (json.dumps({"board": "m", "sha256": OTHER.hex(), "development": True}), (OTHER, "m", True)),
        (json.dumps({"board": "m", "image": OTHER.hex()}), (OTHER, "m", False)),
    ],
)
def test_description_of_an_image_is_read(tmp_path, text, read):
    """As both builds write it."""
    path = tmp_path / "image.json"
    path.write_text(text)

    assert read == read_description(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"board": 1, "sha256": "00"}', '{"board": "m", "image": "zz"}']
)
def test_other_files_describe_no_image(tmp_path, text):
    """They are refused by name."""
    path = tmp_path / "image.json"
    path.write_text(text)
    with pytest.raises(DiagnosticError):
        read_description(path)
