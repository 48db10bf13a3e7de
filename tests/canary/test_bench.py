"""Each fault planted in the benchmarks is caught by the test that promises to catch it."""

import pytest

from protocol.keys import ROUTINE
from tests.planted.bench import FAULTS
from tests.tools import test_bench, test_bench_device, test_bench_peers, test_demo_command, test_page_bench
from tests.tools.bench_work import synthetic_rows

CAUGHT_BY = {
    "acknowledge_what_is_not_stored": test_bench.test_gateway_counts_what_a_store_opened_anew_holds,
    "rows_leave_events_out": lambda folder: test_bench.test_office_and_rows_hold_the_same_events(
        ROUTINE, folder
    ),
    "count_what_replay_refused": test_bench.test_replay_does_not_count_a_decision_that_the_rules_do_not_make,
    "closures_forget_the_else": lambda folder: (
        test_bench_device.test_closures_decide_as_the_translated_function_does()
    ),
    "count_what_the_agent_remembers": test_bench_device.test_agents_events_are_counted_on_its_flash,
    "peer_leaves_a_reading_out": lambda folder: test_bench_peers.test_json_holds_the_readings(
        synthetic_rows(folder)[:20]
    ),
    "acknowledgement_costs_nothing": (
        test_bench_peers.test_delivery_over_tls_counts_payload_once_and_every_acknowledgement
    ),
    "packet_length_is_short": lambda folder: test_bench_peers.test_publish_is_an_mqtt_packet(5000, None),
    "skip_the_peer_silently": lambda folder: test_bench.test_benchmark_gives_figures_of_the_promised_shape(
        "gateway", folder
    ),
    "judge_the_page_by_its_median": lambda folder: (
        test_page_bench.test_each_figure_is_a_share_of_its_budget()
    ),
    "live_ignores_what_it_has_not": test_demo_command.check_nothing_is_ignored,
}


def test_every_planted_fault_of_the_benchmarks_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_a_benchmark_is_caught(name, tmp_path, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    with pytest.raises((AssertionError, IndexError)):
        CAUGHT_BY[name](tmp_path)
