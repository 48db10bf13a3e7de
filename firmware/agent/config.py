"""The settings of one device as the agent takes them: plain values, already checked by who wrote them.

Times are milliseconds: *device* ones run on the device's clock, *real* ones on the wall of the machine room.
"""

from binascii import unhexlify

from agent.adopter import AdoptSettings
from agent.trial import TrialSettings
from protocol.keys import OFFICE, SITE

_CLASSES = {"site": SITE, "office": OFFICE}


class Config:
    """Settings of one device; see docs/operating/device.md for each.

    device: identity, 8 bytes. kid, secret: of the link. classes: view class of (critical, routine).
    sample_ms, routine_seal_ms, period_s: device clock. heartbeat_ms, exchange_idle_ms, ack_timeout_ms, drain_ms: real.
    inputs_ms: real, between two counts of one channel's readings. link_day_bytes: allowance of the link, 0 none. bulk_window: as agent.bulk has it. thresholds: resource ->
    (low, scarce), thousandths left, over those of agent.resources. flash_keep: one sample of so many is recorded where flash is scarce, or None. cohort, kind, hardware: whom a release can mean. roots: public keys of 60 bytes that sign releases. adopt: AdoptSettings.
    """

    __slots__ = (
        "ack_timeout_ms",
        "adopt",
        "bulk_window",
        "classes",
        "clock_scale",
        "cohort",
        "device",
        "drain_ms",
        "exchange_idle_ms",
        "flash_keep",
        "hardware",
        "heartbeat_ms",
        "inputs_ms",
        "kid",
        "kind",
        "link_day_bytes",
        "period_s",
        "roots",
        "routine_seal_ms",
        "sample_ms",
        "secret",
        "thresholds",
    )

    def __init__(self, items: dict):
        link = items["link"]
        self.device = unhexlify(items["device"])
        self.kid = unhexlify(link["kid"])
        self.secret = unhexlify(link["secret"])
        self.classes = tuple([_CLASSES[name] for name in items.get("class", ("office", "site"))])
        self.sample_ms = items["sample_ms"]
        self.clock_scale = items.get("clock_scale", 1)
        self.heartbeat_ms = items.get("heartbeat_ms", 10000)
        self.exchange_idle_ms = items.get("exchange_idle_ms", 100)
        self.routine_seal_ms = items.get("routine_seal_ms", 600000)
        self.period_s = items.get("period_s", 86400)
        self.ack_timeout_ms = items.get("ack_timeout_ms", 2000)
        self.drain_ms = items.get("drain_ms", 10000)
        self.inputs_ms = items.get("inputs_ms", 3600000)
        self.link_day_bytes = items.get("link_day_bytes", 0)
        self.bulk_window = _window(items.get("bulk_window"))
        self.thresholds = items.get("resources") or {}
        self.flash_keep = items.get("flash_keep")
        self.cohort = items.get("cohort", "")
        self.kind = items.get("kind", "sensor")
        self.hardware = items.get("hardware", "unix")
        self.roots = [unhexlify(root) for root in items.get("roots", ())]
        self.adopt = AdoptSettings(TrialSettings(**items.get("trial", {})), **items.get("fetch", {}))


def _window(text):
    """Return the minutes of a window, or None. Most devices have none, and no use for what reads one: it is loaded where it is needed."""
    if not text:
        return None
    from protocol.window import parse_window

    return parse_window(text)
