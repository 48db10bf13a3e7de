"""Each planted fault of the gateway is caught by the test that guards its promise."""

import pytest

from tests.gateway import (
    test_agents,
    test_blockwise_state,
    test_collector,
    test_delivery,
    test_kill,
    test_serial,
    test_serial_ports,
    test_sessions,
    test_shelf,
    test_store,
    test_store_batches,
    test_store_repair,
    test_udp,
    test_uplink,
)
from tests.gateway.conftest import certificates, files, site
from tests.gateway.site import drip, flood
from tests.planted.gateway import FAULTS

# Fixtures of the gateway's own tests, so that the very same checks run here.
__all__ = ["certificates", "files", "site"]

# Name of the fault -> what the test says when it catches it, and the test.
CAUGHT_BY = {
    "ack_before_commit": (
        "acknowledged and gone",
        lambda name, use: test_kill.check_kill(
            use("files"), use("certificates"), "before_commit:3", fault=name
        ),
    ),
    "drop_fork": (
        "assert",
        lambda name, use: test_collector.check_both_digests_of_a_fork_reach_the_office(use("site")),
    ),
    "take_every_place_for_new": (
        "assert",
        lambda name, use: test_store_batches.check_fork_within_one_transaction(use("tmp_path")),
    ),
    "overbook_the_store": (
        "assert",
        lambda name, use: test_store_batches.check_room_is_looked_at(use("tmp_path")),
    ),
    "release_without_receipt": (
        "assert",
        lambda name, use: test_uplink.check_release_needs_a_receipt(use("tmp_path")),
    ),
    "ignore_that_it_is_wanted": (
        "assert",
        lambda name, use: test_store.test_receipted_segment_that_the_office_lost_is_taken_again(
            use("tmp_path"), 2
        ),
    ),
    "accept_unauthenticated": (
        "assert",
        lambda name, use: test_udp.check_unauthenticated_is_refused(use("site")),
    ),
    "keep_every_block": (
        "assert",
        lambda name, use: test_blockwise_state.check_open_downloads_are_bounded(use("site")),
    ),
    "put_requests_together": (
        "assert",
        lambda name, use: test_blockwise_state.check_open_uploads_hold_nothing(use("site")),
    ),
    "reuse_sender_sequence": (
        "used twice",
        lambda name, use: test_sessions.check_nonces(use("tmp_path"), name, restarts=30),
    ),
    "forget_custody_after_restart": (
        "assert",
        lambda name, use: test_collector.check_custody_survives_a_restart(use("site")),
    ),
    "watermark_over_hole": (
        "assert",
        lambda name, use: test_collector.check_custody_stops_at_a_hole(use("site")),
    ),
    "deliver_to_any_device": (
        "assert",
        lambda name, use: test_delivery.check_nobody_else_gets_it(use("site")),
    ),
    "name_before_it_is_here": (
        "assert",
        lambda name, use: test_delivery.check_named_only_when_whole(use("site")),
    ),
    "keep_any_part": (
        "assert",
        lambda name, use: test_delivery.check_lying_office(use("site"), "another part"),
    ),
    "keep_withdrawn_commands": (
        "assert",
        lambda name, use: test_delivery.check_withdrawn_command_is_gone(use("site")),
    ),
    "tag_each_block": (
        "assert",
        lambda name, use: test_delivery.check_etag_is_of_the_whole_body(use("site")),
    ),
    "crowd_out_custody": (
        "assert",
        lambda name, use: test_shelf.check_no_room_is_taken(use("tmp_path"), 16_000),
    ),
    "count_bytes_for_pages": (
        "assert",
        lambda name, use: test_shelf.check_no_room_is_taken(use("tmp_path"), 1100),
    ),
    "count_commands_only": (
        "nothing was refused",
        lambda name, use: test_shelf.check_command_share(use("tmp_path")),
    ),
    "share_without_walls": (
        "assert",
        lambda name, use: test_shelf.check_shares_are_apart(use("tmp_path"), commands_first=True),
    ),
    "take_a_later_command": (
        "overtook",
        lambda name, use: test_shelf.check_lower_command_goes_first(use("tmp_path")),
    ),
    "keep_what_was_withdrawn": (
        "it is kept",
        lambda name, use: test_shelf.check_withdrawn_on_its_way(use("tmp_path"), 0),
    ),
    "keep_for_devices_that_left": (
        "assert",
        lambda name, use: test_shelf.check_device_that_left(use("tmp_path")),
    ),
    "trust_the_disk": (
        "assert",
        lambda name, use: test_shelf.check_damaged_body(use("tmp_path")),
    ),
    "read_to_the_end": (
        "assert",
        lambda name, use: test_delivery.check_endless_body(
            use("site"), f"/v1/parts/{test_delivery.PART}", flood, "bodies_refused"
        ),
    ),
    "wait_for_every_byte": (
        "it was not asked for again",
        lambda name, use: test_delivery.check_endless_body(
            use("site"), f"/v1/parts/{test_delivery.PART}", drip, "fetch_failures"
        ),
    ),
    "ask_again_at_once": (
        "assert",
        lambda name, use: test_shelf.check_retry_after(use("tmp_path")),
    ),
    "take_any_database": (
        "touched: ['gateway.db']",
        lambda name, use: test_store_repair.check_stranger(
            use("tmp_path"), test_store_repair.office_database
        ),
    ),
    "finish_what_others_began": (
        "touched: ",
        lambda name, use: test_store_repair.check_stranger(
            use("tmp_path"), test_store_repair.half_replaced_office_database
        ),
    ),
    "give_numbers_of_a_retired_context": (
        "assert",
        lambda name, use: test_store_repair.check_no_sequence_twice(use("tmp_path")),
    ),
    "keep_sessions_over_a_repair": (
        "assert",
        lambda name, use: test_sessions.check_retired_session_ends(test_sessions.Bench(use("tmp_path"))),
    ),
    "try_ids_from_the_very_first": (
        "rows that can be read are gone",
        lambda name, use: test_store_repair.check_rows_between(use("tmp_path"), "whole"),
    ),
    "keep_an_id_that_is_none": (
        "assert",
        lambda name, use: test_store_repair.check_damaged_schema(
            use("tmp_path"), *test_store_repair.DAMAGED_TEXTS[3]
        ),
    ),
    "overlook_columns": (
        "no start repairs it",
        lambda name, use: test_store_repair.check_damaged_schema(
            use("tmp_path"), *test_store_repair.DAMAGED_TEXTS[0]
        ),
    ),
    "name_an_agent_before_its_files": (
        "assert",
        lambda name, use: test_agents.check_files_are_lacking(use("tmp_path")),
    ),
    "believe_an_agents_files": ("assert", lambda name, use: test_agents.check_other_file(use("tmp_path"))),
    "wait_for_receipts_when_full": (
        "assert",
        lambda name, use: test_store.with_store(
            use("tmp_path"), test_store.fill_behind_a_gap, bytes_max=256 * 1024
        ),
    ),
    "give_up_what_nobody_has": (
        "assert",
        lambda name, use: test_store.with_store(
            use("tmp_path"), test_store.fill_behind_a_gap, bytes_max=256 * 1024
        ),
    ),
    "repair_for_a_mistake": (
        "assert",
        lambda name, use: test_store_repair.check_mistaken_step(use("tmp_path")),
    ),
    "stay_out_of_step": ("never recovered", lambda name, use: test_serial.check_noise(use("tmp_path"))),
    "deliver_unchecked_frames": (
        "assert",
        lambda name, use: test_serial.check_bad_check_is_refused(use("tmp_path")),
    ),
    "read_until_silent": (
        "only when the flood was over",
        lambda name, use: test_serial_ports.check_flood(use("site"), use("tmp_path"), "frames"),
    ),
    "write_until_taken": (
        "waited for the one",
        lambda name, use: test_serial_ports.check_deaf_line(use("tmp_path")),
    ),
    "open_a_port_once": ("was not opened", lambda name, use: test_serial.check_hot_plug(use("tmp_path"))),
    "keep_half_a_frame": ("assert", lambda name, use: test_serial.check_hot_plug(use("tmp_path"))),
    "never_judge_a_line": ("nobody noticed", lambda name, use: test_serial.check_wrong_baud(use("tmp_path"))),
    "mistake_text_for_an_end": (
        "lost to the text",
        lambda name, use: test_serial.check_text_between(use("tmp_path")),
    ),
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught(name, request, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    says, check = CAUGHT_BY[name]
    with pytest.raises(AssertionError) as caught:
        check(name, request.getfixturevalue)
    assert says == "assert" or says in str(caught.value)
