"""Another link by a command, on both runtimes: its golden vectors."""

from protocol import command, event
from protocol.keys import relinked
from tests.both.vector_files import bytes_of, code_of, read_vectors


def test_relink_command_gives_the_golden_bytes_and_reads_them_back():
    """Random halves of eight bytes go through whole, on the device's integers too."""
    for vector in read_vectors("relink")["accept"]:
        fields = command.Command(*vector["fields"])
        raw = command.seal_command(fields, vector["key"])
        assert raw == bytes_of(vector), vector["name"]
        message = command.parse_command(raw)
        message.verify(vector["key"])
        found = message.fields
        assert [found.device, found.number, found.until_ms, found.demand] == vector["fields"], vector["name"]


def test_relink_command_of_another_form_is_refused():
    """Each item, broken alone, has its reject code."""
    for vector in read_vectors("relink")["reject"]:
        assert code_of(command.parse_command, bytes_of(vector)) == vector["code"], vector["name"]


def test_relink_event_gives_the_golden_bytes_and_reads_them_back():
    """What was asked for stands in the event as it was asked."""
    for vector in read_vectors("relink")["events"]:
        listed = [(order, tick, kind, tuple(fields)) for order, tick, kind, fields in vector["events"]]
        assert event.encode_events(vector["boot"], listed) == bytes_of(vector), vector["name"]
        assert event.decode_events(bytes_of(vector), len(listed)) == (vector["boot"], listed), vector["name"]


def test_link_that_a_relink_gives_is_that_of_the_second_implementation():
    """Sender ID and secret hang on downlink key, device, number and demand, and on nothing else."""
    for vector in read_vectors("relink")["links"]:
        found = relinked(vector["downlink"], vector["device"], vector["number"], vector["demand"])
        assert list(found) == [vector["kid"], vector["secret"]], vector["name"]
