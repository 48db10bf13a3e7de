"""The office gives a device another link: both are served until it is heard to use the other one, and none ends that it may need.

The device is the real agent over flash in memory; what it sealed is brought to the real office.
"""

import pytest

from office_ingest.errors import KeyUnknown, StoreUnavailable
from office_ingest.govern.commands import CommandRefused, command_as_json
from office_ingest.govern.links import Links
from office_ingest.govern.rekey import give_rekey
from office_ingest.govern.relink import GIVEN, IN_FORCE, REFUSED, TAKEN, give_relink, relink_status
from office_ingest.receive.relinks import Relinks, demand_of
from office_ingest.storage.downward import Downward
from protocol.command import DONE, REPORT, UNKNOWN
from protocol.keys import relinked
from tests.agent.desk import DEVICE, DOWNLINK, KID, SECRET
from tests.office_ingest.test_rekey import DAY_MS, Pair


class LinkedPair(Pair):
    """A device and its office, which tells the gateway between its links."""

    def __init__(self, folder):
        super().__init__(folder)
        self.office.keystore.add_link(DEVICE, KID, SECRET, 1)
        self.links = Links(self.office.store, self.office.keystore)
        self.relinks = Relinks(self.office.keystore)

    def relink(self, uncertified=(), lasts_ms=30 * DAY_MS):
        """Give another link, and let the gateway hear of command and link."""
        given = give_relink(
            self.office.store,
            self.office.keystore,
            DEVICE,
            list(uncertified),
            author="test",
            now_ms=self.now_ms(),
            lasts_ms=lasts_ms,
        )
        self.hand_down()
        self.serve()
        return given

    def told(self):
        """Return sender ID -> secret of what the office tells gateways of the device."""
        return {entry[1]: entry[2] for entry in self.links.for_gateway("gw-1", "")[2]}

    def serve(self):
        """Let the gateway serve what it is told."""
        self.gateway.links = self.told()

    def status(self):
        status = relink_status(self.office.store, DEVICE)
        return None if status is None else status["state"]


@pytest.fixture
def pair(tmp_path):
    """A device that ran for a while and is known."""
    made = LinkedPair(tmp_path)
    made.device.run(2)
    made.bring()
    yield made
    made.office.close()


def test_both_links_are_told_until_the_other_one_was_heard(pair):
    """Given: two; taken and said: the next one alone, with nothing lost and nothing refused on the way."""
    given = pair.relink()
    kid, secret = relinked(DOWNLINK, DEVICE, given.number, given.demand)
    assert pair.told() == {KID: SECRET, kid: secret}
    assert pair.status() == GIVEN
    pair.device.run(3)
    pair.bring()
    pair.serve()
    pair.device.run(2)
    pair.bring()

    assert pair.told() == {kid: secret}
    assert pair.gateway.kids == [KID, kid]
    assert pair.status() == IN_FORCE
    assert pair.wrong() == ([], [], [])
    assert pair.relinks.pending(DEVICE) is None


def test_answer_alone_ends_no_link(pair):
    """It says that it took it; as long as no heartbeat names it, it may ask over either."""
    pair.relink()
    pair.device.run(3)
    pair.bring(beats=False)

    assert pair.status() == TAKEN
    assert len(pair.told()) == 2
    pair.bring([])
    assert pair.status() == IN_FORCE
    assert len(pair.told()) == 1


def test_heartbeat_of_another_relink_ends_no_link(pair):
    """Only the number that was given counts."""
    given = pair.relink()
    pair.relinks.heard(DEVICE, {21: given.number + 1})
    pair.relinks.heard(DEVICE, {})

    assert len(pair.told()) == 2


def test_relink_that_a_device_refused_leaves_the_link_of_before(pair):
    """An agent that would forget it, or knows no such demand, answers so; the next link is told nobody any more."""
    given = pair.relink()
    pair.office.ingest._relinks.answered(DEVICE, given.number, [*given.demand[:2], 0], UNKNOWN)
    assert len(pair.told()) == 2
    pair.office.ingest._relinks.answered(DEVICE, given.number, given.demand, UNKNOWN)

    assert pair.told() == {KID: SECRET}


def test_refusal_that_arrives_is_shown_and_another_may_be_given(pair):
    """Verdict 4 of the device itself; the office gives the next one then, and it is taken."""
    can = "agent.host.Host.note_verdict"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(can, lambda self: UNKNOWN)
        pair.relink()
        pair.device.run(2)
        pair.bring()
    assert (pair.status(), pair.told()) == (REFUSED, {KID: SECRET})
    second = pair.relink()
    pair.device.run(3)
    pair.bring()

    assert pair.status() == IN_FORCE
    assert list(pair.told()) == [relinked(DOWNLINK, DEVICE, second.number, second.demand)[0]]


def test_relink_is_given_again_and_again(pair):
    """Three times in a row, each under the link that the one before gave."""
    for number in (1, 2, 3):
        pair.relink()
        pair.device.run(3)
        pair.bring()
        pair.serve()
        assert (pair.status(), len(pair.told())) == (IN_FORCE, 1)
        assert [row.verdict for row in Downward(pair.office.store).commands(DEVICE)] == [DONE] * number

    assert len(pair.gateway.kids) == 4
    assert pair.wrong() == ([], [], [])


def test_second_relink_waits_for_the_first(pair):
    """While it waits, and while it was taken and not heard of: a third link would push out one that the device may use."""
    pair.relink()
    with pytest.raises(CommandRefused, match="command 1 to take another link waits"):
        pair.relink()
    pair.device.run(3)
    pair.bring(beats=False)
    with pytest.raises(CommandRefused, match="it took command 1"):
        pair.relink()
    pair.bring([])
    assert pair.relink().number == 2


def test_relink_whose_time_is_over_may_have_been_taken(pair):
    """Its link stays until an answer to a later command says that it was not."""
    pair.relink(lasts_ms=1)
    pair.device.clock.now += 10
    with pytest.raises(CommandRefused, match="once its time is over, an answer to a later command"):
        pair.relink()
    assert len(pair.told()) == 2
    pair.gateway.commands.clear()
    given = pair.command([REPORT])
    pair.gateway.commands = {given.number: given.raw}
    pair.device.run(2)
    pair.bring()
    pair.relink()

    assert len(pair.told()) == 2
    pair.device.run(3)
    pair.bring()
    assert (pair.status(), len(pair.told())) == (IN_FORCE, 1)


def test_answer_behind_a_hole_says_nothing_of_an_earlier_relink(pair):
    """The event of the relink may be in what is missing."""
    pair.relink(lasts_ms=1)
    pair.device.clock.now += 10
    with pair.office.store.transaction():
        pair.office.store.put("commands", DEVICE, 2, b"x", "[2]", "test", 1, 2, DONE, "null", 9, 9)
        pair.office.store.put("gaps", DEVICE, 0, 0, "open", 90, 91, 0, pair.now_ms())

    with pytest.raises(CommandRefused, match="an answer to a later command"):
        pair.relink()


def test_rekey_and_relink_wait_for_each_other(pair):
    """A link follows from the downlink key of the moment; the other one comes when the first is settled."""
    pair.relink()
    with pytest.raises(CommandRefused, match="command 1 to take another link is not settled"):
        pair.rekey()
    pair.device.run(3)
    pair.bring()
    pair.rekey()
    with pytest.raises(CommandRefused, match="command 2 to take other keys is not settled"):
        pair.relink()
    pair.device.run(3)
    pair.bring()
    third = pair.relink()
    pair.device.run(3)
    pair.bring()
    downlink = pair.office.keystore.downlink(DEVICE)

    assert pair.status() == IN_FORCE
    assert list(pair.told()) == [relinked(downlink, DEVICE, 3, third.demand)[0]]


def test_site_with_a_gateway_that_is_told_no_links_gets_none(pair):
    """It serves by a token and a file: it would serve the device no more. It is named, and nothing was given."""
    with pytest.raises(
        CommandRefused, match="only to gateways with a certificate, and gw-1 of its site has none"
    ):
        pair.relink(uncertified=["gw-1"])

    assert pair.told() == {KID: SECRET}
    assert Downward(pair.office.store).commands(DEVICE) == []


def test_device_whose_link_the_office_does_not_know_gets_none(pair):
    """Nor one without keys, nor one that is revoked; nothing is kept then."""
    pair.office.keystore.drop_link(DEVICE, KID)
    with pytest.raises(CommandRefused, match="outstation office device links FILE"):
        pair.relink()
    pair.office.keystore.add_link(DEVICE, KID, SECRET, 1)
    pair.office.store.revoke_device(DEVICE, "a", "r", 1)
    with pytest.raises(CommandRefused, match="revoked"):
        pair.relink()
    with pytest.raises(KeyUnknown):
        give_relink(
            pair.office.store, pair.office.keystore, bytes(8), [], author="test", now_ms=1, lasts_ms=1
        )

    assert pair.relinks.pending(DEVICE) is None
    assert pair.relinks.links(DEVICE) == [KID]


def test_link_that_was_kept_and_never_given_is_given_the_next_time(pair):
    """A giver that ended between keystore and database leaves a link without a command: the same one is given then."""
    random = bytes(range(16))
    pair.relinks.add(DEVICE, 1, random, 5)
    given = pair.relink()

    assert (given.number, given.demand) == (1, demand_of(random))
    pair.device.run(3)
    pair.bring()
    assert pair.status() == IN_FORCE


def test_link_whose_command_the_database_forgot_stays_until_the_device_speaks(pair):
    """A database of before it was put back: the device may use either; its heartbeat says which."""
    given = pair.relink()
    pair.device.run(3)
    pair.office.store.connection.execute("DELETE FROM commands")
    with pair.office.store.transaction():
        pair.office.store.put("commands", DEVICE, 1, b"x", "[2]", "test", 1, 2, None, None, None, None)
    with pytest.raises(CommandRefused, match="a link of command 1 is kept that is no such command here"):
        pair.relink()
    assert len(pair.told()) == 2
    pair.bring([])

    assert list(pair.told()) == [relinked(DOWNLINK, DEVICE, 1, given.demand)[0]]


def check_number_given_again(pair):
    """The relink is settled, and then a database of before it is put back: its number is not given to another one."""
    given = pair.relink()
    pair.device.run(3)
    pair.bring()
    told = pair.told()
    assert pair.status() == IN_FORCE
    pair.office.store.connection.execute("DELETE FROM commands")
    with pytest.raises(CommandRefused, match=f"would give number {given.number} again"):
        pair.relink()
    pair.relinks.heard(DEVICE, {21: given.number})

    assert pair.told() == told


def test_number_of_a_settled_relink_is_never_given_again(pair):
    """The device goes on saying that its link is of that command: of another one the office would end the link that it uses."""
    check_number_given_again(pair)


def test_relink_that_cannot_be_kept_leaves_nothing(pair, monkeypatch):
    """The database does not let us: no command, and no link that nobody was given."""

    def full(*_):
        raise StoreUnavailable("no room")

    monkeypatch.setattr(Downward, "add_command", full)
    with pytest.raises(StoreUnavailable):
        pair.relink()

    assert pair.told() == {KID: SECRET}
    assert pair.relinks.pending(DEVICE) is None


def test_sender_id_of_another_device_is_not_given(pair, monkeypatch):
    """Gateways find a link by its sender ID: another one is drawn."""
    drawn = [bytes(16), bytes(16), bytes(range(16))]
    kid, _ = relinked(DOWNLINK, DEVICE, 1, demand_of(bytes(16)))
    pair.office.keystore.add_link(bytes(8), kid, SECRET, 1)
    monkeypatch.setattr("office_ingest.govern.relink.secrets.token_bytes", lambda _: drawn.pop(0))

    assert pair.relink().demand == demand_of(bytes(range(16)))


def test_what_is_random_in_a_relink_is_shown_to_nobody(pair):
    """Who only reads learns that a link was given."""
    shown = command_as_json(pair.relink(), pair.now_ms())

    assert shown["demand"] == [6]
    assert shown["words"] == "take another link"


def test_rekey_that_never_arrived_is_no_obstacle_for_ever(pair):
    """Once its time is over and a later command was answered, it is settled that it was not taken."""
    given = give_rekey(
        pair.office.store, pair.office.keystore, DEVICE, author="test", now_ms=pair.now_ms(), lasts_ms=1
    )
    pair.device.clock.now += 10
    with pytest.raises(CommandRefused, match=f"command {given.number} to take other keys"):
        pair.relink()
    later = pair.command([REPORT])
    pair.gateway.commands = {later.number: later.raw}
    pair.device.run(2)
    pair.bring()

    assert pair.relink().number == later.number + 1
