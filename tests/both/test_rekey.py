"""Other keys by a command, on both runtimes: its golden vectors."""

from protocol.keys import rekey_root, rekeyed
from tests.both.vector_files import check_commands, check_events, check_refused_commands, read_vectors


def test_rekey_command_gives_the_golden_bytes_and_reads_them_back():
    """Random halves of eight bytes go through whole, on the device's integers too."""
    check_commands(read_vectors("rekey")["accept"])


def test_rekey_command_of_another_form_is_refused():
    """Each item, broken alone, has its reject code."""
    check_refused_commands(read_vectors("rekey")["reject"])


def test_rekey_event_gives_the_golden_bytes_and_reads_them_back():
    """What was asked for stands in the event as it was asked."""
    check_events(read_vectors("rekey")["events"])


def test_keys_that_a_rekey_begins_are_those_of_the_second_implementation():
    """Root and keys hang on downlink key, device, number and demand, and on nothing else."""
    for vector in read_vectors("rekey")["keys"]:
        root = rekey_root(vector["downlink"], vector["device"], vector["number"], vector["demand"])
        assert root == vector["root"], vector["name"]
        assert list(rekeyed(root)) == vector["keys"], vector["name"]
