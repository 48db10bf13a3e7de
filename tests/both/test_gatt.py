"""What a device advertises, and how long the pieces of a frame may be."""

from protocol.gatt import DOWN, SERVICE, UP, advertisement, mtu_min, piece_bytes, piece_bytes_max


def test_advertisement_is_flags_and_the_service_and_nothing_else():
    # 21 bytes: a legacy advertisement has 31.
    said = advertisement()

    assert b"\x02\x01\x06" == said[:3]
    assert b"\x11\x07" == said[3:5]
    assert SERVICE.replace("-", "") == "".join(["%02x" % byte for byte in reversed(said[5:])])
    assert 21 == len(said)


def test_service_and_characteristics_differ_in_their_last_digits_alone():
    assert {SERVICE[:-4]} == {DOWN[:-4], UP[:-4]}
    assert ["0001", "0002", "0003"] == [uuid[-4:] for uuid in (SERVICE, DOWN, UP)]


def test_piece_fits_every_mtu_that_there_is():
    assert 20 == piece_bytes(mtu_min) == piece_bytes(0)
    assert 244 == piece_bytes(247)
    assert piece_bytes_max == piece_bytes(512) == piece_bytes(517)
