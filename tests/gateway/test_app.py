"""The whole gateway: devices over UDP, office over HTTPS, its own process where it is killed."""

from tests.gateway.site import custody_of, segment, until


def test_segment_travels_to_the_office_and_its_receipt_back(site):
    """What a device sends is in custody at once, reaches the office unchanged, and the office's receipt reaches the device."""

    async def body(running):
        device = running.device()
        raw = segment(0)
        answer = await device.send(raw)

        assert custody_of(answer) == 1
        await until(
            lambda: running.gateway.health.counts["released"] == 1, "the receipt releases the segment"
        )
        assert running.office.arrivals == [raw]
        answer = await device.beat(routine=(0, 0, b"x" * 32))
        assert answer.receipts == running.office.receipts(device.device)

    site(body)
