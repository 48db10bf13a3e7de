"""Which links a gateway is told: those of its own site's devices, no revoked one, and only what changed."""

import contextlib
import sqlite3

import pytest

from office_ingest.govern.links import Links, take_links
from office_ingest.receive.keystore import Keystore
from protocol.limits import uplink_links_max
from protocol.uplink import UplinkAnswer, encode_uplink_answer, links_mark, parse_uplink_answer

SITE, OTHER = "site-1", "site-2"
LARGE = 5000


def link(n, turn=0):
    """Return (device, kid, secret) of the n-th device; turn: of its secret."""
    return bytes(7) + bytes([n]), bytes([n, turn]), bytes(14) + bytes([n, turn])


class Told:
    """An office with three devices at one site and one at another, and what its gateways hold of links."""

    def __init__(self, desk):
        self.desk = desk
        desk.registry.add_gateway("gw-other", name="gw-other", site=OTHER, token="x" * 16, now_ms=1)
        for n, site in ((1, SITE), (2, SITE), (3, SITE), (4, OTHER)):
            desk.registry.add_device(link(n)[0], name=f"device {n}", site=site, now_ms=1)
            desk.keystore.add_link(*link(n), n)
        self.held = {}
        self.start()

    def add_many(self, count):
        """Add so many devices to the site, with their links; return those in order."""
        made = [
            (at.to_bytes(8, "big"), at.to_bytes(3, "big"), at.to_bytes(16, "big"))
            for at in range(1000, 1000 + count)
        ]
        with self.desk.store.transaction():
            for device, _, _ in made:
                self.desk.store.put_device(device, device.hex(), SITE, 1)
        with self.desk.keystore.writing():
            # Not one durable transaction each.
            sql = "INSERT INTO links VALUES (?, ?, ?, 1)"
            self.desk.keystore._connection.executemany(sql, made)
        return made

    def start(self):
        """Begin with nothing in memory, as after a restart."""
        self.links = Links(self.desk.store, self.desk.keystore)

    def ask(self, gateway="gw-1"):
        """Let a gateway ask, carry out what it is told as SPEC.md says, and return that as it crosses the uplink, None if nothing."""
        held = self.held.get(gateway, {})
        said = self.links.for_gateway(gateway, links_mark(_flat(held)).hex() if gateway in self.held else "")
        if said is None:
            return None
        mark, base, entries, gone = parse_uplink_answer(encode_uplink_answer(UplinkAnswer(links=said))).links
        held = {} if base is None else {d: kept for d, kept in held.items() if d not in gone}
        for device in {entry[0] for entry in entries}:
            held[device] = [entry for entry in entries if entry[0] == device]
        assert mark == links_mark(_flat(held))
        self.held[gateway] = held
        return base, entries, gone

    def has(self, gateway="gw-1"):
        """Return the entries that a gateway holds, in order."""
        return sorted(_flat(self.held[gateway]))


def _flat(held):
    return [entry for entries in held.values() for entry in entries]


@pytest.fixture
def told(desk):
    """That office."""
    return Told(desk)


@pytest.mark.proves("S38")
def test_a_gateway_gets_the_links_of_its_own_site(told):
    """A gateway that holds nothing gets all of its site's, and none of another's."""
    told.ask()
    told.ask("gw-other")

    assert ([link(1), link(2), link(3)], [link(4)]) == (told.has(), told.has("gw-other"))
    assert told.links.for_gateway("nobody", "") is None


def test_only_differences_travel(told):
    """Nothing while nothing changed; then what changed alone; after a restart of the office still nothing that is held already."""
    told.ask()
    again = told.ask()
    told.desk.registry.add_device(link(5)[0], name="device 5", site=SITE, now_ms=1)
    told.desk.keystore.add_link(*link(5), 5)
    base, entries, gone = told.ask()
    told.start()

    assert (None, [link(5)], []) == (again, entries, gone)
    assert base is not None
    assert told.ask() is None


def test_an_office_that_starts_anew_names_the_whole_set_once(told):
    """It does not know what a gateway with an unknown mark holds, and says all of it."""
    told.ask()
    told.start()
    told.desk.registry.move_device(link(2)[0], OTHER)

    assert (None, [link(1), link(3)], []) == told.ask()


@pytest.mark.proves("S38")
def test_a_revoked_device_is_gone_with_the_next_answer(told):
    """It is named as gone, and never given to anybody again."""
    told.ask()
    with told.desk.store.transaction():
        told.desk.store.revoke_device(link(2)[0], "a", "stolen", 1)
    _, entries, gone = told.ask() or (None, [], [])

    assert ([], [link(2)[0]], [link(1), link(3)]) == (entries, gone, told.has())
    told.held.clear()
    told.ask()
    assert [link(1), link(3)] == told.has()


@pytest.mark.proves("S38")
def test_a_device_that_moved_is_its_new_sites_alone(told):
    """With their next answers the old site's gateway loses it and the new one's has it."""
    told.ask()
    told.ask("gw-other")
    told.desk.registry.move_device(link(2)[0], OTHER)
    told.ask()
    told.ask("gw-other")

    assert ([link(1), link(3)], [link(2), link(4)]) == (told.has(), told.has("gw-other"))


def test_two_secrets_of_a_device_are_told_until_the_old_one_is_dropped(told):
    """While a secret is replaced both count; a third, or a kid of another device, is refused."""
    told.ask()
    told.desk.keystore.add_link(*link(1, 1), 9)
    told.ask()
    both = told.has()
    with pytest.raises(ValueError, match="has its links already"):
        told.desk.keystore.add_link(*link(1, 2), 10)
    with pytest.raises(ValueError, match="another one has this kid"):
        told.desk.keystore.add_link(link(2)[0], link(1)[1], bytes(16), 10)
    dropped = told.desk.keystore.drop_link(*link(1)[:2])
    told.ask()

    assert ([link(1), link(1, 1), link(2), link(3)], True) == (both, dropped)
    assert [link(1, 1), link(2), link(3)] == told.has()
    assert not told.desk.keystore.drop_link(*link(1)[:2])


def test_a_device_whose_secret_only_the_gateway_knows_is_named_alone(told):
    """It stays served by the gateway's links.toml, until somebody brings that to the office."""
    told.desk.registry.add_device(link(6)[0], name="device 6", site=SITE, now_ms=1)
    told.ask()

    assert (link(6)[0],) in told.has()


def test_links_of_another_process_count_at_once(told):
    """What a command writes into the keystore is in the next answer."""
    told.ask()
    told.desk.registry.add_device(link(7)[0], name="device 7", site=SITE, now_ms=1)
    other = Keystore.open(told.desk.folder / "keystore.db")
    other.add_link(*link(7), 7)
    other.close()
    told.ask()

    assert link(7) in told.has()


@pytest.mark.parametrize("mark", ["", "zz", "00" * 7, "00" * 9, "00" * 8])
def test_whatever_is_no_known_mark_stands_for_nothing(told, mark):
    """All of it is told."""
    _, base, entries, _ = told.links.for_gateway("gw-1", mark)

    assert (None, [link(1), link(2), link(3)]) == (base, entries)


def test_links_of_an_older_gateways_file_are_taken_once(told, tmp_path):
    """Of devices that the office knows and has no link of; all others, and what is held, stay as they are."""
    told.desk.registry.add_device(link(6)[0], name="device 6", site=SITE, now_ms=1)
    file = tmp_path / "links.toml"
    file.write_text(
        "".join(
            f'[[device]]\nid = "{device.hex()}"\nkid = "{kid.hex()}"\nsecret = "{secret.hex()}"\n'
            for device, kid, secret in (link(6), link(1, 9), link(8))
        )
    )
    first = take_links(told.desk.store, told.desk.keystore, file, 9)
    again = take_links(told.desk.store, told.desk.keystore, file, 9)
    told.ask()

    assert ([link(6)[0]], [link(1)[0], link(8)[0]]) == first
    assert [] == again[0]
    assert [link(1), link(2), link(3), link(6)] == told.has()


def test_a_keystore_of_before_takes_links_up(desk):
    """Read only it has none; opened to write it has room for them, and an older program can still open it."""
    path = desk.folder / "keystore.db"
    desk.keystore.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE links")
        connection.commit()
    reader = Keystore.open(path, read_only=True)
    none = reader.links()
    reader.close()
    desk.keystore = Keystore.open(path)
    desk.keystore.add_link(*link(1), 1)

    assert ([], [link(1)]) == (none, desk.keystore.links())
    desk.keystore.forget(link(1)[0])
    assert [] == desk.keystore.links()


def check_large_site_in_steps(told):
    """Tell a gateway the links of more devices than an answer has room for, a change of one, and that all are gone."""
    many = told.add_many(LARGE)
    whole = sorted([link(1), link(2), link(3), *many])
    first, second = told.ask(), told.ask()
    assert (None, uplink_links_max) == (first[0], len(first[1]))
    assert whole == told.has()
    assert (len(whole) - uplink_links_max, None) == (len(second[1]), told.ask())
    told.start()
    with told.desk.store.transaction():
        told.desk.store.revoke_device(many[0][0], "a", "stolen", 1)
    # It does not know what the gateway holds: both steps again, and then no more than what changes.
    assert [None, len(whole) - 1 - uplink_links_max] == [told.ask()[0], len(told.ask()[1])]
    with told.desk.store.transaction():
        told.desk.store.revoke_device(many[-1][0], "a", "stolen", 1)
    _, entries, gone = told.ask()
    assert ([], [many[-1][0]], None) == (entries, gone, told.ask())
    with told.desk.store.transaction():
        for device, _, _ in many:
            told.desk.store.put_device(device, device.hex(), OTHER, 1)
    assert [uplink_links_max, LARGE - 2 - uplink_links_max] == [len(told.ask()[2]), len(told.ask()[2])]
    assert ([link(1), link(2), link(3)], None) == (told.has(), told.ask())


def test_a_site_of_five_thousand_devices_is_told_in_steps(told):
    """Whatever is told fits an answer, and each step leads to the whole."""
    check_large_site_in_steps(told)
