"""How often the parts of a simulated site come by: less often than as shipped where that costs a wake-up and finds nothing."""

import contextlib
import functools
import logging
from typing import NamedTuple

from agent import app as agent_app
from agent import telemetry
from agent.watchdog import Watchdog
from gateway import app as gateway_app
from rules import translate


class Pace(NamedTuple):
    """Seconds of a site's clock.

    sample_s, heartbeat_s, seal_s, idle_s: of a device's settings, idle_s between two exchanges. check_s: how often the office looks who
    is silent. look_s: how often a device looks whether anything but a sample is due, instead of every 50 ms. health_s: how often it
    records its health, instead of every minute. save_s: how often a gateway saves its own, instead of every other second.
    """

    sample_s: int = 600
    heartbeat_s: int = 3600
    seal_s: int = 3 * 3600
    idle_s: int = 180
    check_s: int = 900
    look_s: int = 300
    health_s: int = 1800
    save_s: int = 3600


@contextlib.contextmanager
def keeping(pace):
    """While inside, devices and gateways keep that pace, a device may be away from looking for as much longer, and hosts write no logs."""
    kept = agent_app._SLEEP_MS, telemetry.HEALTH_MS, gateway_app.HEALTH_INTERVAL_S, Watchdog.expect
    levels = {name: logging.getLogger(name).level for name in ("gateway", "office_ingest")}
    agent_app._SLEEP_MS, telemetry.HEALTH_MS = pace.look_s * 1000, pace.health_s * 1000
    gateway_app.HEALTH_INTERVAL_S, Watchdog.expect = float(pace.save_s), _expecting(pace, Watchdog.expect)
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        agent_app._SLEEP_MS, telemetry.HEALTH_MS, gateway_app.HEALTH_INTERVAL_S, Watchdog.expect = kept
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@functools.lru_cache(maxsize=256)
def _compiled(source):
    return compile(source, "<rule>", "exec")


@contextlib.contextmanager
def compiling_once():
    """While inside, the text of a rule is compiled once: each boot and each replay runs it in names of its own."""
    translate.exec = lambda source, names: exec(_compiled(source), names)
    try:
        yield
    finally:
        del translate.exec


def _expecting(pace, expect):
    def longer(self, name, away_ms_max, now_ms):
        expect(self, name, away_ms_max + (pace.look_s * 1000 if name == "sampling" else 0), now_ms)

    return longer
