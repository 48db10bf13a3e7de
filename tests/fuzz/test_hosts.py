"""Frames for the decoders that only hosts run. OUTSTATION_FRAMES and OUTSTATION_SEED choose how many and which."""

import asyncio
import os
import shutil
import socket

import pytest

from gateway.links.udp import listen
from gateway.points import read_kill_point
from office_ingest.govern.lms_key import KeyDamaged
from office_ingest.govern.signer import OpenSigner
from protocol.cbor import dumps, loads
from protocol.diagnostic import DiagnosticError
from tests.fuzz.file_decoders import key_folder
from tests.fuzz.frames import share_of, watch_entry
from tests.fuzz.host_decoders import HOST_ENTRIES
from tests.fuzz.runs import check_growth
from tests.fuzz.server_decoders import the_gateway
from tools.provision import recording_mistakes

# One in twenty: these decoders write files, open stores, read text.
FRAMES = int(os.environ.get("OUTSTATION_FRAMES", "1000000")) // 20
SEED = int(os.environ.get("OUTSTATION_SEED", "1"))
# device.toml names files that a device's folder has and this one has not; the key folder is damaged in each frame.
NEVER_WHOLE = ("device_toml", "signing_key")
# A CON GET, whose Uri-Path is a byte that begins no character.
BAD_TEXT = bytes.fromhex("4001abcdb1ff")


@pytest.mark.timeout(0)
@pytest.mark.parametrize("entry", HOST_ENTRIES, ids=lambda entry: entry.name)
def test_no_frame_ends_in_another_error(entry):
    """A value or a documented error, whatever the bytes or the text, and no memory kept."""
    count = share_of(entry, HOST_ENTRIES, FRAMES)
    said = watch_entry(entry, count, SEED)
    print(f"{count} frames from seed {SEED}: {said}")

    assert said["taken"] + said["refused"] == count
    check_growth("cpython", [said])


@pytest.mark.parametrize(
    "entry", [one for one in HOST_ENTRIES if one.name not in NEVER_WHOLE], ids=lambda entry: entry.name
)
def test_golden_bytes_are_taken(entry):
    """Mutation starts from what the decoder accepts."""
    taken = 0
    for raw in entry.golden:
        try:
            entry.decode(raw)
        except entry.errors:
            continue
        taken += 1

    assert taken


def test_datagram_of_a_stranger_leaves_no_traceback():
    """Six bytes that anybody may send must not cost a page of the log."""
    problems = []

    async def send():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
        link = await listen(the_gateway().site, "127.0.0.1", 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            stranger.connect(("127.0.0.1", link.port))
            stranger.send(BAD_TEXT)
            # What is answered to the second one shows that the first was looked at.
            stranger.send(bytes.fromhex("4001abce"))
            await asyncio.get_running_loop().sock_recv(stranger, 100)
        await link.close()

    asyncio.run(send())

    assert problems == []


def test_recording_with_an_endless_number_is_said_to_be_wrong(tmp_path):
    """A row that is no row is named, whatever stands in it."""
    path = tmp_path / "recording.csv"
    path.write_text("8000," + "9" * 5000 + "\n")

    assert recording_mistakes(path)[0].line == 1


def test_kill_point_with_an_endless_count_is_said_to_be_wrong():
    """What a person set wrong is named, whatever stands there."""
    with pytest.raises(DiagnosticError):
        read_kill_point("before_commit:" + "9" * 5000)


@pytest.mark.parametrize(("place", "value"), [(2, -4), (2, {})])
def test_damaged_signing_key_is_said_to_be_damaged(tmp_path, place, value):
    """A bit that turns a parameter into something else leaves no traceback, but the word which folder holds no key any more."""
    folder = tmp_path / "key"
    shutil.copytree(key_folder(), folder)
    items = loads((folder / "secret").read_bytes())
    items[place] = value
    (folder / "secret").write_bytes(dumps(items))

    with pytest.raises(KeyDamaged, match="cannot be read"), OpenSigner(folder):
        pass
