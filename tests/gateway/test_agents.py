"""The files of an agent on the gateway's shelf: known once their index is here, fetched by digest, handed out with their release."""

import contextlib
import hashlib

from gateway.delivery import Delivery
from gateway.errors import BodyRefused
from gateway.health import Health
from protocol import coap
from protocol.agent_index import AgentIndex, encode_agent_index
from protocol.manifest import AGENT, RULES
from tests.agent.release_bench import demo_bundle_again, make_release
from tests.gateway.site import device_id
from tests.gateway.test_shelf import fill, rows, run

FILES = [bytes([at]) * (700 + at) for at in range(3)]
INDEX = encode_agent_index(
    AgentIndex(
        6,
        [(f"agent/m{at}.mpy", hashlib.sha256(body).digest(), len(body)) for at, body in enumerate(FILES)],
    )
)
RULES_BODY = demo_bundle_again(5)
RELEASE, PARTS = make_release(7, [RULES_BODY, INDEX], kinds=[RULES, AGENT])


def _path(digest):
    return f"/v1/parts/{digest.hex()}"


def test_files_are_lacking_once_their_index_is_here(tmp_path):
    """Release, parts, then each file by its digest; and only with the last of them is the release named to the device."""
    check_files_are_lacking(tmp_path)


def check_files_are_lacking(folder):
    async def body(_store, shelf):
        await fill(shelf, RELEASE, PARTS)
        lacking = shelf.lacking()
        assert [one.at for one in lacking] == [(1, 0), (1, 1), (1, 2)]
        assert [one.path for one in lacking] == [_path(hashlib.sha256(file).digest()) for file in FILES]
        assert [one.bytes_max for one in lacking] == [len(file) for file in FILES]
        for one, file in zip(lacking, FILES, strict=True):
            assert shelf.deliverable(device_id()) is None, "it is named before it is whole"
            await shelf.put(one, file)
        assert shelf.deliverable(device_id()) == 7

    run(folder, body)


def test_file_that_is_not_the_one_of_the_index_is_not_kept(tmp_path):
    """The office, or whoever answers for it, gives another one."""
    check_other_file(tmp_path)


def check_other_file(folder):
    async def body(store, shelf):
        await fill(shelf, RELEASE, PARTS)
        with contextlib.suppress(BodyRefused):
            await shelf.put(shelf.lacking()[0], bytes([9]) * len(FILES[0]))
        assert await rows(store, "parts") == 2
        assert shelf.lacking()[0].at == (1, 0)

    run(folder, body)


def test_device_gets_files_block_by_block_and_no_others(tmp_path):
    """r/N/I/F, and 4.04 for a file, part or path that is not there."""

    async def body(_store, shelf):
        await fill(shelf, RELEASE, PARTS)
        for one, file in zip(shelf.lacking(), FILES, strict=True):
            await shelf.put(one, file)
        delivery = Delivery(shelf, Health())
        got = delivery.get(device_id(), [b"r", b"7", b"1", b"2"], None)
        assert (got.code, got.payload) == (coap.CONTENT, FILES[2][:512])
        for path in ([b"1", b"3"], [b"0", b"0"], [b"1", b"0", b"0"], [b"2"]):
            assert delivery.get(device_id(), [b"r", b"7", *path], None).code == coap.NOT_FOUND
        assert delivery.get(device_id(2), [b"r", b"7", b"1", b"2"], None).code == coap.NOT_FOUND

    run(tmp_path, body)


def test_files_go_with_the_last_release_that_names_them(tmp_path):
    """A next release with one other file keeps the two that it shares."""

    async def body(store, shelf):
        await fill(shelf, RELEASE, PARTS)
        for one, file in zip(shelf.lacking(), FILES, strict=True):
            await shelf.put(one, file)
        await shelf.replace([(device_id(), 0)], [])
        assert [await rows(store, table) for table in ("releases", "parts")] == [0, 0]

    run(tmp_path, body)
