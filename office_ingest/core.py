"""What judges and answers in an office, wired, below processes, threads and HTTP: the service and the simulated site share it."""

from collections.abc import Callable
from typing import Protocol

from office_ingest.config import Settings
from office_ingest.govern.links import Links
from office_ingest.govern.rollout import Rollouts
from office_ingest.govern.views import Views
from office_ingest.govern.witness import Seen, Witnesses
from office_ingest.health import heartbeat_seen_ms, pace_of
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.receive.usages import Usages
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.watch.budget import record_budgets
from office_ingest.watch.silence import SilenceWatch, record_silence
from office_ingest.watch.view_class import record_view_classes


class Clock(Protocol):
    """Two clocks: monotonic() in seconds, wall_ms() since 1970, which may jump."""

    def monotonic(self) -> float:
        """Return seconds of this boot."""

    def wall_ms(self) -> int:
        """Return the wall clock."""


class Core:
    """Everything here touches the store's connection: call it from one thread.

    heard: told of each device whose heartbeat was taken. reach: told where tests may end the process (`points`).
    """

    def __init__(
        self,
        settings: Settings,
        store: SqliteStore,
        keystore: Keystore,
        clock: Clock,
        *,
        reach: Callable[[str], None],
        heard: Callable[[bytes], None] = lambda device: None,
    ):
        self.store = store
        self.keystore = keystore
        self._clock = clock
        self._told = heard
        self.watch = SilenceWatch(
            interval_s=settings.heartbeat.interval_s,
            grace_s=settings.heartbeat.grace_s,
            monotonic=clock.monotonic,
            silent=store.devices_with_open_finding("silence"),
            kept_pace=lambda device: pace_of(store.connection, device),
            seen_apart_ms=lambda device: heartbeat_seen_ms(store.connection, device),
        )
        self.ingest = Ingest(
            store,
            keystore,
            wall_ms=clock.wall_ms,
            clock_error_ms=settings.clock.error_ms,
            heard=self._heard,
            views=Views(store, keystore),
            paced=self.watch.paced,
            takings=Takings(store, patience=settings.rollout.patience_heartbeats),
            reach=reach,
        )
        self.registry = Registry(store)
        self.rollouts = Rollouts(store)
        self.links = Links(store, keystore)
        self.witnesses = Witnesses(store)
        self.usages = Usages(store, keep_days=settings.usage.keep_days, wall_ms=clock.wall_ms)

    def _heard(self, device: bytes) -> None:
        self.watch.heard(device)
        self._told(device)

    def witness(self, gateway: str, seen: list[Seen], shown: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Return what a gateway is told of leaves that sign, and asked. Raises StoreUnavailable."""
        return self.witnesses.take(gateway, seen, shown, self._clock.wall_ms())

    def check_silence(self) -> None:
        """Record which devices fell silent or are heard again since the last call. Raises StoreUnavailable."""
        record_silence(self.watch, self.store, self._clock.wall_ms())

    def check_view_classes(self) -> None:
        """Record which devices seal in another class than they took, or no more. Raises StoreUnavailable."""
        record_view_classes(self.store, self._clock.wall_ms())

    def check_budgets(self) -> None:
        """Record which devices move more than they may, or no more. Raises StoreUnavailable."""
        record_budgets(self.store, self._clock.wall_ms())
