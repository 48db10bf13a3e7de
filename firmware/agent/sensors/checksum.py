"""The three checksums that the drivers need, bit by bit: a few bytes a sample are not worth a table in memory."""

from protocol._const import const

_SENSIRION = const(0x31)
_MAXIM = const(0x8C)
_MODBUS = const(0xA001)


def crc8_sensirion(data) -> int:
    """Return the CRC-8 of SHT3x: x^8 + x^5 + x^4 + 1, first 0xFF, most significant bit first. CRC(BE EF) = 92.

    Source: datasheet SHT3x-DIS, section 4.12 "Checksum Calculation".
    """
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ _SENSIRION) & 0xFF if crc & 0x80 else crc << 1
    return crc


def crc8_maxim(data) -> int:
    """Return the CRC-8 of 1-Wire: the same polynomial, first 0, least significant bit first. 0 over data and its CRC.

    Source: Maxim application note 27; its example: CRC(02 1C B8 01 00 00 00) = A2.
    """
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ _MAXIM if crc & 1 else crc >> 1
    return crc


def crc16_modbus(data) -> int:
    """Return the CRC-16 of Modbus RTU: 0xA001, first 0xFFFF, least significant bit first; sent low byte first.

    Source: MODBUS over Serial Line V1.02, section 2.5.1.2 "CRC Checking"; its appendix's example: CRC(02 07) is sent as 41 12.
    """
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ _MODBUS if crc & 1 else crc >> 1
    return crc
