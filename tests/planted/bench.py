"""Faults of the benchmarks and the demonstration, planted into the real code. Each name says how a broken one would flatter somebody.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import sys

from gateway.store import STORED, Store
from tests.tools import test_bench_peers
from tools import page_bench
from tools.bench import link_transport, nats_peer, office_ingest_rate, replay_rate
from tools.bench.link_transport import TlsPeer
from tools.bench.micropython import closures
from tools.bench.race import Skipped
from tools.demo import command as demo
from tools.shim import install


def acknowledge_what_is_not_stored(put):
    """Give custody of every third segment without storing it: the store looks faster than it is."""
    add = Store.add_segment
    calls = []

    async def add_segment(self, segment, **options):
        calls.append(segment)
        return STORED if len(calls) % 3 == 0 else await add(self, segment, **options)

    put(Store, "add_segment", add_segment)


def rows_leave_events_out(put):
    """Let the peer's rows be fewer than the events: the peer looks faster than it is."""
    rows = office_ingest_rate.event_rows
    put(office_ingest_rate, "event_rows", lambda device, raw: rows(device, raw)[1:])


def count_what_replay_refused(put):
    """Count every decision as replayed, whatever replay said of it."""

    class Agreeing(replay_rate.StepReplay):
        def differences(self, decision):
            super().differences(decision)
            return []

    put(replay_rate, "StepReplay", Agreeing)


def closures_forget_the_else(put):
    """Let the usual way run other rules than ours."""
    make = closures._if
    put(closures, "_if", lambda condition, then, otherwise: make(condition, then, None))


def count_what_the_agent_remembers(put):
    """Count the agent's events by what it believes to have sealed, wherever they are."""
    install()
    from tools.bench.micropython.paced_agent import PacedAgent

    put(PacedAgent, "sealed_events", lambda self: sum(lane.next_sequence for lane in self._journal.lanes))


def peer_leaves_a_reading_out(put):
    """Let the peer's message carry fewer readings."""
    encode = test_bench_peers.json_rows
    put(test_bench_peers, "json_rows", lambda rows, first: encode(rows[:-1], first))


def acknowledgement_costs_nothing(put):
    """Leave the peer's acknowledgement out of its bytes."""
    put(TlsPeer, "down", lambda self, packet: 0)


def packet_length_is_short(put):
    """Write a packet's remaining length with one byte where it needs more."""
    publish = link_transport.publish

    def short(topic, payload, packet_id):
        whole = publish(topic, payload, packet_id)
        return whole[:1] + bytes([whole[1] & 0x7F]) + whole[2:]

    put(test_bench_peers, "publish", short)


def skip_the_peer_silently(put):
    """Leave the peer out and say nothing."""
    put(nats_peer, "_missing", lambda program, settings: Skipped(nats_peer.NAME, "", ""))


def judge_the_page_by_its_median(put):
    """Hold the middle time against a budget that is the 95th percentile's: the slow ones are never seen."""
    true_shares = page_bench.shares

    def shares(figures):
        answers = {name: times | {"p95": times["median"]} for name, times in figures["answer_ms"].items()}
        return true_shares(figures | {"answer_ms": answers})

    put(page_bench, "shares", shares)


def live_ignores_what_it_has_not(put):
    """Take what has no effect beside --live without a word."""
    put(sys.modules[demo.callback.__module__], "_refuse_what_live_has_not", lambda context, devices: None)


FAULTS = {
    plant.__name__: plant
    for plant in (
        acknowledge_what_is_not_stored,
        rows_leave_events_out,
        count_what_replay_refused,
        closures_forget_the_else,
        count_what_the_agent_remembers,
        peer_leaves_a_reading_out,
        acknowledgement_costs_nothing,
        packet_length_is_short,
        skip_the_peer_silently,
        judge_the_page_by_its_median,
        live_ignores_what_it_has_not,
    )
}
