"""Each fault planted in protocol/ is caught by the test that promises to catch it."""

import pytest

from tests.both import test_fuzz_protocol as fuzz
from tests.both import test_vectors_protocol as vectors
from tests.planted import protocol as planted

CATCHERS = [
    (planted.fixed_iv, vectors.test_segments_seal_to_the_golden_bytes),
    (planted.random_iv, vectors.test_segments_seal_to_the_golden_bytes),
    (planted.iv_without_header, vectors.test_segments_seal_to_the_golden_bytes),
    (planted.skip_tag_check, vectors.test_seals_refuse_wrong_keys_and_changed_tags),
    (planted.skip_tag_check, fuzz.test_every_flipped_bit_of_a_segment_is_refused),
    (planted.skip_message_tag_check, vectors.test_message_seals_refuse_wrong_keys_and_other_purposes),
    (planted.skip_iv_check, vectors.test_bodies_refuse_wrong_keys_and_chosen_ivs),
    (planted.tag_truncated_compare, vectors.test_seals_refuse_wrong_keys_and_changed_tags),
    (planted.accept_longer_heads, vectors.test_cbor_refuses_every_golden_bad_item),
    (planted.accept_unsorted_map_keys, vectors.test_cbor_refuses_every_golden_bad_item),
    (planted.accept_bytes_after_the_end, vectors.test_segments_refuse_every_golden_bad_segment),
    (planted.wrong_generation_divisor, vectors.test_keys_are_those_of_the_schedule),
    (planted.chain_stands_still, vectors.test_keys_are_those_of_the_schedule),
    (planted.signed_zigzag_off_by_one, vectors.test_columns_give_the_golden_bytes_and_read_them_back),
    (planted.signed_zigzag_off_by_one, fuzz.test_random_columns_come_back_exactly),
    (planted.outlier_place_off_by_one, vectors.test_columns_are_read_in_every_way_they_can_be_said),
    (planted.skip_sequence_in_chain, vectors.test_chains_hold_only_where_each_segment_follows),
]


@pytest.mark.canary
@pytest.mark.parametrize(("plant", "catcher"), CATCHERS, ids=lambda f: f.__name__)
def test_planted_fault_is_caught(plant, catcher, monkeypatch):
    """The named test passes on the code as it is and fails once the fault is in."""
    catcher()
    plant(monkeypatch)

    with pytest.raises(AssertionError):
        catcher()
