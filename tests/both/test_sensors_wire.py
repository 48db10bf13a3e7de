"""DS18B20, pulse counter and Modbus RTU against models: worked examples, and everything that can go wrong on their lines."""

from agent.sensors.checksum import crc8_maxim, crc16_modbus
from agent.sensors.driver import CHECKSUM, IDENTITY, NO_ANSWER, NO_READING, OUT_OF_RANGE
from agent.sensors.ds18b20 import Ds18b20
from agent.sensors.modbus_rtu import (
    BIT,
    COILS,
    DISCRETE_INPUTS,
    HOLDING,
    INPUTS,
    LINE_BUSY,
    MALFORMED,
    S16,
    S32,
    S32_LOW_FIRST,
    U16,
    U32,
    U32_LOW_FIRST,
    ModbusInstrument,
    ModbusLine,
    Point,
    silence_ms,
)
from agent.sensors.pulse import EDGE_BITS, OVERFLOW, EdgeCounter, PulseCounter
from tests.agent.sensors.models.i2c_bus import ModelClock
from tests.agent.sensors.models.instrument import ModelInstrument, ModelUart, frame
from tests.agent.sensors.models.one_wire import ModelDs18b20, ModelWire, make_rom

try:
    import micropython as heap
except ImportError:
    heap = None

# Table 1 of the datasheet, less +85: register and ten thousandths of a degree.
TABLE = [(0x07D0, 1250000), (0x0191, 250625), (0x00A2, 101250), (0x0008, 5000), (0x0000, 0)]
TABLE += [(0xFFF8, -5000), (0xFF5E, -101250), (0xFE6F, -250625), (0xFC90, -550000)]


class Line:
    """DS18B20s on one wire, one driver each; alone on the line, it is addressed without its ROM code."""

    def __init__(self, raws, bits=12):
        self.clock = ModelClock()
        self.parts = [ModelDs18b20(self.clock, make_rom(i + 1), raws[i]) for i in range(len(raws))]
        self.wire = ModelWire(list(self.parts))
        roms = [None] if len(raws) == 1 else [part.rom for part in self.parts]
        self.drivers = [Ds18b20(self.wire, rom, bits) for rom in roms]

    def read(self):
        """Convert on all, wait once, and return each value."""
        for driver in self.drivers:
            driver.start()
        self.clock.wait_ms(self.drivers[0].settle_ms)
        return [driver.read()[0] for driver in self.drivers]


# ---- DS18B20


def test_ds18b20_checksum_is_its_makers():
    """Application note 27: CRC(02 1C B8 01 00 00 00) = A2, and 0 with it."""
    rom = b"\x02\x1c\xb8\x01\x00\x00\x00"

    assert crc8_maxim(rom) == 0xA2
    assert crc8_maxim(rom + b"\xa2") == 0


def test_ds18b20_gives_the_datasheets_table():
    """Every row of table 1 but +85, to the last sixteenth."""
    for raw, value in TABLE:
        assert Line([raw]).read() == [value]


def test_ds18b20_leaves_out_the_bits_that_its_resolution_has_not():
    """At 9 bits three bits are undefined, at 11 one; the model fills them with disorder."""
    for bits, value in ((9, 250000), (10, 250000), (11, 250000), (12, 250625)):
        line = Line([0x0191], bits)

        assert line.read() == [value]
        assert line.parts[0].written == [bytes([125, 201, (bits - 9) << 5 | 0x1F])]


def test_ds18b20s_on_one_line_are_told_apart_by_their_codes():
    """They convert together, and each is read for itself."""
    assert Line([0x0191, 0xFF5E, 0x0008]).read() == [250625, -101250, 5000]


def test_ds18b20_power_on_value_is_no_reading():
    """A sensor that lost its supply while it converted says +85; a sixteenth beside it is a reading."""
    line = Line([0x0191])
    line.drivers[0].start()
    line.parts[0].power_cycle()
    line.clock.wait_ms(750)

    assert line.drivers[0].read() == [None]
    assert line.drivers[0].faults == {NO_READING: 1}
    assert Line([0x0551]).read() == [850625]
    assert Line([0x0550]).read() == [None]


def test_ds18b20_that_forgot_its_resolution_is_told_again():
    """After a power cycle it has its EEPROM's twelve bits, and nine would be read too early."""
    line = Line([0x0190], 9)
    line.read()
    line.parts[0].power_cycle()

    assert line.read() == [None]
    assert line.read() == [250000]


def test_ds18b20_finds_every_flipped_bit():
    """A CRC-8 finds all single bits of the scratchpad."""
    for place in range(9):
        for bit in range(8):
            line = Line([0x0191])
            line.wire.damage = (place, 1 << bit)

            assert line.read() == [None]
            assert line.drivers[0].faults == {CHECKSUM: 1}


def test_ds18b20_line_that_is_held_or_empty_gives_nothing():
    """Nine zeros have the right CRC, and a line at ground looks like presence."""
    for what, causes in (("is_low", {IDENTITY: 1}), ("is_silent", {CHECKSUM: 1})):
        line = Line([0x0191])
        setattr(line.wire, what, True)

        assert line.read() == [None]
        assert line.drivers[0].faults == causes
    line = Line([0x0191])
    line.wire.parts = []
    assert line.read() == [None]
    assert line.drivers[0].faults == {NO_ANSWER: 1}


def test_ds18b20_that_is_missing_takes_no_other_away():
    """One of three is unplugged; when it comes back, it is read again."""
    line = Line([0x0191, 0xFF5E, 0x0008])
    gone = line.wire.parts.pop(1)

    assert line.read() == [250625, None, 5000]
    line.wire.parts.append(gone)
    assert line.read() == [250625, -101250, 5000]


def test_ds18b20_code_that_is_none_is_refused():
    """A code that was typed wrong, or of another family, shows when the board is built."""
    for rom in (make_rom(1)[:7], make_rom(1)[:7] + b"\x00", b"\x10" + make_rom(1)[1:]):
        try:
            Ds18b20(None, rom)
        except ValueError:
            continue
        raise AssertionError(rom)


# ---- pulses

MOMENTS_US = (0, 50, 100, 150, 1000)


def _lock():
    if heap is not None:
        heap.heap_lock()


def _unlock():
    if heap is not None:
        heap.heap_unlock()


class Register:
    """A counter in hardware, of so many bits."""

    def __init__(self, bits):
        self.bits = bits
        self.total = 0

    def value(self):
        """Return what its bits hold."""
        return self.total % (1 << self.bits)


class Meter:
    """A pulse counter on a register that somebody adds to."""

    def __init__(self, bits=16, rate_max=1000, first=0, start_us=0):
        self.clock = ModelClock(start_us)
        self.register = Register(bits)
        self.driver = PulseCounter(
            self.register, bits, rate_max, self.clock.ticks_ms, self.clock.ticks_diff, first
        )
        self.read()

    def read(self, pulses=0, after_ms=0):
        """Let pulses come within a time, and read."""
        self.register.total += pulses
        self.clock.now_us += after_ms * 1000
        self.driver.start()
        return self.driver.read()


def _edges(moments_us, gap_us=30000):
    clock = ModelClock()
    counter = EdgeCounter(clock.ticks_us, clock.ticks_diff, gap_us)
    for moment in moments_us:
        clock.now_us = moment
        counter.edge()
    return counter.value()


def test_pulses_give_the_worked_example():
    """20 pulses in 36 s are 555 thousandths a second."""
    assert Meter().read(20, 36000) == [20, 555]


def test_first_read_has_a_count_and_no_rate():
    """A rate needs two moments."""
    clock = ModelClock()
    driver = PulseCounter(Register(16), 16, 100, clock.ticks_ms, clock.ticks_diff, first=7)
    driver.start()

    assert driver.read() == [7, None]
    assert driver.faults == {}


def test_count_grows_over_the_wrap_of_its_counter():
    """A counter of 16 bits goes round; the count does not."""
    meter = Meter()
    counts = [meter.read(50000, 60000)[0] for _ in range(6)]

    assert counts == [50000, 100000, 150000, 200000, 250000, 300000]
    assert meter.driver.faults == {}


def test_count_begins_again_after_32_bits():
    """A schema's channel holds no more."""
    assert Meter(first=(1 << 32) - 5).read(7, 1000) == [2, 7000]


def test_counter_that_may_have_wrapped_unseen_gives_nothing():
    """At 1000 a second, 16 bits last 65 s: after 70 nobody knows."""
    meter = Meter()

    assert meter.read(100, 70000) == [None, None]
    assert meter.driver.faults == {OVERFLOW: 1}
    assert meter.read(10, 1000) == [10, 10000]


def test_counter_that_began_anew_adds_nothing():
    """A reset of the counter looks like an enormous number of pulses, more than can be."""
    meter = Meter(rate_max=100)
    meter.read(5000, 60000)
    meter.register.total = 3

    assert meter.read(0, 1000) == [None, None]
    assert meter.driver.faults == {OUT_OF_RANGE: 1}
    assert meter.read(10, 1000) == [5010, 10000]


def test_rate_goes_over_the_wrap_of_the_clock():
    """ticks_ms() begins again at 0 once in twelve days."""
    meter = Meter(start_us=((1 << 30) - 500) * 1000)

    assert meter.read(10, 1000) == [10, 10000]


def test_two_reads_at_one_moment_divide_by_nothing():
    """A sampler that is behind reads twice; the count stands, a rate there is none."""
    meter = Meter()
    meter.read(10, 1000)

    assert meter.read(0, 0) == [10, None]


def test_bounces_are_no_pulses():
    """What comes within the gap of a pulse belongs to it; the gap itself is already the next."""
    assert _edges([0, 1000, 5000, 29999]) == 1
    assert _edges([0, 30000, 60000]) == 3
    assert _edges([0, 20000, 40000, 60000, 80000]) == 3


def test_edge_takes_no_memory():
    """An interrupt may come while there is none to give; MicroPython's heap is locked meanwhile."""
    clock = ModelClock()
    counter = EdgeCounter(clock.ticks_us, clock.ticks_diff, 100)
    edge = counter.edge
    _lock()
    try:
        for moment in MOMENTS_US:
            clock.now_us = moment
            edge()
    finally:
        _unlock()

    assert counter.value() == 3


def test_edges_begin_again_after_30_bits():
    """The count stays a small integer, and the count behind it goes on."""
    clock = ModelClock()
    counter = EdgeCounter(clock.ticks_us, clock.ticks_diff, 0)
    counter._count = (1 << EDGE_BITS) - 2
    driver = PulseCounter(counter, EDGE_BITS, 10, clock.ticks_ms, clock.ticks_diff)
    driver.start()
    driver.read()
    for _ in range(5):
        counter.edge()
    clock.wait_ms(1000)
    driver.start()

    assert counter.value() == 3
    assert driver.read() == [5, 5000]


def test_pulse_after_a_long_pause_counts():
    """Beyond half the clock's period a difference is negative; it is a pause, not a bounce."""
    assert _edges([0, 600 * 1000000]) == 2
    assert _edges([0, 1000 * 1000000, 1073 * 1000000, 5000 * 1000000]) == 4


# ---- Modbus


WORDS = {107: 0x022B, 108: 0, 109: 100, 0: 0xFFFE, 1: 0x0001, 2: 0x86A0, 3: 0xFFFF, 4: 0xFFFE}


class Site:
    """One instrument on a line, and its driver."""

    def __init__(self, points, address=17, baud=9600, tries=2, answer_ms=200, **model):
        self.clock = ModelClock()
        tables = {1: {19: 0, 20: 1}, 2: {5: 1}, 3: WORDS, 4: {8: 10}}
        self.instrument = ModelInstrument(address, tables, **model)
        self.uart = ModelUart(self.clock, [self.instrument], baud)
        line = ModbusLine(self.uart, baud, self.clock.wait_ms, answer_ms, tries, self.uart.drive)
        self.line = line
        self.driver = ModbusInstrument(line, address, points)

    def read(self):
        """Read all points once."""
        self.driver.start()
        values = self.driver.read()
        assert self.uart.violations == []
        return values


def _registers():
    return [Point(HOLDING, 107), Point(HOLDING, 108), Point(HOLDING, 109)]


def test_modbus_checksum_is_the_specifications():
    """Serial Line, appendix: CRC(02 07) is sent as 41 12."""
    assert crc16_modbus(b"\x02\x07").to_bytes(2, "little") == b"\x41\x12"
    assert frame(b"\x02\x07") == b"\x02\x07\x41\x12"


def test_modbus_gives_the_worked_example():
    """Registers 108 to 110 of section 6.3, sent as 107 to 109, are 555, 0 and 100."""
    site = Site(_registers())

    assert site.read() == [555, 0, 100]
    assert site.uart.requests[0] == frame(b"\x11\x03\x00\x6b\x00\x01")
    assert site.driver.faults == {}
    assert crc16_modbus(b"\x11\x03\x00\x6b\x00\x03").to_bytes(2, "little") == b"\x76\x87"


def test_modbus_reads_each_table():
    """Coils, discrete inputs, holding and input registers."""
    points = [Point(COILS, 20, BIT), Point(COILS, 19, BIT), Point(DISCRETE_INPUTS, 5, BIT), Point(INPUTS, 8)]

    assert Site(points).read() == [1, 0, 1, 10]


def test_modbus_makes_integers_of_one_and_two_words():
    """Signed and unsigned, either word first."""
    kinds = [(0, U16, 0xFFFE), (0, S16, -2), (1, U32, 100000), (1, S32, 100000), (3, S32, -2)]
    kinds += [
        (3, U32, 0xFFFFFFFE),
        (2, U32_LOW_FIRST, 0xFFFF86A0),
        (2, S32_LOW_FIRST, 0xFFFF86A0 - (1 << 32)),
    ]
    points = [Point(HOLDING, register, kind) for register, kind, _ in kinds]

    assert Site(points).read() == [value for _, _, value in kinds]


def test_modbus_waits_for_silence_as_long_as_the_speed_asks():
    """3.5 characters of 11 bits, 1.75 ms above 19,200 baud, in whole milliseconds upwards."""
    assert [silence_ms(baud) for baud in (1200, 9600, 19200, 38400, 115200)] == [33, 5, 3, 2, 2]
    for baud in (1200, 9600, 19200, 115200):
        assert Site(_registers(), baud=baud).read() == [555, 0, 100]


def test_modbus_exception_takes_one_point_only():
    """Register 500 does not exist (code 2); it is not asked for twice."""
    site = Site([Point(HOLDING, 107), Point(HOLDING, 500), Point(HOLDING, 109)])

    assert site.read() == [555, None, 100]
    assert site.driver.faults == {"exception 2": 1}
    assert len(site.uart.requests) == 3


def test_modbus_instrument_that_is_busy_is_asked_again():
    """Code 6 means later."""
    site = Site(_registers())
    site.instrument.busy = 1

    assert site.read() == [555, 0, 100]
    assert site.line.retries == 1


def _altered(change, **site):
    made = Site([Point(HOLDING, 107)], **site)
    made.instrument.change = change
    return made.read(), made.driver.faults


def test_modbus_answer_that_is_damaged_is_never_a_value():
    """Any flipped bit, any missing end; counted by what was wrong."""
    for bit in range(7 * 8):
        values, faults = _altered(lambda answer, bit=bit: _flip(answer, bit))
        assert values == [None]
        assert sum(faults.values()) == 1
    for length in range(1, 7):
        assert _altered(lambda answer, length=length: answer[:length]) == ([None], {MALFORMED: 1})


def _flip(answer, bit):
    return answer[: bit // 8] + bytes([answer[bit // 8] ^ 1 << bit % 8]) + answer[bit // 8 + 1 :]


def test_modbus_answer_of_another_is_refused():
    """Another address, another function, another count: right checksum, wrong answer."""
    cases = [
        (b"\x12\x03\x02\x02\x2b", IDENTITY),
        (b"\x11\x04\x02\x02\x2b", MALFORMED),
        (b"\x11\x03\x04\x02\x2b", MALFORMED),
    ]
    for body, cause in cases:
        assert _altered(lambda answer, body=body: frame(body)) == ([None], {cause: 1})


def test_modbus_request_is_sent_again_and_counted():
    """One damaged answer costs time and no value."""
    site = Site([Point(HOLDING, 107)])
    answers = [lambda answer: _flip(answer, 30)]
    site.instrument.change = lambda answer: answers.pop()(answer) if answers else answer

    assert site.read() == [555]
    assert (site.driver.faults, site.line.retries) == ({}, 1)


def test_modbus_instrument_that_is_silent_is_asked_once_a_read():
    """Ten points of an instrument that is off cost one waiting, not ten; when it is back, all are there."""
    site = Site(_registers() * 3, tries=1)
    site.instrument.is_off = True

    assert site.read() == [None] * 9
    assert len(site.uart.requests) == 1
    assert site.driver.faults == {NO_ANSWER: 1}
    site.instrument.is_off = False
    assert site.read() == [555, 0, 100] * 3


def test_modbus_late_answer_is_not_taken_for_the_next():
    """An instrument that thinks longer than it may: its answer is dropped, and no register gets another's value."""
    site = Site([Point(HOLDING, 107), Point(HOLDING, 109)], delay_ms=250, tries=1)
    first = site.read()
    site.instrument.delay_ms = 20

    assert first == [None, None]
    assert site.read() == [555, 100]
    site.instrument.delay_ms = 250
    site.read()
    site.driver._points.reverse()
    site.instrument.delay_ms = 20
    assert site.read() == [100, 555]


def test_modbus_noise_before_a_request_is_dropped():
    """What lies in the buffer belongs to nobody; a line that never falls silent is given up."""
    site = Site([Point(HOLDING, 107)])
    site.uart.put(b"\x11\x03\x02\x00\x64" * 3)
    assert site.read() == [555]
    site.uart.put(b"\x00" * 5000)
    assert site.read() == [None]
    assert site.driver.faults == {LINE_BUSY: 1}


def _is_refused(make, *given):
    try:
        make(*given)
    except ValueError:
        return True
    return False


def test_modbus_point_that_cannot_be_is_refused():
    """A coil has one bit, a register never; a register lies on the line, with all its words."""
    for table, kind in ((COILS, U16), (HOLDING, BIT), (INPUTS, BIT), (5, U16)):
        assert _is_refused(Point, table, 0, kind)
    for register, kind in ((-1, U16), (65536, U16), (40001 + 65536, U16), (65535, U32)):
        assert _is_refused(Point, HOLDING, register, kind)
    assert not _is_refused(Point, HOLDING, 65535, U16)
    assert not _is_refused(Point, HOLDING, 65534, U32)


def test_modbus_address_that_nobody_has_is_refused():
    """0 is a broadcast, 248 and more are reserved."""
    assert [_is_refused(ModbusInstrument, None, address, []) for address in (0, 1, 247, 248)] == [
        True,
        False,
        False,
        True,
    ]
