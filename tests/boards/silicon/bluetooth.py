"""MicroPython's module bluetooth as its documentation has it, of a radio that nobody hears."""


class UUID:
    def __init__(self, text):
        assert len(text) == 36, text
        self.text = text


class BLE:
    def __init__(self):
        self._is_active = False

    def active(self, is_on):
        self._is_active = is_on

    def config(self, **settings):
        assert self._is_active
        for name in settings:
            if name not in ("mtu", "addr_mode", "gap_name", "rxbuf"):
                raise ValueError("unknown config param")

    def irq(self, handler):
        self._handler = handler

    def gatts_register_services(self, services):
        assert self._is_active
        handle = 0
        told = []
        for uuid, characteristics in services:
            assert isinstance(uuid, UUID)
            told.append(tuple(range(handle, handle + len(characteristics))))
            handle += len(characteristics)
        return tuple(told)

    def gatts_set_buffer(self, handle, size, append=False):
        assert append and size > 0

    def gap_advertise(self, interval_us, adv_data=None):
        print("fake: advertises", len(adv_data), "bytes every", interval_us, "us")
