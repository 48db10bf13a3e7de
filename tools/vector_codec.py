"""Cases for the golden vectors of cbor, columns, event, keys and ranges."""

from typing import Any

import cbor2

from protocol.errors import BODY, MALFORMED, TOO_LARGE
from tools import vector_reference as reference

_DIGEST = bytes(range(100, 132))


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "cbor.json": {"source": "SPEC.md section 2", "accept": _cbor_accept(), "reject": _cbor_reject()},
        "columns.json": {
            "source": "SPEC.md section 4.2",
            "accept": _column_accept(),
            "decode": _column_decode(),
            "reject": _column_reject(),
        },
        "event.json": {"source": "SPEC.md section 4", "accept": _event_accept(), "reject": _event_reject()},
        "keys.json": {"source": "SPEC.md section 10", "accept": _keys()},
        "ranges.json": {"source": "protocol/ranges.py", "accept": _ranges()},
    }


def _cbor_accept() -> list[dict]:
    simple = [cbor2.CBORSimpleValue(n) for n in (0, 16, 19, 32, 255)]
    edges = [n + d for n in (0, 24, 256, 65536, 1 << 32) for d in (-1, 0)]
    numbers = [
        *edges,
        1,
        10,
        (1 << 63) - 1,
        (1 << 64) - 1,
        -24,
        -25,
        -256,
        -257,
        -65537,
        -(1 << 32) - 1,
        -(1 << 64),
    ]
    strings = [bytes(n) for n in (0, 1, 23, 24, 255, 256)] + ["", "a", "ü", "水", "\U0001f600", "x" * 24]
    lists: list = [[], [1], [1, [2, [3]]], list(range(24)), [None, False, True]]
    maps: list = [{}, {1: 2}, {-1: 0, 100: 1, 10: 2, 1000: 3, -1000: 4, 0: 5}, {0: {0: [b""]}}]
    deep: list = []
    for _ in range(7):
        deep = [deep]
    values = [*numbers, *strings, *lists, *maps, False, True, None, *simple, deep]
    return [{"name": f"{value!r:.40}", "value": value, "hex": reference.cbor(value)} for value in values]


def _cbor_reject() -> list[dict]:
    malformed = {
        "nothing": "",
        "1 in two bytes": "1801",
        "23 in two bytes": "1817",
        "255 in three bytes": "1900ff",
        "65535 in five bytes": "1a0000ffff",
        "2**32 - 1 in nine bytes": "1b00000000ffffffff",
        "-24 in two bytes": "3817",
        "bytes with a longer head": "580100",
        "text with a longer head": "780161",
        "array with a longer head": "980100",
        "map with a longer head": "b8010001",
        "head cut off": "19ff",
        "bytes cut off": "4201",
        "text cut off": "6261",
        "array cut off": "8201",
        "map cut off": "a101",
        "array announces more than there are bytes": "9a7fffffff00",
        "map announces more than there are bytes": "ba7fffffff0000",
        "bytes announce 2**64 - 1": "5bffffffffffffffff",
        "additional information 28": "1c",
        "additional information 30": "5e",
        "bytes of indefinite length": "5f4100ff",
        "text of indefinite length": "7f6161ff",
        "array of indefinite length": "9f00ff",
        "map of indefinite length": "bf0000ff",
        "a break alone": "ff",
        "tag 0": "c000",
        "tag 17": "d18400000000",
        "big integer": "c249010000000000000000",
        "half float": "f93c00",
        "float": "fa3f800000",
        "double": "fb3ff0000000000000",
        "undefined": "f7",
        "simple 24": "f818",
        "simple 31": "f81f",
        "simple 16 in two bytes": "f810",
        "null in two bytes": "f816",
        "map keys that fall": "a201000000",
        "map key twice": "a201000100",
        "negative key before positive": "a220000000",
        "short key after long": "a21818000100",
        "text as map key": "a1616100",
        "bytes as map key": "a1416100",
        "array as map key": "a18000",
        "null as map key": "a1f600",
        "simple as map key": "a1e000",
        "a byte after the item": "0000",
        "text that is no UTF-8": "61ff",
        "text cut inside a letter": "61c3",
        "overlong text": "62c080",
        "surrogate in text": "63eda080",
        "text above U+10FFFF": "64f4908080",
    }
    found = [{"name": name, "hex": text, "code": MALFORMED} for name, text in malformed.items()]
    found.append({"name": "arrays nested 9 deep", "hex": "81" * 8 + "80", "code": TOO_LARGE})
    found.append({"name": "maps nested 9 deep", "hex": "a100" * 8 + "a0", "code": TOO_LARGE})
    return found


def _columns_of_values() -> dict[str, list[int]]:
    ramp = [1000 + 7 * i for i in range(40)]
    bent = [*ramp[:20], ramp[20] + 1_000_000, *ramp[21:]]
    noisy = [20000 + (i * i * 31) % 17 for i in range(48)]
    top = 1 << 62
    return {
        "one value": [5],
        "one value below zero": [-7],
        "two values": [1, 3],
        "nothing changes": [0] * 30,
        "evenly rising": ramp,
        "one outlier": bent,
        "outlier first": [1_000_000, *ramp],
        "outlier last": [*ramp, -1_000_000],
        "a few bits of noise": noisy,
        "noise and two outliers": [*noisy[:9], 5_000_000, *noisy[9:30], -5_000_000, *noisy[30:]],
        "the largest steps": [-top, top, -top, top, 0],
        "the largest steps, long": [-top, top] * 8,
        "the largest values": [top, top, top],
        "evenly falling": ramp[::-1],
        "even number of differences, lower middle": [0, 1, 3, 6, 10],
        "powers of two": [1 << i for i in range(40)],
        "1023 values": [i // 3 for i in range(1023)],
    }


def _column_accept() -> list[dict]:
    return [
        {"name": name, "values": values, "mode": reference.column(values)[0], "hex": reference.column(values)}
        for name, values in _columns_of_values().items()
    ]


def _column_decode() -> list[dict]:
    """Well-formed columns that the encoder would say shorter: a decoder takes them all the same."""
    found = []
    for name in ("evenly rising", "one outlier", "a few bits of noise", "two values"):
        values = _columns_of_values()[name]
        for mode, width in ((0, 0), (1, 64), (2, 3), (2, 20), (1, 24)):
            column = reference.column_of_mode(values, mode, width)
            if column is not None and column != reference.column(values):
                found.append({"name": f"{name}, mode {mode}, width {width}", "values": values, "hex": column})
    return found


def _column_reject() -> list[dict]:
    far = reference.svarint((1 << 62) + 1)
    cases = [
        ("nothing", 1, "", MALFORMED),
        ("mode 3", 1, "0300", MALFORMED),
        ("first value missing", 1, "00", MALFORMED),
        ("difference missing", 2, "0000", MALFORMED),
        ("varint longer than needed", 1, "008000", MALFORMED),
        ("varint of eleven bytes", 1, "00" + "ff" * 10 + "01", MALFORMED),
        ("varint cut off", 1, "0080", MALFORMED),
        ("value above 2**62", 1, "00" + far.hex(), TOO_LARGE),
        ("sum above 2**62", 2, "00" + reference.svarint(1 << 62).hex() + "02", TOO_LARGE),
        ("base missing", 2, "0100", MALFORMED),
        ("width missing", 2, "010000", MALFORMED),
        ("width 65", 2, "01000041" + "00" * 9, TOO_LARGE),
        ("residuals cut off", 9, "01000001", MALFORMED),
        ("filling bits not zero", 3, "0100000104", MALFORMED),
        ("no exceptions", 3, "0200000100" + "00", MALFORMED),
        ("more exceptions than differences", 2, "02000000020005" + "0105", MALFORMED),
        ("exception beyond the end", 3, "0200000001" + "0205", MALFORMED),
        ("exception twice", 3, "0200000002" + "0105" + "0005", MALFORMED),
        ("place of an exception not zero", 3, "0200000101" + "0005" + "01", MALFORMED),
    ]
    return [{"name": name, "count": count, "hex": text, "code": code} for name, count, text, code in cases]


def rows() -> dict[str, tuple[int, list]]:
    """Return name -> (kind, fields) of at least one row of each kind."""
    head = [9, _DIGEST, 40]
    decision = [
        1,
        3,
        2,
        _DIGEST,
        77,
        [5, -6],
        [0, -1],
        1,
        3,
        [0, 1],
        [1, -1],
        [[0, 1, 0, None], [1, -5, 2, 70]],
    ]
    return {
        "epoch_start first": (1, [0, None, None, None]),
        "epoch_start restored": (1, [1, 4, head, None]),
        "boot": (2, [1, 36000]),
        "checkpoint": (3, [0, 2, b"part"]),
        "decision": (4, decision),
        "action": (5, [1, 0, 1, 0]),
        "refusal": (6, [1, 0, 1, 4]),
        "rule_fault": (7, [2, 3, 1]),
        "thinning": (8, [1, 12, 0]),
        "time_mark": (9, [1_700_000_000_000, 120]),
        "health": (10, [{0: 81920, 1: 3, 4: 0, 8: -1}]),
        "adoption refused": (11, [0, 7, None, 22]),
        "adoption": (11, [3, 7, _DIGEST, 0]),
        "command to an actuator": (12, [1, [0, 1, -5], 1, [2, 70]]),
        "command to an actuator, allowed": (12, [2, [0, 1, 1], 0, [0, None]]),
        "command to a setting": (12, [3, [1, 2, 60000], 0, 600000]),
        "command to report": (12, [4, [2], 0, {0: 81920, 9: 1}]),
        "command of a later kind": (12, [5, [3, 1, -2, 3, 4], 4, None]),
        "unknown kind": (13, ["kept as it is", b"", None]),
    }


def _samples() -> list:
    values = [[200 + i, 1000 - i] for i in range(12)]
    values[5][0] = 90_000
    found: list = [(10 + i, 500 + 60_000 * i, 0, [list(v), [0, 0]]) for i, v in enumerate(values)]
    for quality in range(1, 7):
        found[quality][3][0][1] = None
        found[quality][3][1][1] = quality
    found[0][3][0][1] = None
    found[0][3][1][1] = 1
    return found


def _event_accept() -> list[dict]:
    samples = _samples()
    cases: dict[str, list] = {
        "samples with outlier and every quality": samples,
        "one sample of one channel": [(0, 0, 0, [[7], [0]])],
        "one sample of eight channels": [(0, 0, 0, [[1, 2, 3, 4, 5, 6, 7, 8], [0] * 8])],
        "samples and rows in turn": [
            (8, 450, 2, [0, 0]),
            *samples[:3],
            (30, 400, 9, [1_700_000_000_000, 50]),
            (31, 130_000, 8, [1, 1, 1]),
        ],
        "largest base": [((1 << 62) - 1, (1 << 62) - 1, 2, [3, 0])],
    }
    for name, (kind, fields) in rows().items():
        cases[name] = [(100, 5000, kind, fields)]
    return [
        {
            "name": name,
            "boot": 7,
            "events": listed,
            "hex": reference.events(7, listed),
            "rule": None if name == "unknown kind" else "events",
        }
        for name, listed in cases.items()
    ]


_FIELDS = {
    "epoch_start restored": ((0, 4), (1, -1), (2, [9, bytes(31), 40]), (2, [9, _DIGEST]), (3, 0)),
    "boot": ((0, 4), (1, -1)),
    "checkpoint": ((0, 16), (1, 0), (1, 17), (2, b""), (2, bytes(301)), (2, "part")),
    "decision": (
        *((0, -1), (1, -1), (2, 0), (2, 3), (3, bytes(31)), (4, -1), (5, [None]), (6, 0), (7, 256), (8, 4)),
        *(
            (9, [b""]),
            (10, None),
            (11, []),
            (11, [[0, 1, 0]]),
            (11, [[0, 1, 0, -1]]),
            (11, [[0, None, 0, 1]]),
        ),
    ),
    "action": ((0, -1), (1, -1), (2, None), (3, 3)),
    "refusal": ((0, -1), (1, -1), (2, b""), (3, -1)),
    "rule_fault": ((0, -1), (1, None), (2, -1)),
    "thinning": ((0, 2), (1, -1), (2, 2)),
    "time_mark": ((0, -1), (1, False)),
    "health": ((0, []), (0, {-1: 0}), (0, {0: None})),
    "adoption": ((0, 5), (1, 1 << 32), (2, bytes(31)), (2, 0), (3, -1), (3, 1 << 32)),
    "command to an actuator": (
        *((0, -1), (1, []), (1, [0, 1]), (1, [0, -1, 1]), (1, [256]), (1, [2, 0]), (1, [1, 0, -1])),
        *((1, [3, 1, 2, 3, 4, 5]), (1, [3, None]), (1, 2), (2, 6), (3, [2]), (3, [2, -1]), (3, -1), (3, b"")),
    ),
}


def _event_reject() -> list[dict]:
    whole = [7, 5000, 100, b"", [[0, 0, 2, 0, 5]]]
    column = reference.column
    sample = (
        reference.uvarint(1) + reference.uvarint(1) + column([0]) + column([0]) + column([0]) + column([3])
    )
    found = []

    def add(name: str, value: Any, count: int = 1, code: int = MALFORMED, shape: bool = True) -> None:
        found.append(
            {"name": name, "hex": reference.cbor(value), "count": count, "code": code, "shape": shape}
        )

    for row_name, changes in _FIELDS.items():
        kind, fields = rows()[row_name]
        for at, bad in changes:
            changed = [*fields[:at], bad, *fields[at + 1 :]]
            add(f"{row_name}: field {at} is {bad!r:.20}", [*whole[:4], [[0, 0, kind, *changed]]])
        add(f"{row_name}: a field missing", [*whole[:4], [[0, 0, kind, *fields[:-1]]]])
        add(f"{row_name}: a field too many", [*whole[:4], [[0, 0, kind, *fields, 0]]])
    for at, name, bad in (
        (0, "boot", -1),
        (0, "boot", 1 << 32),
        (1, "tick_base_ms", -1),
        (2, "order_base", None),
        (3, "columns", "x"),
        (4, "rows", {}),
    ):
        add(f"{name} is {bad!r}", [*whole[:at], bad, *whole[at + 1 :]])
    add("four items", whole[:4])
    add("six items", [*whole, 0])
    add("not an array", {0: 1})
    add("row of kind 0", [*whole[:4], [[0, 0, 0]]])
    add("row with an order below zero", [*whole[:4], [[-1, 0, 2, 0, 5]]])
    add("row without a kind", [*whole[:4], [[0, 0]]])
    add("row before tick 0", [7, 5, 100, b"", [[0, -6, 2, 0, 5]]], shape=False)
    late, last = 1 << 62, [[0, 1, 2, 0, 5]]
    add("row after tick 2**62", [7, late, 100, b"", last], shape=False)
    add("row above order 2**62", [7, 0, late, b"", [[0, 0, 2, 0, 5], [1, 0, 2, 0, 5]]], 2, shape=False)
    add("sample after tick 2**62", [7, late, 100, sample[:4] + column([1]) + sample[6:], []], shape=False)
    add("sample above order 2**62", [7, 0, late, sample[:2] + column([1]) + sample[4:], last], 2, shape=False)
    add("first row above order_base", [*whole[:4], [[1, 0, 2, 0, 5]]], shape=False)
    add("two rows of one order", [*whole[:4], [[0, 0, 2, 0, 5], [0, 0, 2, 0, 5]]], 2, shape=False)
    add("another count than the header's", whole, 2, BODY, shape=False)
    add("no events", [*whole[:4], []], 1, BODY, shape=False)
    for name, columns, code in (
        ("1024 samples", reference.uvarint(1024) + sample[1:], TOO_LARGE),
        ("no samples", b"\0" + sample[1:], TOO_LARGE),
        ("nine channels", sample[:1] + b"\x09" + sample[2:], TOO_LARGE),
        ("no channels", sample[:1] + b"\x00" + sample[2:], TOO_LARGE),
        ("a channel missing", sample[:1] + b"\x02" + sample[2:], MALFORMED),
        ("quality 7", sample[:6] + column([7]) + sample[8:], MALFORMED),
        ("quality below zero", sample[:6] + column([-1]) + sample[8:], MALFORMED),
        ("sample with an order below zero", sample[:2] + column([-1]) + sample[4:], MALFORMED),
        ("sample before tick 0", sample[:4] + column([-5001]) + sample[6:], MALFORMED),
        ("bytes after the last column", sample + b"\0", MALFORMED),
        ("columns cut off", sample[:-1], MALFORMED),
    ):
        add(f"columns: {name}", [7, 5000, 100, columns, []], 1, code, shape=False)
    return found


def _keys() -> list[dict]:
    found = []
    for lane in (0, 1):
        start = reference.seal_key(lane, 0)
        found.append(_call("seal_start", [reference.SEAL_ROOT, lane], start))
        found.append(_call("seal_next", [start], reference.seal_key(lane, 1)))
        for generation in (0, 1, 32, 4096):
            key = reference.seal_key(lane, generation)
            found.append(_call("seal_ahead", [start, generation], key))
            found.append(_call("tag_key", [key], reference.tag_key(lane, generation)))
    for generation in (0, 1, 32):
        key = reference.heartbeat_key(generation)
        found.append(_call("heartbeat_key", [reference.seal_key(0, generation)], key))
    for view_class in (1, 2):
        found.append(_call("view_start", [reference.VIEW_ROOT, view_class], reference.ratchet(view_class, 0)))
        for period in (0, 1, 365):
            ratchet = reference.ratchet(view_class, period)
            found.append(_call("view_next", [ratchet], reference.ratchet(view_class, period + 1)))
            view = reference.view_key(view_class, period)
            found.append(_call("view_key", [ratchet], view))
            found.append(_call("body_keys", [view], list(reference.body_keys(view_class, period))))
    for label in ("receipt", "time", "command"):
        result = reference.mac(reference.DOWNLINK, label.encode())
        found.append(_call("downlink_key", [reference.DOWNLINK, label], result))
    for base, number, generation in (
        (0, 0, 0),
        (0, 31, 0),
        (0, 32, 1),
        (5, 63, 6),
        (7, (1 << 32) - 1, 134217734),
    ):
        found.append(_call("generation_of", [base, number], generation))
    return found


def _call(name: str, arguments: list, result: Any) -> dict:
    return {"name": name, "arguments": arguments, "result": result}


def _ranges() -> list[dict]:
    """Steps and the set they leave, found by counting numbers one by one."""
    cases: dict[str, list] = {
        "nothing": [],
        "one run": [["add", 0, 5]],
        "an empty run": [["add", 3, 3], ["add", 5, 2]],
        "touching runs become one": [["add", 0, 3], ["add", 3, 6]],
        "a hole": [["add", 0, 3], ["add", 5, 8]],
        "the hole filled": [["add", 0, 3], ["add", 5, 8], ["add", 3, 5]],
        "out of order": [["add", 9, 12], ["add", 0, 2], ["add", 4, 6], ["add", 1, 5]],
        "a piece taken out": [["add", 0, 10], ["remove", 3, 5]],
        "an empty piece taken out": [["add", 0, 10], ["remove", 5, 5], ["remove", 7, 3]],
        "more taken out than held": [["add", 4, 6], ["remove", 0, 20]],
    }
    found = []
    for name, listed in cases.items():
        held: set[int] = set()
        for what, start, stop in listed:
            held = held | set(range(start, stop)) if what == "add" else held - set(range(start, stop))
        edges = [n for n in range(32) if (n in held) != (n - 1 in held)]
        missing = [n for n in range(17) if _is_edge(n, held)]
        found.append(
            {
                "name": name,
                "steps": listed,
                "pairs": [edges[i : i + 2] for i in range(0, len(edges), 2)],
                "count": len(held),
                "watermark": next(n for n in range(32) if n not in held),
                "missing_0_16": [missing[i : i + 2] for i in range(0, len(missing), 2)],
            }
        )
    return found


def _is_edge(n: int, held: set[int]) -> bool:
    inside = n < 16 and n not in held
    before = 0 <= n - 1 < 16 and n - 1 not in held
    return inside != before
