"""Modbus RTU: registers of instruments that were there before, over a serial line on which this device asks and they answer.

Source: MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.4 (read coils, discrete inputs, holding and input
registers) and 7 (exception responses); MODBUS over Serial Line V1.02, section 2.5.1 (RTU: framing, silent interval, CRC).
Checked against a model of an instrument on a pair of UARTs in memory, not against silicon.

Worked examples: CRC(02 07) is sent as 41 12 (Serial Line, appendix). Section 6.3's example reads registers 108..110, which are 107..109 on the line: 03 006B 0003,
answered 03 06 022B 0000 0064, so U16 points give 555, 0, 100. Addressed to instrument 17, the request is 11 03 00 6B 00 03 76 87.

RTU names neither the request in an answer nor the register: an answer that comes late would pass for that of the next request. So after
a silence the line is listened to once more for as long, and whatever comes is dropped.
"""

from agent.sensors import SensorFault
from agent.sensors.checksum import crc16_modbus
from agent.sensors.driver import CHECKSUM, IDENTITY, NO_ANSWER, Driver
from protocol._const import const

COILS = const(1)
DISCRETE_INPUTS = const(2)
HOLDING = const(3)
INPUTS = const(4)

# How a point's registers make one integer. The word order of 32 bits is the instrument's choice: the specification has none.
U16 = const(0)
S16 = const(1)
U32 = const(2)
S32 = const(3)
U32_LOW_FIRST = const(4)
S32_LOW_FIRST = const(5)
BIT = const(6)

# As settings name them: COILS is the first of TABLES, U16 of KINDS.
TABLES = ("coils", "discrete_inputs", "holding", "inputs")
KINDS = ("u16", "s16", "u32", "s32", "u32_low_first", "s32_low_first", "bit")

_REGISTER_MAX = const(0xFFFF)
# 0 is a broadcast, which nobody answers; from 248 on addresses are reserved.
_ADDRESS_MAX = const(247)
_EXCEPTION = const(0x80)
_BUSY = const(6)
# Address, function, count or code, and two bytes of CRC: nothing shorter is an answer.
_ANSWER_BYTES_MIN = const(5)
# 1.75 ms above 19,200 baud, whatever the baud: section 2.5.1.1.
_SILENCE_US_MIN = const(1750)
_CHARACTER_BITS = const(11)
_POLL_MS = const(1)
# The longest frame has 256 bytes; what goes on for longer than some of them is no answer to anybody.
_FRAME_BYTES_MAX = const(256)
_DROPS_MAX = const(64)

MALFORMED = "malformed"
LINE_BUSY = "line busy"


class Refused(SensorFault):
    """The instrument answered with an exception. Its cause is "exception " and the code of section 7."""

    def __init__(self, code: int):
        super().__init__("exception {}".format(code))
        self.code = code


class Point:
    """One value of an instrument. table: COILS..INPUTS; register: 0.. as sent on the line (a manual's 40001 is HOLDING 0).

    kind: U16..S32_LOW_FIRST, or BIT for the first two tables. Raises ValueError if table and kind do not go together,
    or for a register that no request can name: MicroPython would cut it to one that exists.
    """

    def __init__(self, table: int, register: int, kind: int = U16):
        if table not in (COILS, DISCRETE_INPUTS, HOLDING, INPUTS) or (kind == BIT) != (
            table <= DISCRETE_INPUTS
        ):
            raise ValueError("coils and discrete inputs are BIT, registers are not")
        count = 2 if U32 <= kind <= S32_LOW_FIRST else 1
        if not 0 <= register <= _REGISTER_MAX + 1 - count:
            raise ValueError("registers are 0..65535 on the line; a manual's 40001 is 0")
        self.table = table
        self.register = register
        self.kind = kind
        self.count = count

    def value(self, data: bytes) -> int:
        """Return the integer that an answer's data holds."""
        if self.kind == BIT:
            return data[0] & 1
        if self.kind in (U32_LOW_FIRST, S32_LOW_FIRST):
            data = data[2:] + data[:2]
        number = int.from_bytes(data, "big")
        half = 1 << 8 * len(data) - 1
        return number - 2 * half if self.kind in (S16, S32, S32_LOW_FIRST) and number >= half else number


def silence_ms(baud: int) -> int:
    """Return the pause before each frame, 3.5 characters of 11 bits, in whole milliseconds upwards."""
    silence_us = _SILENCE_US_MIN if baud > 19200 else (35 * _CHARACTER_BITS * 100000 + baud - 1) // baud
    return (silence_us + 999) // 1000


class ModbusLine:
    """The line: one request at a time, silence before it, and its answer, checked. Shared by the instruments on it.

    uart: a machine.UART with timeout=0. wait_ms(n): returns after so long. answer_ms: until an
    answer must be whole, its own time on the line included.
    drive(is_sending): turns an RS-485 driver on and off, if the board does not do it. tries: 1 and more, not after an exception other
    than 6, busy. A request may take up to tries * 2 * answer_ms; an instrument that is silent is asked once a read, not once a point.
    """

    def __init__(self, uart, baud: int, wait_ms, answer_ms: int = 200, tries: int = 2, drive=None):
        self._uart = uart
        self._wait_ms = wait_ms
        self._silence_ms = silence_ms(baud)
        self._answer_ms = answer_ms
        self._tries = tries
        self._drive = drive
        # Sent again: faults that a later try made good stay visible here, for a line that gets worse.
        self.retries = 0

    def ask(self, address: int, point: Point) -> bytes:
        """Return the data of one answer. Raises SensorFault with what was wrong with the last try."""
        for left in range(self._tries - 1, -1, -1):
            try:
                return self._ask_once(address, point)
            except SensorFault as fault:
                if not left or (isinstance(fault, Refused) and fault.code != _BUSY):
                    raise
                self.retries += 1
        raise SensorFault(NO_ANSWER)

    def _ask_once(self, address: int, point: Point) -> bytes:
        request = (
            bytes([address, point.table]) + point.register.to_bytes(2, "big") + point.count.to_bytes(2, "big")
        )
        data_bytes = 1 if point.kind == BIT else 2 * point.count
        self._send(request)
        return _check(self._listen(data_bytes + _ANSWER_BYTES_MIN), address, point.table, data_bytes)

    def _send(self, request: bytes) -> None:
        self._await_silence()
        if self._drive:
            self._drive(True)
        self._uart.write(request + crc16_modbus(request).to_bytes(2, "little"))
        # Until the last bit is out: the driver must not be turned off before, and the answer's time begins here.
        self._uart.flush()
        if self._drive:
            self._drive(False)

    def _listen(self, expected: int) -> bytes:
        answer = b""
        for _ in range(0, self._answer_ms + 1, _POLL_MS):
            answer += self._uart.read(expected - len(answer)) or b""
            is_refused = len(answer) >= _ANSWER_BYTES_MIN and answer[1] & _EXCEPTION
            if is_refused or len(answer) == expected:
                return answer
            self._wait_ms(_POLL_MS)
        self._wait_ms(self._answer_ms)
        if answer:
            raise SensorFault(MALFORMED)
        raise SensorFault(NO_ANSWER)

    def _await_silence(self) -> None:
        # Bounded: a line on which somebody never stops talking must not hold the device.
        for _ in range(_DROPS_MAX):
            self._wait_ms(self._silence_ms)
            if not self._uart.read(_FRAME_BYTES_MAX):
                return
        raise SensorFault(LINE_BUSY)


def _check(answer: bytes, address: int, table: int, data_bytes: int) -> bytes:
    if crc16_modbus(answer[:-2]) != answer[-2] | answer[-1] << 8:
        raise SensorFault(CHECKSUM)
    if answer[0] != address:
        raise SensorFault(IDENTITY)
    if answer[1] == table | _EXCEPTION:
        raise Refused(answer[2])
    if answer[1] != table or answer[2] != data_bytes:
        raise SensorFault(MALFORMED)
    return answer[3:-2]


class ModbusInstrument(Driver):
    """Channels: one a listed Point, in the instrument's own unit and scale. line: ModbusLine; address: 1..247, or ValueError.

    A point that is refused is None for itself; once the instrument does not answer, so are all that follow in this read.
    """

    def __init__(self, line: ModbusLine, address: int, points: list):
        super().__init__(len(points), 0)
        if not 1 <= address <= _ADDRESS_MAX:
            raise ValueError("an instrument's address is 1..247")
        self._line = line
        self._address = address
        self._points = points

    def _fetch(self) -> list:
        values = []
        for point in self._points:
            try:
                values.append(point.value(self._line.ask(self._address, point)))
            except SensorFault as fault:
                self.count(fault.args[0])
                values.append(None)
                if fault.args[0] == NO_ANSWER:
                    break
        return values + [None] * (self.channels - len(values))
