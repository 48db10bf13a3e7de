"""Broken variants of the gateway's promises. tests/canary/test_gateway.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

import asyncio
import hashlib
import os
import time

from gateway import shelf as shelf_module
from gateway import store as store_module
from gateway import store_answer, store_check, store_identity, store_repair, store_sessions
from gateway import store_down as store_down_module
from gateway import uplink as uplink_module
from gateway.collector import Reply
from gateway.delivery import Delivery
from gateway.links import line_quality
from gateway.links.remembered import Remembered
from gateway.links.serial_line import SerialLine
from gateway.links.site import Site
from gateway.reconcile import Lane
from gateway.release_bodies import named_bodies
from gateway.sessions import Opened, Session, Sessions
from gateway.shelf import Shelf
from gateway.store import FORKED, STORED, Store
from gateway.store_file import used_bytes
from gateway.store_segments import Arrival
from gateway.uplink import Backoff, Office
from protocol import slipmux
from protocol.coap import BLOCK1, ETAG, OSCORE, URI_PATH, option
from protocol.command import parse_command
from protocol.sqlite_file import is_of_the_file
from tests.planted.register import register

FAULTS, fault = register()
_BODIES = (("releases", "raw"), ("parts", "body"))
_SMALL_COMMAND_BYTES = 60
_SILENT_LOOKS = 20
_LOOK_S = 0.001
# RFC 7959 section 2.9.1.
CONTINUE = 0x5F


@fault
def ack_before_commit(patch):
    """Custody is given while the segment only waits for its commit."""
    true_add = Store.add_segment
    tasks = set()

    async def add_segment(self, segment, **options):
        header = segment.header
        task = asyncio.create_task(_later(true_add(self, segment, **options)))
        tasks.add(task)
        self.lane(header.device, header.lane, header.epoch).held.add(header.number, header.number + 1)
        return STORED

    async def _later(coroutine):
        await asyncio.sleep(0.05)
        return await coroutine

    patch(Store, "add_segment", add_segment)


@fault
def drop_fork(patch):
    """The second digest of a number is acknowledged and thrown away."""
    true_insert = Store._insert

    def insert(self, connection, segment, now_ms, **options):
        held = self._digests_at(connection, segment.header.key())
        if held and segment.digest not in held:
            return FORKED
        return true_insert(self, connection, segment, now_ms, **options)

    patch(Store, "_insert", insert)


@fault
def take_every_place_for_new(patch):
    """What comes at once is put in together, whatever is held of its places."""

    def new_places(_connection, operations):
        return {at: one for at, one in enumerate(operations) if isinstance(one, Arrival)}

    patch(store_module, "new_places", new_places)


@fault
def overbook_the_store(patch):
    """What comes at once is put in together, whether there is room for it or not."""
    true_take = Store._take_new

    def take_new(self, connection, operations):
        self._room, room = 1 << 40, self._room
        taken = true_take(self, connection, operations)
        self._room = room
        return taken

    patch(Store, "_take_new", take_new)


@fault
def release_without_receipt(patch):
    """What the office calls stored is given up without a receipt over it."""
    true_release = store_answer.release

    def release(connection):
        told = connection.execute("DELETE FROM segments WHERE outcome IS NOT NULL RETURNING id").fetchall()
        return len(told) + true_release(connection)

    patch(store_answer, "release", release)


@fault
def ignore_that_it_is_wanted(patch):
    """What was known once is a duplicate, though the office asks for it again."""
    true_insert = Store._insert

    def insert(self, connection, segment, now_ms, *, reserve, is_wanted):
        return true_insert(self, connection, segment, now_ms, reserve=reserve, is_wanted=False)

    patch(Store, "_insert", insert)


@fault
def accept_unauthenticated(patch):
    """A plain request is taken for the first device's."""
    true_authenticate = Site._authenticate

    class Plain:
        def protect_response(self, answer, _exchange):
            return answer

    def authenticate(self, request):
        if option(request.options, OSCORE) is None and option(request.options, URI_PATH) is not None:
            link = next(iter(self._sessions._links.values()))
            session = Session.__new__(Session)
            session.link, session.context = link, Plain()
            return Opened(link.device, request, session, None)
        return true_authenticate(self, request)

    patch(Site, "_authenticate", authenticate)


@fault
def keep_every_block(patch):
    """What was answered is kept until its minute is over, however much it is."""
    true_finish = Remembered.finish

    def finish(self, exchange, answer):
        self._bytes_max = self._peer_bytes_max = 1 << 60
        true_finish(self, exchange, answer)

    patch(Remembered, "finish", finish)


@fault
def put_requests_together(patch):
    """Pieces of uploads are kept until their last one comes."""
    true_dispatch = Site._dispatch
    pieces = {}

    async def dispatch(self, opened):
        if option(opened.request.options, BLOCK1) is None:
            return await true_dispatch(self, opened)
        pieces.setdefault(opened.device, []).append(opened.request.payload)
        return Reply(CONTINUE)

    patch(Site, "_dispatch", dispatch)


@fault
def reuse_sender_sequence(patch):
    """Sequence numbers are counted in memory and written down only after use."""
    true_reserve = Store.reserve_sequence

    def reserve(self, device, context, count, *, leaps=False):
        start = true_reserve(self, device, context, 0)
        self._used = getattr(self, "_used", 0) + count
        return start + self._used - count

    patch(Store, "reserve_sequence", reserve)


@fault
def forget_custody_after_restart(patch):
    """What is held is not read back when the store is opened."""
    patch(store_module, "load_lanes", lambda connection: {})


@fault
def watermark_over_hole(patch):
    """The custody watermark is the highest number held, whatever is missing below it."""
    patch(Lane, "watermark", Lane.top)
    true_settled = Lane.settled

    def settled(self):
        ranges = true_settled(self)
        ranges.add(0, self.top())
        return ranges

    patch(Lane, "settled", settled)


@fault
def deliver_to_any_device(patch):
    """A release that is here is handed to whoever asks for it."""
    patch(Shelf, "_is_for", lambda self, device, number: number in self._releases)


@fault
def name_before_it_is_here(patch):
    """A device is told of a release as soon as the office wants it there."""
    patch(Shelf, "deliverable", lambda self, device: self._wanted.get(device) or None)


@fault
def keep_any_part(patch):
    """A part is kept without a look at its digest."""
    patch(shelf_module, "check_part", lambda manifest, index, body: None)


@fault
def keep_withdrawn_commands(patch):
    """What the office no longer names stays."""
    true_replace = Shelf.replace

    async def replace(self, releases, commands, **more):
        held = [raw for device, _ in releases for raw in self._commands.get(device, {}).values()]
        await true_replace(self, releases, [*held, *commands], **more)

    patch(Shelf, "replace", replace)


@fault
def tag_each_block(patch):
    """The ETag is of the block, not of the body."""
    true_block = Delivery._block

    def block(self, body, value):
        reply = true_block(self, body, value)
        tag = hashlib.sha256(reply.payload).digest()[:8]
        options = tuple((number, tag if number == ETAG else held) for number, held in reply.options)
        return reply._replace(options=options)

    patch(Delivery, "_block", block)


@fault
def crowd_out_custody(patch):
    """What goes down takes its room from what comes up."""
    patch(Store, "_free_bytes", lambda self: self._bytes_max - used_bytes(self._connection))


@fault
def count_bytes_for_pages(patch):
    """What goes down is counted by its bytes, though it takes whole pages."""
    sums = [f"(SELECT coalesce(sum(length({column})), 0) FROM {table})" for table, column in _BODIES]
    patch(store_down_module, "_BODY_BYTES", f"SELECT {' + '.join(sums)}")


@fault
def count_commands_only(patch):
    """Waiting commands are limited by how many they are, whatever room they take."""
    patch(shelf_module, "COMMAND_BYTES_MAX", 1 << 40)


@fault
def share_without_walls(patch):
    """Releases may take what is there for commands, and so on."""
    patch(store_down_module, "BODY_BYTES_MAX", store_down_module.DOWN_BYTES_MAX + (1 << 20))


@fault
def take_a_later_command(patch):
    """A command that still fits is taken, though a lower one of its device was refused."""
    true_sort_in = Shelf._sort_in

    def sort_in(self, raws, devices):
        waiting = true_sort_in(self, raws, devices)
        for raw in raws:
            fields = parse_command(raw).fields
            if fields.number >= max(waiting[fields.device], default=0) and len(raw) < _SMALL_COMMAND_BYTES:
                waiting[fields.device][fields.number] = raw
        return waiting

    patch(Shelf, "_sort_in", sort_in)


@fault
def keep_what_was_withdrawn(patch):
    """A body that arrives is put on the shelf, whatever the office said meanwhile."""

    async def put(self, lacking, raw):
        await self._put(lacking, raw)

    patch(Shelf, "put", put)


@fault
def keep_for_devices_that_left(patch):
    """What was meant for a device stays though the device has no link here any more."""
    true_replace = Shelf.replace

    async def replace(self, releases, commands, *, gone):
        await true_replace(self, releases, commands)

    patch(Shelf, "replace", replace)


@fault
def trust_the_disk(patch):
    """A part is handed out as it lies on the disk, without a look at its digest: neither when the store is opened nor by the shelf."""
    true_sha256 = hashlib.sha256

    class Blind:
        @staticmethod
        def sha256(body):
            return _Any(true_sha256(body).digest())

    patch(shelf_module, "hashlib", Blind)
    patch(store_check, "check_store", lambda connection: [])


class _Any:
    def __init__(self, digest):
        self._digest = digest

    def digest(self):
        return _EqualToAll(self._digest)


class _EqualToAll(bytes):
    __hash__ = bytes.__hash__

    def __eq__(self, other):
        return True


@fault
def ask_again_at_once(patch):
    """How long the office asks to be left alone is not heard for releases."""
    true_wait = Backoff.next_wait_s
    patch(Backoff, "next_wait_s", lambda self, asked_s=None: true_wait(self))


@fault
def read_to_the_end(patch):
    """A body is read for as long as the office sends it."""

    async def read(response, bytes_max):
        return await response.aread()

    patch(uplink_module, "_read", read)


@fault
def wait_for_every_byte(patch):
    """Only the wait for the next byte has an end, not the wait for the whole body."""

    async def get(self, path, bytes_max):
        async with self._client.stream("GET", path) as response:
            return await uplink_module._read(response, bytes_max)

    patch(Office, "get", get)


@fault
def take_any_database(patch):
    """Whatever SQLite opens is a store, or a damaged one."""
    patch(store_identity, "is_stranger", lambda connection: False)


@fault
def finish_what_others_began(patch):
    """A file that is to take a database's place takes it, whosever it is."""
    patch(store_repair, "refuse_strangers_file", lambda path: None)


@fault
def repair_for_a_mistake(patch):
    """A schema step that fails is taken for damage of the store."""
    patch(store_repair, "_is_damage", lambda connection, error: is_of_the_file(error))


@fault
def give_numbers_of_a_retired_context(patch):
    """A context that a repair retired gets more sequence numbers, from wherever its damaged row stands."""
    patch(store_sessions, "RETIRED", "never")


@fault
def keep_sessions_over_a_repair(patch):
    """Which contexts are retired is read at the start only."""
    true_take = Sessions._take_retired

    def take(self):
        if not hasattr(self, "_reopened"):
            true_take(self)
        self._reopened = self._store.reopened

    patch(Sessions, "_take_retired", take)


@fault
def try_ids_from_the_very_first(patch):
    """Ids are tried one by one from 0 on, wherever those of the store begin."""

    def lacking(target, table, key, named, probes_max):
        ids = [0, *named]
        return range(min(ids), min(max(ids) + 1, min(ids) + probes_max))

    patch(store_repair, "lacking", lacking)


@fault
def keep_an_id_that_is_none(patch):
    """A row whose id a damaged schema reads as nothing is put back without one, or not at all."""
    patch(store_repair, "_row_id", lambda value: 0 if value is None else value)


@fault
def overlook_columns(patch):
    """A column that the gateway reads, and no row is checked by, may be missing."""
    steps = tuple(
        (name, tuple(check for check in checks if check.__name__ not in ("_columns", "_down_columns")))
        for name, checks in store_check._CHECKS
    )
    patch(store_check, "_CHECKS", steps)


@fault
def name_an_agent_before_its_files(patch):
    """A release is named to its device although files of its agent are on their way."""
    patch(
        shelf_module,
        "named_bodies",
        lambda release, held: [one for one in named_bodies(release, held) if len(one.at) == 1],
    )


@fault
def believe_an_agents_files(patch):
    """A file is kept as it came."""
    patch(shelf_module, "check_file", lambda index, at, body: None)


@fault
def wait_for_receipts_when_full(patch):
    """A full store keeps the bytes of what the office has stored until the receipt, which a gap may keep from coming."""
    patch(store_answer, "give_up_told", lambda connection: 0)


@fault
def give_up_what_nobody_has(patch):
    """A full store gives up bytes that the office has not told of."""
    patch(
        store_answer,
        "give_up_told",
        lambda connection: (
            connection.execute("UPDATE segments SET raw = NULL WHERE raw IS NOT NULL").rowcount
        ),
    )


@fault
def stay_out_of_step(patch):
    """After a frame that noise spoiled, the next delimiter is taken for an end where it is a beginning, until the line is silent."""

    class Reader(slipmux.FrameReader):
        def _finish(self):
            before = self.dropped
            frame = super()._finish()
            if self.dropped > before:
                self._raw = bytearray(b"\xa9")
            return frame

    patch(line_quality, "FrameReader", Reader)


@fault
def deliver_unchecked_frames(patch):
    """The check of a frame is not looked at."""
    patch(slipmux, "_register", lambda content: slipmux._GOOD)


@fault
def read_until_silent(patch):
    """A line is read until there is nothing left on it."""
    true_hear = SerialLine._read

    def read(self):
        empty = 0
        while self._fd is not None and empty < _SILENT_LOOKS:
            before = self.quality.received_bytes
            true_hear(self)
            while self._arrived:
                self._feed(self.name, self._arrived.popleft())
            empty = empty + 1 if self.quality.received_bytes == before else 0
            # Whoever pours is a thread of its own, and slower than this.
            time.sleep(_LOOK_S if empty else 0)

    patch(SerialLine, "_read", read)


@fault
def write_until_taken(patch):
    """Whoever writes to a line waits until it has taken everything."""

    def write(self):
        while self._waiting:
            try:
                del self._waiting[: os.write(self._fd, self._waiting)]
            except BlockingIOError:
                time.sleep(0.001)

    patch(SerialLine, "_write", write)


@fault
def open_a_port_once(patch):
    """A port that went away is not looked for again."""
    true_use = SerialLine._use

    async def use(self, handle):
        await true_use(self, handle)
        await asyncio.sleep(3600)

    patch(SerialLine, "_use", use)


@fault
def keep_half_a_frame(patch):
    """What came before a port was unplugged is the beginning of what comes after."""
    patch(line_quality.LineQuality, "begin", lambda self: setattr(self, "state", line_quality.SILENT))


@fault
def never_judge_a_line(patch):
    """Bytes that are no frames are counted, and nobody is told."""
    patch(line_quality.LineQuality, "_judge", lambda self, piece: None)


@fault
def mistake_text_for_an_end(patch):
    """Text on the line is taken for part of the next frame."""
    true_feed = slipmux.FrameReader.feed

    def feed(self, piece):
        # As a reader does that knows one delimiter a frame: at its end.
        return true_feed(self, piece.replace(b"\xc0\xa9", b"\xa9"))

    patch(slipmux.FrameReader, "feed", feed)
