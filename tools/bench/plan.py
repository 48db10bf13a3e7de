"""How much a run does, and the table of what can be run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tools.bench.fleet import Row, SealedDevice, Tell, make_fleet
from tools.bench.race import Case


class Plan(NamedTuple):
    """Counts of one run. Rates need some hundred milliseconds a lap; tests need only that everything happens.

    devices, samples: of the fleet that gateway, office and replay get. segments: of a gateway's lap, by writers.
    device_samples: readings of a device's lap, by medium. batches: deliveries on the link, by readings in each.
    decisions: of a replay's lap. requests: of a lap of the gateway's socket. full_segments: that each device sends there, of 100 events.
    restarted: devices under a gateway that starts anew.
    """

    rounds: int = 5
    devices: int = 64
    samples: int = 700
    segments: dict[int, int] = {1: 600, 16: 1920, 64: 3840}  # noqa: RUF012 -- never changed
    device_samples: dict[str, int] = {"ram": 3000, "file": 1000}  # noqa: RUF012
    batches: dict[int, int] = {100: 10, 1: 60}  # noqa: RUF012
    decisions: int = 4000
    requests: int = 3840
    full_segments: int = 40
    restarted: int = 500


class Work:
    """What every benchmark gets. rows: readings; folder: on the disk that is measured. The fleet is made when first asked for."""

    def __init__(self, plan: Plan, rows: list[Row], folder: Path, seed: int, tell: Tell):
        self.plan = plan
        self.rows = rows
        self.folder = folder
        self.seed = seed
        self.tell = tell
        self._fleet: list[SealedDevice] = []

    @property
    def fleet(self) -> list[SealedDevice]:
        """The devices with their sealed segments."""
        if not self._fleet:
            self.tell(f"{self.plan.devices} devices record and seal {self.plan.samples} readings each")
            self._fleet = make_fleet(self.rows, self.seed, self.plan.devices, self.plan.samples)
        return self._fleet


def _gateway(work: Work) -> list[Case]:
    from tools.bench.gateway_custody import run

    return run(work.fleet, work.folder, work.plan.rounds, work.tell, work.plan.segments)


def _office(work: Work) -> list[Case]:
    from tools.bench.office_ingest_rate import run

    return run(work.fleet, work.folder, work.plan.rounds, work.tell)


def _device(work: Work) -> list[Case]:
    from tools.bench.device_events import run

    return run(work.rows, work.folder, work.plan.rounds, work.tell, work.plan.device_samples)


def _link(work: Work) -> list[Case]:
    from tools.bench.link_bytes import run

    return run(work.rows, work.folder, work.seed, work.tell, work.plan.batches)


def _replay(work: Work) -> list[Case]:
    from tools.bench.replay_rate import run

    return run(work.fleet, work.plan.rounds, work.tell, work.plan.decisions)


def _requests(work: Work) -> list[Case]:
    from tools.bench.request_rate import FULL_EVENTS, run

    plan = work.plan
    samples = FULL_EVENTS * plan.full_segments
    work.tell(f"{plan.devices} devices record and seal {samples} readings each, {FULL_EVENTS} in a segment")
    full = make_fleet(work.rows, work.seed, plan.devices, samples, seal_every=FULL_EVENTS)
    return run(work.fleet, full, work.folder, plan.rounds, work.tell, plan.requests)


def _restart(work: Work) -> list[Case]:
    from tools.bench.restart_recovery import run

    return run(work.folder, work.plan.rounds, work.tell, work.plan.restarted)


BENCHMARKS: dict[str, Callable[[Work], list[Case]]] = {
    "gateway": _gateway,
    "office": _office,
    "device": _device,
    "link": _link,
    "replay": _replay,
    "requests": _requests,
    "restart": _restart,
}


def run_each(work: Work, names: list[str]) -> Iterator[tuple[str, list[Case]]]:
    """Run the named benchmarks in the order of the table and yield each with its cases; no case is empty without a reason."""
    for name, benchmark in BENCHMARKS.items():
        if name in names:
            cases = benchmark(work)
            assert cases and all(case.figures or case.skipped for case in cases), f"{name} measured nothing"
            yield name, cases
