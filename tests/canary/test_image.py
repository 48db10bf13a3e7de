"""Each fault planted in frames, serial link and flash files is caught by the test that promises to catch it."""

import inspect

import pytest

from protocol.diagnostic import DiagnosticError
from tests.agent import test_serial_link as link
from tests.both import test_slipmux as frames
from tests.planted import image as planted
from tests.tools import test_image as image
from tests.tools import test_unix_port as port

CATCHERS = [
    (planted.check_of_the_datagram_alone, frames.test_frames_are_those_of_the_specification),
    (planted.check_of_the_datagram_alone, frames.test_check_is_the_one_of_hdlc),
    (planted.check_is_not_looked_at, frames.test_every_flipped_bit_is_seen_and_the_next_frame_arrives),
    (planted.check_is_not_looked_at, link.test_spoiled_frame_is_lost_and_the_next_one_arrives),
    (planted.end_is_not_escaped, frames.test_every_datagram_comes_back_however_the_stream_is_cut),
    (planted.frame_of_any_length, frames.test_longest_datagram_passes_and_one_byte_more_is_dropped),
    (planted.frames_wait_without_end, link.test_what_nobody_asked_for_is_given_up_oldest_first),
    (planted.romfs_length_of_one_byte, image.test_romfs_reads_back_as_it_was_written),
    (planted.cut_armed_from_the_start, image.test_flash_file_holds_window_settings_and_control_page),
    (planted.seed_at_another_place, image.test_flash_file_holds_window_settings_and_control_page),
    (planted.objects_of_other_settings_are_kept, port.test_objects_of_other_settings_are_built_anew),
    (planted.package_is_all_there_is, port.test_port_that_was_built_is_taken_where_no_package_brings_one),
]


@pytest.mark.canary
@pytest.mark.parametrize(("plant", "catcher"), CATCHERS, ids=lambda f: f.__name__)
def test_planted_fault_is_caught(plant, catcher, monkeypatch, tmp_path):
    """The named test passes on the code as it is and fails once the fault is in."""
    wanted = inspect.signature(catcher).parameters

    def needs(folder):
        handed = {"tmp_path": tmp_path / folder, "monkeypatch": monkeypatch}
        return {name: item for name, item in handed.items() if name in wanted}

    (tmp_path / "as it is").mkdir()
    catcher(**needs("as it is"))
    plant(monkeypatch)
    (tmp_path / "planted").mkdir()

    with pytest.raises((AssertionError, IndexError, ValueError, DiagnosticError)):
        catcher(**needs("planted"))
