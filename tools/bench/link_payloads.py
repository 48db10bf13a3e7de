"""Readings as the peers write them: JSON, SenML in CBOR, Sparkplug B. Each in the form that costs it the least.

Small encoders of our own; tests read what they write with libraries of others. Times are absolute, values decimal or, where
the format allows it, the integers that our schema scales. None of them carries an order or a quality; a missing value is
left out, or null where the format needs it.
"""

import json
import struct

import cbor2

from tools.bench.fleet import CHANNELS, Row

START_MS = 1_700_000_000_000
STEP_MS = 36_000
_NAMES = [str(channel[0]) for channel in CHANNELS]
_UNITS = [str(channel[1]) for channel in CHANNELS]
_SCALES = [int(str(channel[2])) for channel in CHANNELS]

# labels of SenML in CBOR, RFC 8428 section 6
_BASE_NAME, _BASE_TIME, _BASE_UNIT, _VALUE, _TIME = -2, -3, -4, 2, 6
# fields of Sparkplug B's Payload and Metric, sparkplug_b.proto
_TIMESTAMP, _METRICS, _SEQUENCE = 1, 2, 3
_ALIAS, _METRIC_TIMESTAMP, _IS_NULL, _INT_VALUE = 2, 3, 7, 10
_VARINT, _BYTES = 0, 2


def decimal(channel: int, value: int) -> float:
    """Return a reading in its unit, from the integer that the schema scales."""
    return value / 10 ** -_SCALES[channel]


def time_ms(number: int) -> int:
    """Return the absolute time of the reading with this number, milliseconds since 1970."""
    return START_MS + number * STEP_MS


def json_rows(rows: list[Row], first: int) -> bytes:
    """Return readings as an array of {"ts", "values"}, without spaces. first: number of the first reading."""
    items = [
        {
            "ts": time_ms(first + place),
            "values": {
                _NAMES[channel]: decimal(channel, value)
                for channel, value in enumerate(row)
                if value is not None
            },
        }
        for place, row in enumerate(rows)
    ]
    return json.dumps(items, separators=(",", ":")).encode()


def senml_cbor(rows: list[Row], first: int) -> bytes:
    """Return readings as one SenML pack in CBOR, channel after channel, so that names and units stand once.

    Values are floats of 32 bits, which keep these readings exactly once they are rounded to their scale.
    """
    records = []
    for channel in range(len(_NAMES)):
        base = {_BASE_NAME: _NAMES[channel], _BASE_UNIT: _UNITS[channel], _BASE_TIME: time_ms(first) // 1000}
        for place, row in enumerate(rows):
            value = row[channel]
            if value is None:
                continue
            (short,) = struct.unpack("f", struct.pack("f", decimal(channel, value)))
            record = {**base, _VALUE: short}
            if place:
                record[_TIME] = place * STEP_MS // 1000
            records.append(record)
            base = {}
    return cbor2.dumps(records, canonical=True)


def sparkplug_b(rows: list[Row], first: int) -> bytes:
    """Return readings as the payload of one DDATA: a metric a value, by alias, without names and types."""
    metrics = [
        _metric(channel, time_ms(first + place), value)
        for place, row in enumerate(rows)
        for channel, value in enumerate(row)
    ]
    sequence = _key(_SEQUENCE, _VARINT) + _uvarint(first % 256)
    sent = _key(_TIMESTAMP, _VARINT) + _uvarint(time_ms(first + len(rows) - 1))
    return (
        sent
        + b"".join(_key(_METRICS, _BYTES) + _uvarint(len(metric)) + metric for metric in metrics)
        + sequence
    )


def _metric(alias: int, at_ms: int, value: int | None) -> bytes:
    head = _key(_ALIAS, _VARINT) + _uvarint(alias) + _key(_METRIC_TIMESTAMP, _VARINT) + _uvarint(at_ms)
    if value is None:
        return head + _key(_IS_NULL, _VARINT) + _uvarint(1)
    return head + _key(_INT_VALUE, _VARINT) + _uvarint(value & 0xFFFFFFFF)


def _key(field: int, wire_type: int) -> bytes:
    return _uvarint(field << 3 | wire_type)


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
