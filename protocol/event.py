"""Events of one segment: encode and decode of the plaintext of a sealed body.

An event is a tuple (order, tick_ms, kind, fields). A sample (kind SAMPLE) has fields (values, qualities), each a list with
one item a channel, a value None unless its quality is GOOD; samples become columns. Every other event is a row.

Source: SPEC.md section 4.
"""

from protocol.cbor import dumps, loads
from protocol.columns import get_column, get_uvarint, put_column, put_uvarint
from protocol.errors import BODY, MALFORMED, TOO_LARGE, ProtocolError
from protocol.event_shape import check_fields
from protocol.limits import channels_max, events_bytes_max, segment_events_max, uint32_max
from protocol.shape import is_int, is_natural

SAMPLE = 0
EPOCH_START = 1
BOOT = 2
CHECKPOINT = 3
DECISION = 4
ACTION = 5
REFUSAL = 6
RULE_FAULT = 7
THINNING = 8
TIME_MARK = 9
HEALTH = 10
ADOPTION = 11
COMMAND = 12
# 13 is never given out: SPEC.md section 4.3.
LEVEL = 14
INPUTS = 15
ATTESTATION = 17

KIND_NAMES = (
    "sample",
    "epoch_start",
    "boot",
    "checkpoint",
    "decision",
    "action",
    "refusal",
    "rule_fault",
    "thinning",
    "time_mark",
    "health",
    "adoption",
    "command",
    "unknown",
    "level",
    "inputs",
    "unknown",
    "attestation",
)

GOOD = 0
MISSING = 1
OUT_OF_RANGE = 2
STUCK = 3
STALE = 4
FAULT = 5
NOT_SAMPLED = 6

QUALITY_NAMES = ("good", "missing", "out_of_range", "stuck", "stale", "fault", "not_sampled")


def encode_events(boot: int, events: list) -> bytes:
    """Return the plaintext for events, rising in order, all of one boot.

    Raises ProtocolError(TOO_LARGE) above events_bytes_max or segment_events_max: the caller seals fewer.
    """
    if len(events) > segment_events_max:
        raise ProtocolError(TOO_LARGE, "{} events exceed segment_events_max".format(len(events)))
    order_base = events[0][0]
    tick_base = events[0][1]
    samples = [event for event in events if event[2] == SAMPLE]
    rows = [_row(event, order_base, tick_base) for event in events if event[2] != SAMPLE]
    columns = encode_samples(samples, order_base, tick_base) if samples else b""
    plaintext = dumps([boot, tick_base, order_base, columns, rows])
    if len(plaintext) > events_bytes_max:
        raise ProtocolError(
            TOO_LARGE, "{} bytes of events exceed {}".format(len(plaintext), events_bytes_max)
        )
    return plaintext


def _row(event: tuple, order_base: int, tick_base: int) -> list:
    return [event[0] - order_base, event[1] - tick_base, event[2]] + list(event[3])


def row_bytes(event: tuple, first: tuple) -> int:
    """Return how many bytes an event that is no sample takes among events whose first is `first`."""
    return len(dumps(_row(event, first[0], first[1])))


def encode_samples(samples: list, order_base: int, tick_base: int) -> bytes:
    """Return the columns of one or more samples, all with the same number of channels."""
    out = bytearray()
    channels = len(samples[0][3][0])
    put_uvarint(out, len(samples))
    put_uvarint(out, channels)
    put_column(out, [sample[0] - order_base for sample in samples])
    put_column(out, [sample[1] - tick_base for sample in samples])
    for channel in range(channels):
        put_column(out, [sample[3][1][channel] for sample in samples])
        put_column(out, _carry(samples, channel))
    return bytes(out)


def _carry(samples: list, channel: int) -> list:
    values = []
    last = 0
    for sample in samples:
        if sample[3][1][channel] == GOOD:
            last = sample[3][0][channel]
        values.append(last)
    return values


def decode_events(plaintext: bytes, count: int) -> tuple:
    """Return (boot, events in order) of a plaintext whose header says count. Raises ProtocolError, never anything else."""
    items = loads(plaintext)
    _check_shape(items)
    boot, tick_base, order_base, columns, rows = items
    events = decode_samples(columns, order_base, tick_base) if columns else []
    for row in rows:
        events.append(_row_event(row, order_base, tick_base))
    events.sort(key=lambda event: event[0])
    if len(events) != count:
        raise ProtocolError(BODY, "{} events where the header says {}".format(len(events), count))
    _check_orders(events, order_base)
    return boot, events


def _check_shape(items) -> None:
    shaped = (
        isinstance(items, list)
        and len(items) == 5
        and is_natural(items[0], uint32_max)
        and is_natural(items[1])
        and is_natural(items[2])
        and isinstance(items[3], bytes)
        and isinstance(items[4], list)
    )
    if not shaped:
        raise ProtocolError(MALFORMED, "events are not [boot, tick, order, columns, rows]")


def _row_event(row, order_base: int, tick_base: int) -> tuple:
    shaped = (
        isinstance(row, list)
        and len(row) >= 3
        and is_natural(row[0])
        and is_int(row[1])
        and is_natural(row[2])
    )
    if not shaped or row[2] == SAMPLE:
        raise ProtocolError(MALFORMED, "a row is not [order, tick, kind, ...] of an event")
    order = order_base + row[0]
    tick_ms = tick_base + row[1]
    if not is_natural(order) or not is_natural(tick_ms):
        raise ProtocolError(MALFORMED, "a row has an order or tick outside 0..2**62")
    check_fields(row[2], row[3:])
    return order, tick_ms, row[2], tuple(row[3:])


def _check_orders(events: list, order_base: int) -> None:
    if events and events[0][0] != order_base:
        raise ProtocolError(MALFORMED, "order_base is not the order of the first event")
    for i in range(1, len(events)):
        if events[i][0] <= events[i - 1][0]:
            raise ProtocolError(MALFORMED, "two events have order {}".format(events[i][0]))


def decode_samples(columns: bytes, order_base: int, tick_base: int) -> list:
    """Return the sample events of columns. Raises ProtocolError."""
    count, at = get_uvarint(columns, 0)
    channels, at = get_uvarint(columns, at)
    if not 1 <= count <= segment_events_max or not 1 <= channels <= channels_max:
        raise ProtocolError(TOO_LARGE, "{} samples of {} channels".format(count, channels))
    orders, at = get_column(columns, at, count)
    ticks, at = get_column(columns, at, count)
    by_channel = []
    for _ in range(channels):
        qualities, at = get_column(columns, at, count)
        values, at = get_column(columns, at, count)
        by_channel.append((qualities, values))
    if at != len(columns):
        raise ProtocolError(MALFORMED, "{} bytes after the last column".format(len(columns) - at))
    if min(orders) < 0 or not is_natural(order_base + max(orders)):
        raise ProtocolError(MALFORMED, "a sample has an order outside order_base..2**62")
    if not is_natural(tick_base + min(ticks)) or not is_natural(tick_base + max(ticks)):
        raise ProtocolError(MALFORMED, "a sample has a tick outside 0..2**62")
    return [
        (order_base + orders[i], tick_base + ticks[i], SAMPLE, _reading_lists(by_channel, i))
        for i in range(count)
    ]


def _reading_lists(by_channel: list, i: int) -> tuple:
    values = []
    qualities = []
    for channel_qualities, channel_values in by_channel:
        quality = channel_qualities[i]
        if not 0 <= quality < len(QUALITY_NAMES):
            raise ProtocolError(MALFORMED, "quality {} is not known".format(quality))
        qualities.append(quality)
        values.append(channel_values[i] if quality == GOOD else None)
    return values, qualities
