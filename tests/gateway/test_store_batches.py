"""Segments that share a transaction go into the store as each would by itself, whatever comes beside them."""

import asyncio
import random

from gateway.errors import GatewayError
from gateway.store import FORKED, ROW_BYTES_MAX, STORED
from protocol.segment import parse_segment
from tests.gateway.site import device_id, receipt, segment, tombstone
from tests.gateway.test_store import tell, waiting, with_store

_ROUNDS = 30
_DEVICES = 3
_NUMBERS = 12
_TEXTS = (b"reading", b"another", b"a third")


def _arrivals(chance):
    """Return what comes at once: (segment, options of add_segment); few places, so that many of them meet."""
    found = []
    for _ in range(chance.choice((1, 3, 20, 90))):
        device, lane = device_id(chance.randrange(1, _DEVICES + 1)), chance.randrange(2)
        number = chance.randrange(_NUMBERS)
        raw = segment(number, lane=lane, device=device, text=chance.choice(_TEXTS))
        options = {"is_wanted": chance.random() < 0.1}
        if chance.random() < 0.1:
            raw = tombstone(_NUMBERS + number, 1, 5, lane=lane, device=device)
            options = {"lost": [(1, 6)]}
        found.append((parse_segment(raw), options))
    return found


async def _add_all(store, arrivals):
    """Add them in one transaction; return what each was, or the name of what was raised."""
    before = store.commits.batches
    found = await asyncio.gather(
        *(store.add_segment(one, **options) for one, options in arrivals), return_exceptions=True
    )
    assert store.commits.batches == before + 1
    assert all(isinstance(one, str | GatewayError) for one in found), found
    return [one if isinstance(one, str) else type(one).__name__ for one in found]


async def _rows(store):
    """Return all that the store says of segments, devices, forks and losses."""

    def read(connection):
        return [
            sorted(connection.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
            for table, columns in (
                ("segments", "device, lane, epoch, number, digest, raw, outcome, times"),
                ("devices", "device"),
                ("forks", "device, lane, epoch, number, digest"),
                ("lost", "*"),
            )
        ]

    return await store.read(read)


async def _live(store, seed):
    """Let the same history happen to a store: arrivals, and an office that takes and receipts what waits."""
    chance = random.Random(seed)
    said = []
    for _ in range(_ROUNDS):
        said.append(await _add_all(store, _arrivals(chance)))
        if chance.random() < 0.3:
            number, device = chance.randrange(_NUMBERS), device_id(chance.randrange(1, _DEVICES + 1))
            raw = segment(number, device=device)
            await tell(store, 0, [receipt(number, raw, device=device)])
        said.append(await _rows(store))
    return said, {key: lane.held.pairs for key, lane in store.lanes.items()}


def test_together_is_as_one_by_one(tmp_path):
    """Every segment is the same thing, and the store holds the same, whether what came at once was put in together or not."""
    for seed in range(4):

        async def alone(store, seed=seed):
            store._take_new = lambda _connection, _operations: {}
            return await _live(store, seed)

        together = with_store(tmp_path / f"together-{seed}", lambda store, seed=seed: _live(store, seed))

        assert together == with_store(tmp_path / f"alone-{seed}", alone)
        assert {STORED, FORKED, "duplicate"} <= {kind for kinds in together[0][::2] for kind in kinds}


def check_fork_within_one_transaction(folder):
    async def body(store):
        pair = [(parse_segment(segment(0, text=text)), {}) for text in _TEXTS[:2]]
        kinds = await _add_all(store, [*pair, (parse_segment(segment(1)), {}), pair[0]])

        assert kinds == [STORED, FORKED, STORED, "duplicate"]
        assert set(await waiting(store)) == {segment(0, text=text) for text in _TEXTS[:2]} | {segment(1)}

    with_store(folder, body)


def test_fork_within_one_transaction_is_kept(tmp_path):
    """Two digests of one number that come at once are both kept and both forwarded, and the same one twice is one."""
    check_fork_within_one_transaction(tmp_path)


def check_room_is_looked_at(folder):
    async def body(store):
        came = [(parse_segment(segment(number, size=200)), {}) for number in range(400)]
        kinds = await _add_all(store, came)

        stored = kinds.count(STORED)
        assert 0 < stored < len(came)
        assert kinds == [STORED] * stored + ["StoreFull"] * (len(came) - stored)
        assert stored * ROW_BYTES_MAX <= 300_000

    with_store(folder, body, bytes_max=300_000)


def test_room_is_looked_at_for_each_of_many(tmp_path):
    """What comes at once and does not fit is refused from the first on that does not; what fits is stored."""
    check_room_is_looked_at(tmp_path)
