"""What a gateway counts, as Prometheus reads it: made of the document that `status` shows, by whoever asks for it.

A gateway opens no port beside its links, so it serves none of this: a collector of the machine's own reads the file that
`outstation gateway metrics --out` writes. docs/operating/metrics.md has every name; a test compares.
"""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.health import COUNTERS

# Of the uplink, as docs/operating/gateway.md explains them.
STATES = (
    *("never ran", "starting", "idle", "sending", "unreachable", "busy", "refused", "confused", "failing"),
)


class _Look:
    """One status document."""

    def __init__(self, document: dict[str, Any]):
        self._said = document

    def collect(self) -> Iterator[Metric]:
        """Give every name with its values."""
        counts = self._said["counts"]
        for name, words in COUNTERS.items():
            yield CounterMetricFamily(
                f"outstation_gateway_{name}", f"{words[0].upper()}{words[1:]}.", counts.get(name, 0)
            )
        for name, words, value in self._gauges():
            yield GaugeMetricFamily(f"outstation_gateway_{name}", words, value)
        yield self._uplink()
        yield self._waiting()
        yield self._heard()

    def _gauges(self) -> Iterator[tuple[str, str, float]]:
        said, store = self._said, self._said["store"]
        yield (
            "running",
            "1 from its start until it ends in order; a kill leaves it at 1.",
            int(said["running"]),
        )
        if said["said_ago_s"] is not None:
            yield "said_age_seconds", "Seconds since it last said anything of itself.", said["said_ago_s"]
        yield "findings", "What status calls a finding.", len(said["findings"])
        yield "store_used_bytes", "Bytes of the store in use.", store["used_bytes"]
        yield "store_max_bytes", "Bytes that the store may use.", store["bytes_max"]
        yield "store_fault", "1 while the disk does not do what it is asked.", int(bool(store["fault"]))
        lanes = [lane for device in said["devices"] for lane in device["lanes"]]
        yield (
            "segments_missing",
            "Numbers below the newest held that are missing.",
            sum(lane["gaps"] for lane in lanes),
        )
        yield "segments_kept", "Segments whose bytes are still here.", sum(lane["kept"] for lane in lanes)

    def _uplink(self) -> Metric:
        words = "1 for the state that the uplink is in, 0 for the others."
        family = GaugeMetricFamily("outstation_gateway_uplink_state", words, labels=("state",))
        for state in STATES:
            family.add_metric([state], int(self._said["uplink"]["state"] == state))
        return family

    def _waiting(self) -> Metric:
        words = "What the office was not told of yet."
        family = GaugeMetricFamily("outstation_gateway_waiting", words, labels=("what",))
        for what, count in self._said["waiting"].items():
            family.add_metric([what], count)
        return family

    def _heard(self) -> Metric:
        words = "Seconds since the device that was heard last, and the one that was heard first."
        family = GaugeMetricFamily("outstation_gateway_heard_age_seconds", words, labels=("device",))
        ages = [one["heard_ago_s"] for one in self._said["devices"] if one["heard_ago_s"] is not None]
        if ages:
            family.add_metric(["newest"], min(ages))
            family.add_metric(["eldest"], max(ages))
        return family


def metrics_of(document: dict[str, Any]) -> bytes:
    """Return the text format of a status document."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Look(document))  # type: ignore[arg-type]  # duck-typed there
    return generate_latest(registry)
