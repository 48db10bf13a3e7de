"""Parts of the way down give the same on both runtimes: slots, fetch, trial, the cell's longest page, commands."""

from hashlib import sha256

from agent.cell import OWED_MAX, Cell
from agent.commander import Commander
from agent.fetch import Fetch, NotThere
from agent.flash import RamFlash, Window
from agent.layout import SLOT_SECTORS, SLOTS_SECTORS, window_sectors
from agent.pages import encode_page
from agent.patience import Patience
from agent.slots import Slots, has_slots, part_places
from agent.starter import failed_max
from agent.trial import Trial, TrialSettings
from protocol.adoption import DEADLINE, FAULT, GUARDED
from protocol.blockwise import decode_block, encode_block
from protocol.coap import BLOCK2, CONTENT, ETAG, NOT_FOUND, option
from protocol.command import DONE, OUT_OF_RANGE, Command, seal_command
from protocol.errors import MALFORMED, PART, TOO_LARGE, ProtocolError
from protocol.keys import downlink_key
from protocol.limits import block_bytes, uint32_max
from protocol.shape import is_int, is_natural, is_uint, is_within, list_of, or_null, row_of, upto

RELEASE = bytes([7]) * 5000
BODIES = [b"a" * 4096, b"b" * 700, b"c" * 9000]
PARTS = [(0, sha256(BODIES[0]).digest(), 4096), (1, sha256(BODIES[1]).digest(), 700)]
PARTS.append((1, sha256(BODIES[2]).digest(), 9000))


class _Response:
    def __init__(self, code, options, payload):
        self.code = code
        self.options = options
        self.payload = payload


def _answer(request, body, number=None):
    path, options = request
    asked, _, size = decode_block(option(options, BLOCK2))
    number = asked if number is None else number
    block = body[number * size : (number + 1) * size]
    is_more = (number + 1) * size < len(body)
    tags = [(ETAG, sha256(body).digest()[:8]), (BLOCK2, encode_block(number, is_more, size))]
    return _Response(CONTENT, tags, block)


def _nothing(_digest):
    return None


def _fetch_all(fetch, blocks=10_000):
    """Serve a fetch for so many blocks; return how many it took."""
    for count in range(blocks):
        request = fetch.next_request()
        if request is None and fetch.bodies() is None and fetch.release() is not None:
            fetch.want_parts(PARTS)
            request = fetch.next_request()
        if request is None:
            return count
        words = request[0].split("/")
        fetch.take(_answer(request, RELEASE if len(words) == 2 else BODIES[int(words[2])]))
    return blocks


def test_release_and_parts_come_whole_through_blocks():
    """What was served is what the slot holds, each block asked for once."""
    slots = Slots(RamFlash(window_sectors(4)))
    fetch = Fetch(slots, 1, 9, _nothing)

    assert _fetch_all(fetch) == 10 + 8 + 2 + 18
    assert fetch.release() == RELEASE
    assert fetch.bodies() == BODIES
    held = slots.held(1)
    assert (held.number, held.etag, held.size, held.digest) == (9, sha256(RELEASE).digest()[:8], 5000, None)
    assert slots.held(0) is None


def test_fetch_goes_on_at_a_whole_sector_wherever_it_was_cut():
    """After any number of blocks a new fetch ends with the same bytes, and asks for a sector more than was missing at most."""
    for cut in range(1, 38):
        flash = RamFlash(window_sectors(4))
        _fetch_all(Fetch(Slots(flash), 0, 9, _nothing), cut)
        again = Fetch(Slots(flash), 0, 9, _nothing)
        taken = _fetch_all(again)
        assert again.bodies() == BODIES and again.release() == RELEASE
        assert taken <= 38 - cut + 8 + 1 + 1, (cut, taken)


def test_parts_that_are_here_are_copied():
    """What find() gives is never asked for."""
    fetch = Fetch(
        Slots(RamFlash(window_sectors(4))), 0, 9, lambda digest: BODIES[2] if digest == PARTS[2][1] else None
    )

    assert _fetch_all(fetch) == 10 + 8 + 2
    assert fetch.bodies() == BODIES
    assert fetch.fetched == 5000 + 4096 + 700


def _code(call, *arguments):
    try:
        call(*arguments)
    except ProtocolError as error:
        return error.code
    return 0


def test_blocks_that_cannot_be_are_refused():
    """Wrong number, no tag, not there, endless, and parts beyond the slot."""
    fetch = Fetch(Slots(RamFlash(window_sectors(4))), 0, 9, _nothing)
    request = fetch.next_request()
    assert _code(fetch.take, _answer(request, RELEASE, 1)) == MALFORMED
    assert _code(fetch.take, _Response(CONTENT, [], b"x")) == MALFORMED
    try:
        fetch.take(_Response(NOT_FOUND, [], b""))
        raise AssertionError("taken")
    except NotThere:
        pass
    endless = bytes(20_000)
    while not _code(fetch.take, _answer(fetch.next_request(), endless)):
        assert fetch.fetched < 12_000
    whole = Fetch(Slots(RamFlash(window_sectors(4))), 0, 9, _nothing)
    while whole.release() is None:
        whole.take(_answer(whole.next_request(), RELEASE))
    assert _code(whole.want_parts, [(1, bytes(32), 16384)] * 4) == TOO_LARGE
    whole.want_parts(PARTS)
    assert _code(whole.take, _answer(whole.next_request(), BODIES[1])) == PART


def test_slots_lie_behind_the_ring_and_their_pages_are_erased_first():
    """Nothing of a slot reaches the ring, and a slot that is begun anew says nothing of what it held."""
    flash = RamFlash(window_sectors(4))
    ring = Window(flash, flash.sectors - SLOTS_SECTORS)
    slots = Slots(flash)
    assert not has_slots(flash)
    slots.begin(0, 3, b"etag-etc")
    slots.write_release(0, 0, RELEASE[:block_bytes])
    slots.note_whole(0, 500)
    slots.note_staged(0, 3, bytes(32))
    assert has_slots(flash)
    assert (slots.held(0).number, slots.held(0).size, slots.held(0).digest) == (3, 500, bytes(32))
    assert ring.read(0, ring.sectors * 4096) == b"\xff" * (ring.sectors * 4096)
    for offset in (ring.sectors * 4096 - 100, ring.sectors * 4096):
        try:
            ring.read(offset, 200)
            raise AssertionError("read beyond the ring")
        except ValueError:
            pass
    slots.begin(0, 4, b"another.")
    assert (slots.held(0).number, slots.held(0).size, slots.held(0).digest) == (4, None, None)
    assert flash.read((flash.sectors - 2 * SLOT_SECTORS + 1) * 4096, 4096) == b"\xff" * 4096


def test_parts_begin_at_whole_blocks():
    """And end where the next begins."""
    assert part_places([1, 512, 513]) == [0, 512, 1024, 2048]


def test_longest_cell_fits_its_page():
    """Every number at its longest, two heads of an old epoch, three events owed."""
    head = [uint32_max, bytes(32), 1 << 40]
    owed = [[4, uint32_max, uint32_max]] * OWED_MAX
    release = [-1, 1, 3, uint32_max]
    fields = [uint32_max] * 4 + [1 << 40, bytes(8), uint32_max, uint32_max, 1 << 40]
    fields += [[3, uint32_max, head, head], True, [uint32_max] * 3, release, uint32_max, owed, failed_max]
    page = encode_page(b"outstation cell v1", [uint32_max] + fields)

    assert len(page) == 256
    cell = Cell(RamFlash(2))
    assert len(fields) == len(
        [name for name in dir(cell) if name[0] != "_" and not callable(getattr(cell, name))]
    )


def test_cell_never_owes_more_than_fits_its_page():
    """One step more than can be owed at once is a mistake of ours, found where it is made."""
    cell = Cell(RamFlash(2))
    cell.store(owed=[[4, 1, 1]] * OWED_MAX)
    caught = False
    try:
        cell.store(owed=[[4, 1, 1]] * (OWED_MAX + 1))
    except AssertionError:
        caught = True
    assert caught and len(cell.owed) == OWED_MAX


def test_cell_of_before_there_were_slots_still_loads():
    """Fields that an older agent did not know begin at their start."""
    flash = RamFlash(2)
    flash.program(0, encode_page(b"outstation cell v1", [1, 5, 0, 0, 0, 64, None, 3, 2, 0, None, True, None]))
    cell = Cell(flash)
    cell.load()

    assert (cell.boot, cell.command_floor, cell.version_floor) == (5, 3, 2)
    assert (cell.release, cell.rejected, cell.owed) == ([-1, -1, 0, 0], 0, [])


def _decision(*verdicts):
    return (1, 2, 0, [], [], 0, 0, [], [], [[1, 0, verdict, None] for verdict in verdicts])


def test_trial_ends_for_its_reasons_only():
    """A fault, three refused acts and no more let pass, its time with a gateway; gap and shadow are no one's fault."""
    settings = TrialSettings(2, 100, 1000)
    assert Trial(settings, b"d", 0).note_sample(True, []) == FAULT
    greedy = Trial(settings, b"d", 0)
    assert [greedy.note_sample(False, [_decision(1)]) for _ in range(3)] == [None, None, GUARDED]
    fair = Trial(settings, b"d", 0)
    assert [fair.note_sample(False, [_decision(1, 0, 0)]) for _ in range(5)] == [None] * 5
    early = Trial(settings, b"d", 0)
    assert [early.note_sample(False, [_decision(2), _decision(7)]) for _ in range(5)] == [None] * 5
    assert early.pass_time(5000, False, (1, 1)) is None
    assert early.pass_time(5999, True, (1, 1)) is None
    assert early.pass_time(6000, True, (1, 1)) == DEADLINE
    early.note_heard(b"other")
    assert not early.is_proved(6000)
    early.note_heard(b"d")
    assert early.is_proved(6000)


class _Owner:
    """What a commander needs of an agent: a clock that stands still, one setting, and a list of what happened."""

    def __init__(self):
        self.did = []
        self.has_room = True

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        answers = {"wall": (5, 9), "real_ms": 0, "has_sampled": True, "command_tick": 3, "setting": 77}
        answers.update({"append_command": 40, "seal_steps": self.has_room, "ask": [1, 2, 0, None]})

        def record(*arguments):
            self.did.append((name,) + arguments)
            return answers.get(name)

        return record


def test_command_is_an_event_then_a_floor_then_an_effect():
    """The order of what happens, and what is refused, are the same on both."""
    owner = _Owner()
    cell = Cell(RamFlash(2))
    commander = Commander(b"device-1", bytes(32), cell, cell.store, owner, _Owner(), _Owner(), _Owner())
    commander.resume(4, {})
    commander.hint(6, True)
    assert commander.next_request() == ("c/5", [])
    raw = seal_command(Command(b"device-1", 5, 6, [1, 2, 5000]), downlink_key(bytes(32), "command"))
    commander.take(_Response(CONTENT, [], raw), 1)
    names = [entry[0] for entry in owner.did if entry[0] not in ("point", "real_ms", "wall")]
    assert names[-4:] == ["setting", "append_command", "seal_steps", "change"]
    assert ("append_command", 3, (5, [1, 2, 5000], DONE, 77)) in owner.did
    assert (cell.command_floor, commander.settings) == (5, {2: 5000})
    commander.take(_Response(CONTENT, [], raw), 1)
    assert commander.refused == 1
    assert commander.next_request() is None
    commander.hint(6, True)
    raw = seal_command(Command(b"device-1", 6, 6, [1, 2, 1]), downlink_key(bytes(32), "command"))
    commander.take(_Response(CONTENT, [], raw), 1)
    assert ("append_command", 3, (6, [1, 2, 1], OUT_OF_RANGE, None)) in owner.did
    assert cell.command_floor == 6


def test_command_without_room_for_its_event_moves_no_gate():
    """It is not asked for, and one that comes all the same stays untaken; with room it is carried out."""
    owner = _Owner()
    cell = Cell(RamFlash(2))
    commander = Commander(b"device-1", bytes(32), cell, cell.store, owner, _Owner(), _Owner(), _Owner())
    commander.hint(1, True)
    owner.has_room = False
    assert commander.next_request() is None
    raw = seal_command(Command(b"device-1", 1, 6, [0, 1, 1]), downlink_key(bytes(32), "command"))
    commander.take(_Response(CONTENT, [], raw), 1)
    assert (commander.taken, commander.refused, cell.command_floor) == (0, 0, 0)
    assert not [entry for entry in owner.did if entry[0] in ("ask", "append_command", "carry_out")]
    owner.has_room = True
    assert commander.next_request() == ("c/1", [])
    commander.take(_Response(CONTENT, [], raw), 1)
    assert ("carry_out", 40, 1, 1) in owner.did
    assert cell.command_floor == 1


def test_waits_double_up_to_an_hour_and_end_with_a_confirmed_release():
    """What was rolled back rests as long, and a refusal is news once."""
    patience = Patience(5000)
    waits = []
    for _ in range(12):
        patience.lose(7)
        waits.append(max([step for step in range(0, 3600000, 2500) if patience.is_waiting(7 + step)]) + 2500)
    assert waits[:4] == [5000, 10000, 20000, 40000]
    assert waits[-2:] == [3600000, 3600000]
    patience.give_up(3)
    assert patience.has_given_up(3) and not patience.has_given_up(4)
    assert patience.refuse(5) and not patience.refuse(5)
    patience.restore()
    assert not patience.is_waiting(0) and not patience.has_given_up(3) and not patience.refuse(5)


def test_trial_has_the_time_that_its_proof_takes():
    """Nine samples for eight, two heartbeats, the shortest time: whatever is longest."""
    for least_ms, pace, limit in (
        (0, (1000, 1), 9000),
        (0, (1, 4000), 8000),
        (7000, (1, 1), 7000),
        (0, (1, 1), 50),
    ):
        trial = Trial(TrialSettings(8, least_ms, 50), b"d", 0)
        assert trial.pass_time(limit - 1, True, pace) is None
        assert trial.pass_time(limit, True, pace) == DEADLINE


def test_staged_release_is_found_whole_and_a_damaged_one_is_not():
    """Nothing is erased or asked for but the first block; with a part damaged the last sector is fetched again."""
    flash = RamFlash(window_sectors(4))
    slots = Slots(flash)
    _fetch_all(Fetch(slots, 0, 9, _nothing))
    slots.note_staged(0, 9, bytes(32))
    done = flash.operations
    again = Fetch(slots, 0, 9, _nothing)
    assert (_fetch_all(again), again.is_staged, flash.operations) == (1, True, done)
    at = flash.image.index(BODIES[2][:100])
    flash.image[at] = 0
    mended = Fetch(slots, 0, 9, _nothing)
    _fetch_all(mended, 1)
    mended.next_request()
    mended.want_parts(PARTS)
    assert not mended.is_staged


def test_true_is_no_number():
    """Python says that it is 1; no bound of ours does, and the ends of a bound belong to it."""
    for value in (True, False, None, "1", 1.0):
        assert not is_int(value) and not is_uint(value)
        assert not is_within(value, 0, 1) and not is_natural(value, 1)
    assert [value for value in range(-3, 4) if is_within(value, -2, 2)] == [-2, -1, 0, 1, 2]
    assert [value for value in range(-3, 4) if is_natural(value, 2)] == [0, 1, 2]
    assert is_natural(1 << 62) and not is_natural((1 << 62) + 1)
    assert is_uint(0) and not is_uint(-1)
    assert upto(2)(2) and not upto(2)(True) and not upto(2, 1)(0)
    row = list_of(row_of(is_uint, or_null(is_int)))
    assert row([[1, None], [0, -1]]) and not row([[1]]) and not row([[True, None]]) and not row(None)
