"""Levels and counts of inputs on both runtimes: their golden vectors, which came after those of the first kinds."""

from protocol import event
from protocol.bins import bin_of, decode_bins, encode_bins
from tests.both.vector_files import bytes_of, code_of, read_vectors


def test_levels_and_inputs_give_the_golden_bytes_and_read_them_back():
    """Both kinds of rows, also with a resource and measures that nobody knows yet."""
    for vector in read_vectors("levels")["accept"]:
        listed = [(order, tick, kind, tuple(fields)) for order, tick, kind, fields in vector["events"]]
        assert event.encode_events(vector["boot"], listed) == bytes_of(vector), vector["name"]
        assert event.decode_events(bytes_of(vector), len(listed)) == (vector["boot"], listed), vector["name"]


def test_levels_and_inputs_refuse_every_golden_bad_plaintext():
    """Each field, broken alone, has its reject code."""
    for vector in read_vectors("levels")["reject"]:
        code = code_of(event.decode_events, bytes_of(vector), vector["count"])
        assert code == vector["code"], vector["name"]


def test_counts_give_the_golden_bytes_and_read_them_back():
    """Sixteen counts, one byte each where they are small."""
    for vector in read_vectors("levels")["counts"]:
        assert encode_bins(vector["counts"]) == bytes_of(vector), vector["name"]
        assert decode_bins(bytes_of(vector)) == vector["counts"], vector["name"]
    for vector in read_vectors("levels")["counts_reject"]:
        assert code_of(decode_bins, bytes_of(vector)) == vector["code"], vector["name"]


def test_a_reading_is_counted_where_the_edges_say():
    """Also at both ends of a range, and where a range has fewer values than there are counts."""
    for vector in read_vectors("levels")["places"]:
        assert bin_of(*vector["arguments"]) == vector["bin"], vector["name"]
