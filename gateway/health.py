"""Counters, and the document that `status` shows. Counters go on over restarts; a kill costs what was counted since the last save."""

import json
from typing import Any

COUNTERS = {
    "segments": "segments stored",
    "duplicates": "segments that came again with the same digest",
    "forks": "segments with another digest than the one held",
    "malformed": "requests that were no segment or heartbeat",
    "wrong_device": "requests that spoke for another device",
    "oversized": "requests above the size limit",
    "unauthenticated": "requests without an authenticated claim",
    "public": "answers from what anybody may read",
    "announcements": "times that a board without keys announced itself",
    "custody_refused": "segments refused for want of room or a working disk",
    "heartbeats": "heartbeats taken",
    "heartbeats_dropped": "heartbeats that a newer one of the same device replaced in the queue",
    "forwarded": "segments that the office answered",
    "released": "segments given up after a receipt or as evidence in the office",
    "quarantined": "segments that the office put in quarantine",
    "uplink_failures": "attempts to reach the office that failed",
    "uplink_garbage": "answers of the office that were not well-formed",
    "bodies_fetched": "releases and parts fetched from the office",
    "bodies_refused": "releases and parts of the office that were not what was asked for",
    "fetch_failures": "attempts to fetch a release or part that brought none",
    "blocks_sent": "blocks of releases and parts sent to devices",
    "commands_sent": "commands handed to devices",
    "not_for_device": "requests for a release that is not for that device, or not here",
    "renewals": "times the certificate was renewed",
    "renewal_failures": "attempts to renew the certificate that failed",
    "authorities_taken": "times the office's certificate authorities were replaced by its newer ones",
    "store_reopened": "times the store was opened again after a failure of the disk",
    "store_repaired": "times the store was damaged and made whole from what verified",
    "serial_frames": "datagrams that came over serial lines",
    "serial_spoiled": "frames that noise on a serial line spoiled",
    "serial_skipped": "text and foreign frames on serial lines, passed over",
    "serial_unsent": "answers that found no room on a serial line, or no line",
    "serial_losses": "times a serial port went away",
    "views_replaced": "times the view keys of a device were replaced by what the office granted",
    "read": "segments of class site that were read with a granted key",
    "unreadable": "segments of class site whose body does not fit the granted key",
    "links_replaced": "times the office told other links of this site's devices",
    "links_refused": "times what the office told of links did not fit, and was asked for again",
    "revoked": "devices that the office called revoked: nobody serves them any more",
    "ble_frames": "datagrams that came over BLE",
    "ble_spoiled": "frames over BLE that were not whole, or not ours",
    "ble_unsent": "answers that found no room in a BLE connection, or no connection",
    "ble_losses": "times the Bluetooth adapter went away",
    **{
        f"{link}_{way}_bytes": f"bytes that devices {words} over {shown}"
        for link, shown in (("udp", "UDP"), ("serial", "serial lines"), ("ble", "BLE"))
        for way, words in (("received", "sent"), ("sent", "were sent"))
    },
    **{
        f"{link}_unproved_bytes": f"bytes, both ways, over {shown} of strangers, of what was sent again more often than devices do, and of "
        "old requests"
        for link, shown in (("udp", "UDP"), ("serial", "serial lines"), ("ble", "BLE"))
    },
    "bulk_held": "answers over a dear link that said that what can wait has to",
    "usage_told": "rows of what devices moved that the office was told",
    "usage_failures": "times that what devices moved could not be kept or told",
    "witness_failures": "times that the office could not be told which leaves signed",
    "scrubs": "times the whole store was read through while the gateway ran",
}


class Health:
    """What the gateway counts and says of itself. uplink: state word, seconds until the next attempt, reason.

    links: name of a line -> what it says of itself; UDP has none.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.uplink: dict[str, Any] = {"state": "starting", "failures": 0, "retry_in_s": 0.0, "reason": ""}
        self.store_fault = ""
        self.down: dict[str, object] = {}
        self.links: dict[str, dict[str, Any]] = {}
        self.identity: dict[str, int] = {}
        self.is_running = True

    def count(self, name: str, by: int = 1) -> None:
        """Count an event. An unknown name is our own mistake."""
        self.counts[name] += by

    def load(self, body: str | None) -> None:
        """Go on from the counters that the gateway saved before it stopped."""
        if body is not None:
            saved = json.loads(body).get("counts", {})
            for name in self.counts:
                self.counts[name] += int(saved.get(name, 0))

    def document(self) -> dict[str, Any]:
        """Return what is saved for `status`."""
        return {
            "running": self.is_running,
            "uplink": dict(self.uplink),
            "store_fault": self.store_fault,
            "down": dict(self.down),
            "links": dict(self.links),
            "identity": dict(self.identity),
            "counts": dict(self.counts),
        }

    def body(self) -> str:
        """Return the document as JSON."""
        return json.dumps(self.document(), sort_keys=True)
