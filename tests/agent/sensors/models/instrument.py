"""A model, not silicon: a Modbus RTU instrument behind a pair of UARTs in memory, after MODBUS V1.1b3 and Serial Line V1.02.

Answers come a while after the request's last bit, and byte after byte at the line's speed; bytes that come while nobody is silent
for 3.5 characters belong to one frame.
"""


def frame(body):
    """Return body with its CRC, which is computed from the polynomial and not as the driver does."""
    register = 0xFFFF
    for byte in body:
        for place in range(8):
            out = (register ^ byte >> place) & 1
            register >>= 1
            if out:
                # x^15 and x^2 in the reflected register, and the bit that enters on the left.
                register ^= 0xA001
    return bytes(body) + bytes([register & 0xFF, register >> 8])


class ModelUart:
    """The device's end of the line, with the methods of machine.UART(timeout=0)."""

    def __init__(self, clock, instruments, baud=9600):
        self._clock = clock
        self._instruments = instruments
        self._byte_us = 11 * 1000000 // baud
        self._incoming = []
        self._last_us = None
        self._request = b""
        self.requests = []
        self.violations = []
        self.is_driven = None

    def drive(self, is_sending):
        self.is_driven = is_sending

    def put(self, data, delay_ms=0):
        """Let bytes arrive, the first after delay_ms."""
        at = self._clock.now_us + 1000 * delay_ms
        for byte in data:
            at += self._byte_us
            self._incoming.append((at, byte))

    def write(self, data):
        if self.is_driven is False:
            self.violations.append("the driver is off")
        quiet_us = self._clock.now_us - (self._last_us if self._last_us is not None else -1000000)
        if quiet_us < min(35 * self._byte_us // 10, 1750 if self._byte_us < 572 else 1 << 30):
            self.violations.append("no silence before the frame")
        self._request = bytes(data)

    def flush(self):
        self._clock.now_us += len(self._request) * self._byte_us
        self._last_us = self._clock.now_us
        request, self._request = self._request, b""
        self.requests.append(request)
        for instrument in self._instruments:
            answer = instrument.answer(request)
            if answer is not None:
                self.put(answer, instrument.delay_ms)

    def read(self, count):
        ready = [byte for at, byte in self._incoming if at <= self._clock.now_us][:count]
        if not ready:
            return None
        self._last_us = self._incoming[len(ready) - 1][0]
        self._incoming = self._incoming[len(ready) :]
        return bytes(ready)


class ModelInstrument:
    """tables: function -> {number: value}, bits for 1 and 2, 16-bit words for 3 and 4."""

    def __init__(self, address, tables, delay_ms=20):
        self.address = address
        self.tables = tables
        self.delay_ms = delay_ms
        self.change = None
        self.busy = 0
        self.is_off = False

    def answer(self, request):
        if self.is_off or request != frame(request[:-2]) or request[0] != self.address:
            return None
        answer = frame(self._body(request[1], request[2] << 8 | request[3], request[4] << 8 | request[5]))
        return answer if self.change is None else self.change(answer)

    def _body(self, function, first, count):
        if self.busy:
            self.busy -= 1
            return bytes([self.address, function | 0x80, 6])
        if function not in self.tables:
            return bytes([self.address, function | 0x80, 1])
        table = self.tables[function]
        numbers = range(first, first + count)
        if [number for number in numbers if number not in table]:
            return bytes([self.address, function | 0x80, 2])
        values = [table[number] for number in numbers]
        data = _packed(values) if function <= 2 else b"".join([value.to_bytes(2, "big") for value in values])
        return bytes([self.address, function, len(data)]) + data


def _packed(bits):
    data = bytearray((len(bits) + 7) // 8)
    for i in range(len(bits)):
        data[i // 8] |= bits[i] << i % 8
    return bytes(data)
