"""Cases for the golden vectors of short messages, answers, the uplink, checkpoint and schema."""

from typing import Any

from protocol.errors import MALFORMED, SEAL, TOO_LARGE, VERSION
from tools import vector_reference as reference

_DIGEST = bytes(range(32))
_TOP = (1 << 32) - 1
_HEAD = [3, 41, _DIGEST]
_HEALTH = {0: 90000, 1: 12, 2: 51200, 3: 1, 4: 0, 5: 0, 6: 2, 7: 5, 8: 0}


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content."""
    return {
        "messages.json": {
            "source": "SPEC.md section 5",
            "accept": _messages(),
            "reject": _message_reject(),
            "verify": _verify(),
        },
        "answer.json": {"source": "SPEC.md section 6", "accept": _answers(), "reject": _answer_reject()},
        "bulk.json": {"source": "SPEC.md section 6", "accept": _bulk(), "reject": _bulk_reject()},
        "routine_class.json": {"source": "SPEC.md section 5.4", "accept": _routine_class()},
        "uplink.json": {
            "source": "SPEC.md section 7",
            "requests": _requests(),
            "request_reject": _request_reject(),
            "answers": _uplink_answers(),
            "answer_reject": _uplink_answer_reject(),
        },
        "checkpoint.json": {
            "source": "SPEC.md section 4.4",
            "accept": [
                _document("checkpoint", "checkpoint", _CHECKPOINT),
                _document(
                    "with acts that wait",
                    "checkpoint",
                    {**_CHECKPOINT, 1: 3, 10: [[41, 0, 1], [_TOP, 1, -5]]},
                ),
                _document(
                    "after commands", "checkpoint", {**_CHECKPOINT, 1: 4, 11: 7, 12: {0: 60000, 2: 5000}}
                ),
            ],
            "reject": _document_reject("checkpoint", _CHECKPOINT, _CHECKPOINT_CHANGES),
        },
        "schema.json": {
            "source": "SPEC.md section 4.5",
            "accept": [_document("schema", "schema", _SCHEMA), _document("widest", "schema", _SCHEMA_WIDEST)],
            "reject": _document_reject("schema", _SCHEMA, _SCHEMA_CHANGES),
        },
    }


HEARTBEAT = [1, reference.DEVICE, 0, 2, 17, 123456, 0, _HEAD, [0, 9, _DIGEST], [1, _DIGEST], _HEALTH]
RECEIPT = [1, reference.DEVICE, 1, 0, 41, _DIGEST, 1]
TIME_TOKEN = [1, reference.DEVICE, 2, 17, 1_700_000_000_000, 20]
COMMAND = [1, reference.DEVICE, 3, 1_700_000_060_000, [0, 1, -5]]
_SEALERS: dict[str, Any] = {
    "heartbeat": reference.heartbeat,
    "receipt": reference.receipt,
    "time_token": reference.time_token,
    "command": reference.command,
}
_KEYS = {
    "heartbeat": reference.heartbeat_key(0),
    "receipt": reference.mac(reference.DOWNLINK, b"receipt"),
    "time_token": reference.mac(reference.DOWNLINK, b"time"),
    "command": reference.mac(reference.DOWNLINK, b"command"),
}


def _messages() -> list[dict]:
    null = [*HEARTBEAT[:7], None, None, *HEARTBEAT[9:10], {}]
    half = [*HEARTBEAT[:8], None, *HEARTBEAT[9:]]
    longest = [1, b"\xff" * 8, *[_TOP] * 3, 1 << 62, _TOP, [_TOP, _TOP, _DIGEST], [_TOP, _TOP, _DIGEST]]
    longest += [[1 << 62, _DIGEST], dict.fromkeys(range(9), -(1 << 64))]
    cases: list[tuple] = [
        ("heartbeat", "heartbeat", HEARTBEAT),
        ("heartbeat before the first segment", "heartbeat", null),
        ("heartbeat with one head", "heartbeat", half),
        ("heartbeat with a counter not known", "heartbeat", [*HEARTBEAT[:10], {0: 1, 200: -5}]),
        ("heartbeat of the longest integers", "heartbeat", longest),
        ("receipt", "receipt", RECEIPT),
        ("receipt of the longest integers", "receipt", [1, b"\xff" * 8, 1, _TOP, _TOP, _DIGEST, _TOP]),
        ("receipt of number 0", "receipt", [1, reference.DEVICE, 0, 0, 0, _DIGEST, 0]),
        ("time token", "time_token", TIME_TOKEN),
        ("time token of the longest integers", "time_token", [1, b"\xff" * 8, _TOP, _TOP, 1 << 62, 1 << 62]),
        ("command to an actuator", "command", COMMAND),
        ("command to a setting", "command", [*COMMAND[:4], [1, 0, 60000]]),
        ("command to report", "command", [*COMMAND[:4], [2]]),
        ("command of a later kind", "command", [*COMMAND[:4], [255, 1, -2, 3, 4]]),
        (
            "command of the longest integers",
            "command",
            [1, b"\xff" * 8, _TOP, 1 << 62, [0, 1 << 62, -(1 << 64)]],
        ),
    ]
    return [
        {"name": name, "rule": rule, "fields": fields, "key": _KEYS[rule], "hex": _SEALERS[rule](fields)}
        for name, rule, fields in cases
    ]


def _routine_class() -> list[dict]:
    """Return commands that change the view class of the routine lane: a setting that came after the others were frozen."""
    cases = [("routine lane in class site", 1), ("routine lane in class office", 2)]
    return [
        {
            "name": name,
            "rule": "command",
            "fields": (fields := [*COMMAND[:4], [1, 5, value]]),
            "key": _KEYS["command"],
            "hex": reference.command(fields),
        }
        for name, value in cases
    ]


_CHANGES: dict[str, tuple] = {
    "heartbeat": (
        *(("version", 0, 2, VERSION), ("version", 0, None, MALFORMED), ("device", 1, bytes(7), MALFORMED)),
        *(
            ("generation", 2, -1, MALFORMED),
            ("generation", 2, 1 << 32, MALFORMED),
            ("boot", 3, 1 << 32, MALFORMED),
        ),
        *(("counter", 4, 1 << 32, MALFORMED), ("counter", 4, True, MALFORMED), ("tick_ms", 5, -1, MALFORMED)),
        *(
            ("epoch", 6, 1 << 32, MALFORMED),
            ("critical", 7, [3, 41], MALFORMED),
            ("critical", 7, 0, MALFORMED),
        ),
        *(("critical: kept_from", 7, [-1, 41, _DIGEST], MALFORMED), ("routine", 8, [], MALFORMED)),
        *(("critical: number", 7, [3, 1 << 32, _DIGEST], MALFORMED),),
        *(("routine: digest", 8, [0, 9, bytes(31)], MALFORMED), ("bundle", 9, [1], MALFORMED)),
        *(("bundle: version", 9, [-1, _DIGEST], MALFORMED), ("bundle: digest", 9, [1, bytes(8)], MALFORMED)),
        *(
            ("health", 10, [], MALFORMED),
            ("health: key", 10, {-1: 0}, MALFORMED),
            ("health: value", 10, {0: None}, MALFORMED),
        ),
    ),
    "receipt": (
        *(("version", 0, 2, VERSION), ("device", 1, bytes(9), MALFORMED), ("lane", 2, 2, MALFORMED)),
        *(
            ("epoch", 3, 1 << 32, MALFORMED),
            ("number", 4, -1, MALFORMED),
            ("digest", 5, bytes(31), MALFORMED),
        ),
        ("generation", 6, 1 << 32, MALFORMED),
    ),
    "time_token": (
        *(("version", 0, 2, VERSION), ("device", 1, b"", MALFORMED), ("boot", 2, 1 << 32, MALFORMED)),
        *(("counter", 3, -1, MALFORMED), ("wall_ms", 4, -1, MALFORMED), ("error_ms", 5, -1, MALFORMED)),
    ),
    "command": (
        *(("version", 0, 2, VERSION), ("device", 1, bytes(7), MALFORMED), ("number", 2, 0, MALFORMED)),
        *(("number", 2, 1 << 32, MALFORMED), ("until_ms", 3, -1, MALFORMED), ("demand", 4, [], MALFORMED)),
        *(("demand", 4, [0, 1], MALFORMED), ("demand", 4, [2, 0], MALFORMED), ("demand", 4, 2, MALFORMED)),
        *(("demand: kind", 4, [256], MALFORMED), ("demand: value", 4, [0, 1, None], MALFORMED)),
        *(("demand: setting", 4, [1, 256, 1], MALFORMED), ("demand: too long", 4, [3] * 6, MALFORMED)),
    ),
}
_GOOD = {"heartbeat": HEARTBEAT, "receipt": RECEIPT, "time_token": TIME_TOKEN, "command": COMMAND}


def _message_reject() -> list[dict]:
    found = []
    for rule, good in _GOOD.items():
        seal = _SEALERS[rule]
        for name, at, bad, code in _CHANGES[rule]:
            raw = seal([*good[:at], bad, *good[at + 1 :]])
            found.append(_bad(rule, f"{rule}: {name} is {bad!r:.24}", raw, code))
        found.append(_bad(rule, f"{rule}: an item missing", seal(good[:-1])))
        found.append(_bad(rule, f"{rule}: an item too many", seal([*good, 0])))
        found.append(_bad(rule, f"{rule}: a map", seal({0: 1})))
        found += _frame_reject(rule, seal(good), good)
    return found


def _frame_reject(rule: str, raw: bytes, good: list) -> list[dict]:
    payload, tag = reference.cbor(good), raw[-8:]
    protected = reference.cbor({1: 4})
    frames: list[tuple[str, list]] = [
        ("protected: HMAC 256/256", [reference.cbor({1: 5}), {}, payload, tag]),
        ("unprotected: not empty", [protected, {4: b""}, payload, tag]),
        ("payload: text", [protected, {}, "", tag]),
        ("tag: 7 bytes", [protected, {}, payload, tag[:7]]),
        ("tag: 32 bytes", [protected, {}, payload, bytes(32)]),
        ("three items", [protected, {}, payload]),
    ]
    found = [_bad(rule, f"{rule}: {name}", reference.cbor(frame)) for name, frame in frames]
    found.append(_bad(rule, f"{rule}: a byte after the end", raw + b"\0"))
    found.append(_bad(rule, f"{rule}: 401 bytes", raw + bytes(401 - len(raw)), TOO_LARGE))
    return found


def _bad(rule: str, name: str, raw: bytes, code: int = MALFORMED, shape: bool = True) -> dict:
    return {"name": name, "rule": rule, "hex": raw, "code": code, "shape": shape}


def _verify() -> list[dict]:
    found = []
    for rule, good in _GOOD.items():
        raw = _SEALERS[rule](good)
        changed = bytearray(raw)
        changed[-1] ^= 1
        payload = reference.cbor(good)
        other = reference.mac0(4, b"outstation other v1", payload, _KEYS[rule], 8)
        for name, bad, key in (
            ("last bit of the tag", bytes(changed), _KEYS[rule]),
            ("another key", raw, reference.DOWNLINK),
            ("another external_aad", other, _KEYS[rule]),
        ):
            found.append({"name": f"{rule}: {name}", "rule": rule, "hex": bad, "key": key, "code": SEAL})
    return found


def _answer_map(**parts: Any) -> dict:
    names = ("custody", "wants", "receipts", "time_token", "release", "command", "bulk_s")
    return {names.index(name): value for name, value in parts.items()}


def _answers() -> list[dict]:
    receipt, token = reference.receipt(RECEIPT), reference.time_token(TIME_TOKEN)
    cases: dict[str, dict] = {
        "nothing to say": {},
        "custody": {"custody": [[0, 0, 42]]},
        "custody of four": {"custody": [[0, 0, 42], [1, 0, 9], [0, 1, 0], [1, _TOP, 1 << 32]]},
        "a want": {"wants": [[0, 0, 3, 5]]},
        "eight wants": {"wants": [[1, 0, 10 * i, 10 * i + 2] for i in range(8)]},
        "a receipt": {"receipts": [receipt]},
        "three receipts": {"receipts": [receipt] * 3},
        "a time token": {"time_token": token},
        "a release": {"release": 12},
        "a command": {"command": 0},
        "everything": {
            "custody": [[0, 0, 42], [1, 0, 9]],
            "wants": [[0, 0, 3, 5]],
            "receipts": [receipt, receipt],
            "time_token": token,
            "release": 1,
            "command": 2,
        },
    }
    return _good_answers(cases)


def _good_answers(cases: dict[str, dict]) -> list[dict]:
    return [
        {"name": name, "rule": "answer", "fields": parts, "hex": reference.cbor(_answer_map(**parts))}
        for name, parts in cases.items()
    ]


def _bulk() -> list[dict]:
    """Return answers that say how long what can wait shall: a key that came after the others were frozen."""
    cases: dict[str, dict] = {
        "bulk waits": {"bulk_s": 86400},
        "bulk waits beside all else": {
            "custody": [[0, 0, 42], [1, 0, 9]],
            "wants": [[0, 0, 3, 5]],
            "receipts": [reference.receipt(RECEIPT)] * 2,
            "time_token": reference.time_token(TIME_TOKEN),
            "release": 1,
            "command": 2,
            "bulk_s": 61,
        },
    }
    return _good_answers(cases)


def _bulk_reject() -> list[dict]:
    cases: list[tuple] = [("bulk: below zero", {6: -1}), ("bulk: null", {6: None})]
    return [_bad("answer", name, reference.cbor(value)) for name, value in cases]


def _answer_reject() -> list[dict]:
    cases: list[tuple] = [
        ("custody: empty", {0: []}),
        ("custody: five", {0: [[0, 0, 1]] * 5}),
        ("custody: two items", {0: [[0, 0]]}),
        ("custody: lane", {0: [[2, 0, 1]]}),
        ("custody: epoch", {0: [[0, 1 << 32, 1]]}),
        ("custody: watermark", {0: [[0, 0, -1]]}),
        ("want: empty", {1: []}),
        ("want: nine", {1: [[0, 0, 1, 2]] * 9}),
        ("want: lane", {1: [[-1, 0, 1, 2]]}),
        ("want: epoch", {1: [[0, -1, 1, 2]]}),
        ("want: start", {1: [[0, 0, 1 << 32, 2]]}),
        ("want: stop", {1: [[0, 0, 1, None]]}),
        ("receipts: empty", {2: []}),
        ("receipts: four", {2: [reference.receipt(RECEIPT)] * 4}),
        ("receipts: text", {2: ["receipt"]}),
        ("time token: null", {3: None}),
        ("release: below zero", {4: -1}),
        ("command: text", {5: "2"}),
        ("not a map", []),
    ]
    found = [_bad("answer", name, reference.cbor(value)) for name, value in cases]
    found.append(_bad("answer", "513 bytes", reference.cbor({9: bytes(508)}), TOO_LARGE))
    return found


def _requests() -> list[dict]:
    segments, heartbeat = [b"\x84" + bytes(3), bytes(512)], reference.heartbeat(HEARTBEAT)
    cases: dict[str, tuple] = {
        "nothing": ([], []),
        "segments and a heartbeat": (segments, [heartbeat]),
        "as many as there may be": ([b"s"] * 512, [b"h"] * 256),
    }
    return [
        {
            "name": name,
            "rule": "uplink_request",
            "segments": list(held),
            "heartbeats": list(beats),
            "hex": reference.cbor({0: list(held), 1: list(beats)}),
        }
        for name, (held, beats) in cases.items()
    ]


def _request_reject() -> list[dict]:
    cases: list[tuple] = [
        ("segments missing", {1: []}, MALFORMED),
        ("heartbeats missing", {0: []}, MALFORMED),
        ("segments: a map", {0: {}, 1: []}, MALFORMED),
        ("segments: an empty one", {0: [b""], 1: []}, MALFORMED),
        ("segments: text", {0: ["s"], 1: []}, MALFORMED),
        ("segments: 513 bytes", {0: [bytes(513)], 1: []}, TOO_LARGE),
        ("segments: 513 of them", {0: [b"s"] * 513, 1: []}, TOO_LARGE),
        ("heartbeats: an empty one", {0: [], 1: [b""]}, MALFORMED),
        ("heartbeats: a number", {0: [], 1: [0]}, MALFORMED),
        ("heartbeats: 401 bytes", {0: [], 1: [bytes(401)]}, TOO_LARGE),
        ("heartbeats: 257 of them", {0: [], 1: [b"h"] * 257}, TOO_LARGE),
        ("not a map", [[], []], MALFORMED),
    ]
    return [_bad("uplink_request", name, reference.cbor(value), code) for name, value, code in cases]


def _uplink_parts(**parts: Any) -> dict[str, Any]:
    return {**reference.NO_ANSWER, **parts}


def _uplink_answers() -> list[dict]:
    receipt, token = reference.receipt(RECEIPT), reference.time_token(TIME_TOKEN)
    cases: dict[str, dict] = {
        "nothing": _uplink_parts(),
        "every outcome": _uplink_parts(outcomes=[0, 1, 2, 17, 21, 32], heartbeat_outcomes=[8, 9, 21]),
        "everything": _uplink_parts(
            outcomes=[0],
            heartbeat_outcomes=[8],
            receipts=[receipt, receipt],
            time_tokens=[token],
            wants=[[reference.DEVICE, 0, 0, 3, 5], [reference.DEVICE, 1, _TOP, _TOP, 1 << 32]],
        ),
        "what goes down": _uplink_parts(
            heartbeat_outcomes=[8, 9],
            releases=[[reference.DEVICE, 12], [b"\xff" * 8, 0]],
            commands=[reference.command(COMMAND)],
        ),
    }
    return [
        {
            "name": name,
            "rule": "uplink_answer",
            "fields": parts,
            "hex": reference.cbor(dict(enumerate(parts.values()))),
        }
        for name, parts in cases.items()
    ]


def _uplink_answer_reject() -> list[dict]:
    good = dict(enumerate(_uplink_parts().values()))
    device = reference.DEVICE
    cases: list[tuple] = [
        ("outcomes: below zero", {0: [-1]}, MALFORMED, True),
        ("outcomes: 256", {0: [256]}, MALFORMED, True),
        ("outcomes: 513 of them", {0: [0] * 513}, TOO_LARGE, True),
        ("heartbeat outcomes: text", {1: ["8"]}, MALFORMED, True),
        ("heartbeat outcomes: 257 of them", {1: [8] * 257}, TOO_LARGE, True),
        ("receipts: null", {2: [None]}, MALFORMED, True),
        ("receipts: 401 bytes", {2: [bytes(401)]}, TOO_LARGE, True),
        ("receipts: 1537 of them", {2: [b"\0"] * 1537}, TOO_LARGE, True),
        ("time tokens: a map", {3: {}}, MALFORMED, True),
        ("time tokens: an empty one", {3: [b""]}, MALFORMED, True),
        ("wants: device", {4: [[bytes(7), 0, 0, 1, 2]]}, MALFORMED, True),
        ("wants: lane", {4: [[device, 2, 0, 1, 2]]}, MALFORMED, True),
        ("wants: epoch", {4: [[device, 0, 1 << 32, 1, 2]]}, MALFORMED, True),
        ("wants: start", {4: [[device, 0, 0, -1, 2]]}, MALFORMED, True),
        ("wants: stop", {4: [[device, 0, 0, 1, None]]}, MALFORMED, True),
        ("wants: four items", {4: [[device, 0, 0, 1]]}, MALFORMED, True),
        ("wants: 1025 of them", {4: [[device, 0, 0, 1, 2]] * 1025}, TOO_LARGE, True),
        ("releases: empty", {5: []}, MALFORMED, True),
        ("releases: device", {5: [[bytes(9), 1]]}, MALFORMED, True),
        ("releases: number", {5: [[device, 1 << 32]]}, MALFORMED, True),
        ("releases: three items", {5: [[device, 1, 2]]}, MALFORMED, True),
        ("releases: 257 of them", {5: [[device, 1]] * 257}, TOO_LARGE, True),
        ("commands: empty", {6: []}, MALFORMED, True),
        ("commands: text", {6: ["command"]}, MALFORMED, True),
        ("commands: 401 bytes", {6: [bytes(401)]}, TOO_LARGE, True),
        ("commands: 257 of them", {6: [b"\0"] * 257}, TOO_LARGE, True),
    ]
    rule = "uplink_answer"
    found = [
        _bad(rule, name, reference.cbor({**good, **bad}), code, shape) for name, bad, code, shape in cases
    ]
    for key in range(5):
        short = {k: v for k, v in good.items() if k != key}
        found.append(_bad(rule, f"key {key} missing", reference.cbor(short)))
    return found


_CHECKPOINT: dict = {
    0: 1,
    1: 0,
    2: 36000,
    3: [1, _DIGEST],
    4: _DIGEST,
    5: _DIGEST,
    6: 1,
    7: [[0, 1], []],
    8: [[0, 1], [1, 0]],
    9: 0,
}
_CHECKPOINT_CHANGES: tuple = (
    *(("format", 0, 2), ("reason", 1, 5), ("now", 2, -1), ("bundle", 3, [1, bytes(8)]), ("schema", 4, None)),
    *(("agent", 5, bytes(31)), ("semantics", 6, -1), ("actuators", 8, [[0]]), ("period_start", 9, -1)),
    *(("pending", 10, []), ("pending", 10, [[41, 0]]), ("pending", 10, [[-1, 0, 1]])),
    *(("commands", 11, -1), ("commands", 11, None), ("settings", 12, {}), ("settings", 12, {256: 1})),
    ("settings", 12, {0: -1}),
)
_SCHEMA: list = [1, [["flow", "l/s", -2, 0, 500_000, 0], ["temperature", "Cel", -1, -400, 1250, 48]]]
_SCHEMA_WIDEST: list = [
    1,
    [[f"channel {i}", "%RH", 18 - 36 * (i % 2), -_TOP, _TOP, 65_535] for i in range(8)],
]


def _channels(**changes: Any) -> list:
    names = ("name", "unit", "scale", "low", "high", "stuck_after")
    channel = dict(zip(names, _SCHEMA[1][0], strict=True))
    return [list({**channel, **changes}.values())]


_SCHEMA_CHANGES: tuple = (
    *(("version", 0, 2), ("channels", 1, []), ("channels", 1, _SCHEMA_WIDEST[1] + _SCHEMA[1])),
    *(("name", 1, _channels(name=b"flow")), ("unit", 1, _channels(unit=None))),
    *(("scale", 1, _channels(scale="-2")), ("low", 1, _channels(low=None)), ("high", 1, _channels(high=b""))),
    ("stuck_after", 1, _channels(stuck_after=-1)),
    *(
        ("scale", 1, _channels(scale=19)),
        ("low", 1, _channels(low=-_TOP - 1)),
        ("high", 1, _channels(high=_TOP + 1)),
    ),
    ("stuck_after", 1, _channels(stuck_after=65_536)),
)


def _document(name: str, rule: str, value: Any) -> dict:
    return {"name": name, "rule": rule, "value": value, "hex": reference.cbor(value)}


def _document_reject(rule: str, good: Any, changes: tuple) -> list[dict]:
    found = []
    for name, at, bad in changes:
        value = dict(good) if isinstance(good, dict) else list(good)
        value[at] = bad
        code = VERSION if rule == "schema" and name == "version" else MALFORMED
        found.append(_bad(rule, f"{name} is {bad!r:.30}", reference.cbor(value), code))
    return found
