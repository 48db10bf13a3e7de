"""Another link by a command, on both runtimes: its golden vectors, and the turns that a device takes between its links."""

from agent.flash import RamFlash
from agent.keystore import Keystore
from agent.relinker import Relinker
from protocol.command import DONE, RELINK
from protocol.keys import relinked
from tests.both.vector_files import check_commands, check_events, check_refused_commands, read_vectors


def test_relink_command_gives_the_golden_bytes_and_reads_them_back():
    """Random halves of eight bytes go through whole, on the device's integers too."""
    check_commands(read_vectors("relink")["accept"])


def test_relink_command_of_another_form_is_refused():
    """Each item, broken alone, has its reject code."""
    check_refused_commands(read_vectors("relink")["reject"])


def test_relink_event_gives_the_golden_bytes_and_reads_them_back():
    """What was asked for stands in the event as it was asked."""
    check_events(read_vectors("relink")["events"])


def test_link_that_a_relink_gives_is_that_of_the_second_implementation():
    """Sender ID and secret hang on downlink key, device, number and demand, and on nothing else."""
    for vector in read_vectors("relink")["links"]:
        found = relinked(vector["downlink"], vector["device"], vector["number"], vector["demand"])
        assert list(found) == [vector["kid"], vector["secret"]], vector["name"]


class _Owner:
    """An agent that can take another link. now: real milliseconds; told: how often another link came into use."""

    def __init__(self):
        self.now = 0
        self.told = 0

    def real_ms(self):
        return self.now

    def note_verdict(self):
        return 0

    def relinked(self):
        self.told += 1

    def point(self, name):
        pass


def _keystore(flash):
    keystore = Keystore(flash, 0)
    keystore.open()
    return keystore


def test_links_lie_in_the_key_sector_and_turns_are_taken_between_them():
    """The next one three times, the one of before three times, until an answer decides; a restart knows what was decided."""
    flash = RamFlash(2)
    Keystore(flash, 0).provision(
        (bytes([1]) * 32, bytes([2]) * 32), (bytes([3]) * 32, bytes([4]) * 32), bytes([5]) * 32
    )
    settings, demand, owner = (b"\x01", bytes(16)), [RELINK, 1, 2], _Owner()
    following = relinked(bytes([5]) * 32, b"device-1", 7, demand)
    relinker = Relinker(b"device-1", settings, _keystore(flash), owner)
    assert relinker.judge() == DONE
    relinker.intend(7, demand)
    assert relinker.link() == settings
    relinker.begin()
    asked = []
    for _ in range(9):
        asked.append(relinker.link())
        relinker.failed()
    assert asked == [following] * 3 + [settings] * 3 + [following] * 3
    again = Relinker(b"device-1", settings, _keystore(flash), owner)
    again.resume(7)
    assert again.link() == following
    again.answered()
    assert (again.number(), owner.told) == (7, 1)
    last = Relinker(b"device-1", settings, _keystore(flash), owner)
    last.resume(7)
    assert (last.link(), last.number(), last.is_given()) == (following, 7, True)


def test_next_link_of_a_command_without_an_event_is_dropped():
    """It counts once the command was taken."""
    flash = RamFlash(2)
    Keystore(flash, 0).provision(
        (bytes([1]) * 32, bytes([2]) * 32), (bytes([3]) * 32, bytes([4]) * 32), bytes([5]) * 32
    )
    settings = (b"\x01", bytes(16))
    Relinker(b"device-1", settings, _keystore(flash), _Owner()).intend(7, [RELINK, 1, 2])
    relinker = Relinker(b"device-1", settings, _keystore(flash), _Owner())
    relinker.resume(6)

    assert (relinker.link(), relinker.is_given()) == (settings, False)
