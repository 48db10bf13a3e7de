"""What of a journal may be gone from its flash, and what may not: asked of image after image of one device.

A segment that was ever whole on flash is there with the same bytes, or somebody can still say what became of it: the office's
receipt covers it, or a tombstone that lies on flash now does. A tombstone is a segment like any other. Once the office has it and
gave its receipt, it may go too, and with it the last trace on flash of what it covered.
"""

from protocol.keys import LANE_NAMES
from tools.flashimage import FlashImage, LaneImage


class Kept:
    """Remembers every segment that was whole in an image. All images are of one device in one epoch.

    receipted: (lane, epoch) -> highest number that a receipt was ever given for, kept by who gives them (ModelGateway.receipted).
    """

    def __init__(self, receipted: dict[tuple[int, int], int]):
        self._receipted = receipted
        self._digests: dict[tuple[int, int], dict[int, bytes]] = {}

    def look(self, image: FlashImage) -> None:
        """Take one more image. Raises AssertionError with what is gone, changed, or of an epoch that should not be."""
        epochs = sorted({lane.epoch for lane in image.lanes} | {epoch for _lane, epoch in self._digests})
        assert len(epochs) <= 1, f"an epoch was begun: there are {epochs}"
        now = {(lane.lane, lane.epoch): lane for lane in image.lanes}
        for place in self._digests | now:
            self._look_at_lane(place, now.get(place))

    def _look_at_lane(self, place: tuple[int, int], lane: LaneImage | None) -> None:
        name = LANE_NAMES[place[0]]
        seen = self._digests.setdefault(place, {})
        segments = lane.segments if lane is not None else []
        for segment in segments:
            number = segment.header.number
            earlier = seen.setdefault(number, segment.digest)
            assert earlier == segment.digest, f"{name} segment {number} has other bytes than before"
        gone = seen.keys() - {segment.header.number for segment in segments}
        gone -= set(range(self._receipted.get(place, -1) + 1))
        for segment in lane.tombstones if lane is not None else []:
            if segment.tombstone is not None:
                gone -= set(range(segment.tombstone.first, segment.tombstone.last + 1))
        assert not gone, (
            f"{name} segments {sorted(gone)} are gone: no receipt and no tombstone on flash covers them"
        )
