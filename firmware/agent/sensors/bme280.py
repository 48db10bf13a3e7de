"""BME280: temperature, pressure and humidity over I2C, in forced mode, one sample of each, no filter.

Source: Bosch Sensortec, BME280 data sheet BST-BME280-DS002 revision 1.6 (September 2018): sections 4.2.2 (trimming parameters), 4.2.3
(compensation formulas, rev. 1.1), 5.4 (registers), 9.1 (measurement time). Checked against a model written from it, not against silicon.

Worked example for temperature and pressure: the one that the BMP280 data sheet (BST-BMP280-DS001, section 3.12) gives for the same
formulas. T1..T3 27504 26435 -1000, P1..P9 36477 -10685 3024 2855 140 -7 15500 -14600 6000, raw 519888 and 415148: t_fine 128422,
25.08 degC, 100653 Pa. (The figure prints 25767236/256; its own 64-bit code gives 25767233/256, the same pascals.)
For humidity the data sheet has no example; a reading that a user put into the maker's forum, registers and result (54.17 %RH), stands in.

Every number of the formulas is a Python integer, which cannot wrap; where C's 32 bits would, the calibration is no real one.
"""

import struct

from agent.sensors import SensorFault
from agent.sensors.driver import IDENTITY, NO_READING, NOT_READY, Driver
from agent.unset import unset
from protocol._const import const

_ADDRESS = const(0x76)
# 1.25 + 2.3 + (2.3 + 0.575) + (2.3 + 0.575) ms, section 9.1.
_SETTLE_MS = const(10)

_ID = const(0xD0)
_BME280 = const(0x60)
_CALIBRATION = const(0x88)
_CALIBRATION_BYTES = const(26)
_CALIBRATION_HUMIDITY = const(0xE1)
_CALIBRATION_HUMIDITY_BYTES = const(7)
_CTRL_HUM = const(0xF2)
_STATUS = const(0xF3)
_MEASURING = const(0x08)
_COPYING = const(0x01)
_CTRL_MEAS = const(0xF4)
_CONFIG = const(0xF5)
_DATA = const(0xF7)

_ONCE = b"\x01"
_FORCED_ONCE = b"\x25"
_NO_FILTER = b"\x00"

# What the data registers hold where nothing was measured.
_SKIPPED_20 = const(0x80000)
_SKIPPED_16 = const(0x8000)


class Calibration:
    """The trimming parameters of one part. low: registers 0x88..0xA1; high: 0xE1..0xE7. Source: section 4.2.2, table 16."""

    def __init__(self, low: bytes, high: bytes):
        words = struct.unpack_from("<HhhHhhhhhhhh", low)
        self.t = words[:3]
        self.p = words[3:]
        h2, h3, h4, shared, h5, h6 = struct.unpack("<hBbBbb", high)
        # The nibbles of 0xE5: low ones end H4, high ones begin H5; both numbers take their sign from their upper byte.
        self.h = (low[25], h2, h3, h4 << 4 | shared & 0x0F, h5 << 4 | shared >> 4, h6)

    def is_plausible(self) -> bool:
        """Whether a factory can have written them: T1 and P1 divide or scale everything, and a stuck bus reads all alike."""
        return self.t[0] != 0 and self.p[0] != 0 and not self.t[0] == self.p[0] == 0xFFFF


def fine_temperature(calibration: Calibration, raw: int) -> int:
    """Return t_fine, 5120ths of a degree Celsius, of 20 raw bits. Source: BME280_compensate_T_int32."""
    t1, t2, t3 = calibration.t
    offset = (raw >> 4) - t1
    return (((raw >> 3) - (t1 << 1)) * t2 >> 11) + ((offset * offset >> 12) * t3 >> 14)


def temperature(t_fine: int) -> int:
    """Return hundredths of a degree Celsius."""
    return (t_fine * 5 + 128) >> 8


def pressure(calibration: Calibration, t_fine: int, raw: int):
    """Return 256ths of a pascal of 20 raw bits, None where the formula would divide by zero. Source: compensate_P_int64."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = calibration.p
    fine = t_fine - 128000
    offset = fine * fine * p6 + (fine * p5 << 17) + (p4 << 35)
    slope = ((1 << 47) + (fine * fine * p3 >> 8) + (fine * p2 << 12)) * p1 >> 33
    if slope == 0:
        return None
    value = _divide(((1048576 - raw << 31) - offset) * 3125, slope)
    square = p9 * (value >> 13) * (value >> 13) >> 25
    return (value + square + (p8 * value >> 19) >> 8) + (p7 << 4)


def _divide(dividend: int, divisor: int) -> int:
    # C's division drops the fraction towards zero, Python's goes down; they part below zero.
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def humidity(calibration: Calibration, t_fine: int, raw: int) -> int:
    """Return 1024ths of a percent of relative humidity of 16 raw bits: 0 .. 102400. Source: bme280_compensate_H_int32."""
    h1, h2, h3, h4, h5, h6 = calibration.h
    fine = t_fine - 76800
    linear = ((raw << 14) - (h4 << 20) - h5 * fine + 16384) >> 15
    warmth = (fine * h6 >> 10) * ((fine * h3 >> 11) + 32768) >> 10
    value = linear * ((warmth + 2097152) * h2 + 8192 >> 14)
    value -= ((value >> 15) * (value >> 15) >> 7) * h1 >> 4
    return max(0, min(value, 419430400)) >> 12


class Bme280(Driver):
    """Channels: temperature (Cel, scale -2), pressure (Pa, scale 0), relative humidity (%RH, scale -2).

    Outside -40..85 degC nothing is given, since the other two are computed with the temperature; outside 300..1100 hPa no pressure.
    i2c: a machine.I2C. address: 0x76, or 0x77 with pin SDO high. After a fault the part is identified and its calibration read anew.
    """

    def __init__(self, i2c, address: int = _ADDRESS):
        super().__init__(3, _SETTLE_MS)
        self._i2c = i2c
        self._address = address
        self._calibration = unset()

    def _begin(self) -> None:
        if self._calibration is None:
            self._calibration = self._identify()
        # ctrl_hum counts only once ctrl_meas is written.
        self._write(_CTRL_HUM, _ONCE)
        self._write(_CTRL_MEAS, _FORCED_ONCE)

    def _identify(self) -> Calibration:
        if self._read(_ID, 1)[0] != _BME280:
            raise SensorFault(IDENTITY)
        if self._read(_STATUS, 1)[0] & _COPYING:
            raise SensorFault(NOT_READY)
        low = self._read(_CALIBRATION, _CALIBRATION_BYTES)
        # 0xA0 belongs to nobody: 24 bytes of words, a hole, then H1.
        found = Calibration(low, self._read(_CALIBRATION_HUMIDITY, _CALIBRATION_HUMIDITY_BYTES))
        if not found.is_plausible():
            raise SensorFault(IDENTITY)
        self._write(_CONFIG, _NO_FILTER)
        return found

    def _fetch(self) -> list:
        if self._read(_STATUS, 1)[0] & _MEASURING:
            raise SensorFault(NOT_READY)
        # One burst: the part then keeps the eight bytes of one measurement together.
        data = self._read(_DATA, 8)
        raw_pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        raw_temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        if raw_temperature == _SKIPPED_20:
            raise SensorFault(NO_READING)
        t_fine = fine_temperature(self._calibration, raw_temperature)
        celsius = self.within(temperature(t_fine), -4000, 8500)
        if celsius is None:
            return [None, None, None]
        return [celsius, self._pressure(t_fine, raw_pressure), self._humidity(t_fine, data[6] << 8 | data[7])]

    def _pressure(self, t_fine: int, raw: int):
        fine = None if raw == _SKIPPED_20 else pressure(self._calibration, t_fine, raw)
        if fine is None:
            self.count(NO_READING)
            return None
        return self.within((fine + 128) >> 8, 30000, 110000)

    def _humidity(self, t_fine: int, raw: int):
        if raw == _SKIPPED_16:
            self.count(NO_READING)
            return None
        return (humidity(self._calibration, t_fine, raw) * 100 + 512) >> 10

    def _lost(self) -> None:
        self._calibration = None

    def _read(self, register: int, count: int) -> bytes:
        return self._i2c.readfrom_mem(self._address, register, count)

    def _write(self, register: int, value: bytes) -> None:
        self._i2c.writeto_mem(self._address, register, value)
