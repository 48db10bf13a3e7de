"""No decoder without frames: whatever reads by its name is fuzzed, or the reason why not stands here."""

import pytest

from tests.fuzz.device_decoders import ENTRIES
from tests.fuzz.host_decoders import HOST_ENTRIES
from tests.fuzz.surface import readers

_ROWS = (
    "reads rows of our own database, whose damage is looked for where it is checked (tests of both stores)"
)
_OPENS = "opens a file of ours by its path; what lies in it is read by others"
_CALLS = "hands on to decoders that are fuzzed"
_BYTES = "gives bytes as they lie there"

# Modules that hold the SQL of a store and read nothing else.
STORES = ("gateway.store", "office_ingest.storage.")
# Function -> why it needs no entry of its own.
EXEMPT = {
    "agent.acknowledgements.Acknowledgements.read": _BYTES,
    "agent.clock.Clock.take_token": "takes a token that was parsed and verified",
    "agent.file_view.FileView.open": "inflates what its digest was compared with; import reads it",
    "agent.flash.RamFlash.read": _BYTES,
    "agent.flash.Window.read": _BYTES,
    "agent.journal.Journal.open_events": "counts events in memory",
    "agent.links.ble.BleStream.read": _BYTES,
    "agent.ring.Ring.read": "run by flash_boot for every number",
    "agent.newcomer.Folder.read": _BYTES,
    "agent.newcomer.read_claim": "reads JSON that a person put onto the board, as device.json is read",
    "agent.rooms.Room.read": _BYTES,
    "agent.slots.PartsRoom.read": _BYTES,
    "agent.slots.Slots.read_part": _BYTES,
    "agent.slots.Slots.read_release": _BYTES,
    "gateway.cli.read_status": _CALLS,
    "gateway.downlink.Downlink.load_receipts": "takes receipts from our own database",
    "gateway.health.Health.load": _ROWS,
    "gateway.links.serial_line.open_port": "opens a port; what comes over it is read by slipmux",
    "gateway.quick_segment.parse_quickly": "run beside parse_segment on 40,000 frames by tests/gateway/test_quick.py",
    "office_ingest.certificates.load_private": "reads a key from our own database",
    "office_ingest.govern.command_cli.BelowZero.parse_args": "words of a command line",
    "office_ingest.govern.leaf.Disk.read": _BYTES,
    "office_ingest.govern.leaf.OsDisk.read": _BYTES,
    "office_ingest.govern.opening.open_keystore": _OPENS,
    "office_ingest.govern.opening.open_shelf": _OPENS,
    "office_ingest.govern.opening.open_store": _OPENS,
    "office_ingest.overview.open_read_only": _OPENS,
    "office_ingest.prove.sealed.open_lane": _CALLS,
    "office_ingest.receive.keystore.Keystore.open": _OPENS,
    "office_ingest.receive.listener.open_authority": _OPENS,
    "office_ingest.receive.request_body.read_body": _BYTES,
    "office_ingest.show.readings.read_recent": _ROWS,
    "protocol.admission.open_admission": "opens what a tag proves; what is then read is admission",
    "protocol.aead.AesCcm.open": "run by protected_request and protected_answer",
    "protocol.aes_host.Ccm.open": "run by protected_request and protected_answer",
    "protocol.sqlite_cipher.open_encrypted": _OPENS,
    "protocol.sqlite_door.open_database": _OPENS,
    "protocol.segment.read_body": "run by segment",
    "protocol.segment.read_header": "run by segment",
    "protocol.segment.Segment.open_body": "run by office_body and flash_boot",
    "tools.board.journal.read_journal": "asks a board; what it says is compared with its digest and read by flash_image",
    "tools.board.journal.read_programs": "gives programs of ours",
    "tools.cddl.read_rules": "reads grammars that we ship",
    "tools.cli.load": "imports a command of ours",
    "tools.decode.parse_or_none": _CALLS,
    "tools.flashimage.parse_image": "run by flash_image",
    "tools.provision_cli.read_label_command": _CALLS,
    "tools.image.control.Control.read": "reads a page that our own emulated board shares with its test",
    "tools.image.flashfile.read_window": "reads a flash file that we made; what lies in it is read by flash_boot",
    "tools.proof.sources.read_figures": "reads what runs of ours wrote into build",
}


def _covered():
    return {name for entry in ENTRIES + HOST_ENTRIES for name in entry.covers}


def test_every_reader_is_fuzzed_or_says_why_not():
    """A new decoder needs an entry in device_decoders.py, server_decoders.py or file_decoders.py."""
    missing = {name for name in readers() if not name.startswith(STORES)} - _covered() - set(EXEMPT)

    assert not missing, f"no frames for {', '.join(sorted(missing))}: add an entry, or a reason to EXEMPT"


def test_no_reason_outlives_its_reader():
    """What is exempt exists, and has no entry."""
    gone = set(EXEMPT) - readers()

    assert not gone, f"no such reader any more: {', '.join(sorted(gone))}"
    assert not set(EXEMPT) & _covered()


def test_every_entry_covers_something_that_exists():
    """A decoder that was renamed is not lost from sight."""
    for name in sorted(_covered()):
        module, _, rest = name.rpartition(".")
        if module.rpartition(".")[2][:1].isupper():
            module, _, owner = module.rpartition(".")
            rest = f"{owner}.{rest}"
        found = __import__(module, fromlist=["x"])
        for word in rest.split("."):
            found = getattr(found, word, None)
        assert callable(found), name


@pytest.mark.parametrize("entries", [ENTRIES, HOST_ENTRIES], ids=["device", "hosts"])
def test_names_of_entries_are_unique(entries):
    """A name is all that a replay has."""
    names = [entry.name for entry in entries]

    assert len(set(names)) == len(names)


def test_reader_that_nobody_fuzzes_is_found(tmp_path, monkeypatch):
    """The search sees functions and methods of every package, by their names."""
    folder = tmp_path / "protocol"
    folder.mkdir()
    (folder / "new.py").write_text(
        "class A:\n    def parse_it(self, raw): ...\ndef decode_it(raw): ...\ndef make(x): ...\n"
    )
    monkeypatch.setattr("tests.fuzz.surface.ROOT", tmp_path)

    assert readers() == {"protocol.new.A.parse_it", "protocol.new.decode_it"}
