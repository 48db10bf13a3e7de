"""The office proves the run of a demonstration: the proof of its site, how old things were, and whether the story was told."""

import sqlite3
from typing import Any

from office_ingest.receive.keystore import Keystore
from protocol.segment import parse_segment
from tools.demo.ages import Ages, measure, orders, read_log
from tools.demo.story import Told
from tools.site import Site
from tools.site_proof import Proof, prove_site


def prove(site: Site, told: Told, plan_cut_s: float) -> Proof:
    """Return the proof of a run whose processes have all ended."""
    proof = prove_site(site)
    database = site.office_folder / "office.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    keystore = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        rows = connection.execute("SELECT raw, committed_ms FROM segments").fetchall()
        drained_ms = _drained_ms(rows, site, told, keystore)
        ages = _ages(rows, site, told, keystore, drained_ms)
    finally:
        keystore.close()
        connection.close()
    proof.figures |= {"gateway_kills": told.gateway_kills, "device_power_cuts": told.power_cuts}
    proof.figures |= _timing(told, plan_cut_s, drained_ms, ages)
    _judge(proof, told)
    return proof


def _drained_ms(rows: list[tuple], site: Site, told: Told, keystore: Keystore) -> int:
    """Return when the last event recorded before the uplink came back was committed."""
    drained = told.mend_ms
    logs = _logs(site)
    for raw, committed_ms in rows:
        segment = parse_segment(raw)
        log = logs.get(segment.header.device, {})
        if committed_ms > drained and any(
            log.get(order, told.end_ms) < told.mend_ms for order in orders(segment, keystore)
        ):
            drained = committed_ms
    return drained


def _logs(site: Site) -> dict[bytes, dict[int, int]]:
    return {
        device: read_log(site.folder / service.name / "record.log")
        for device, service in zip(site.device_ids, site.devices, strict=True)
    }


def _ages(rows: list[tuple], site: Site, told: Told, keystore: Keystore, drained_ms: int) -> Ages:
    segments = ((parse_segment(raw), committed_ms) for raw, committed_ms in rows)
    return measure(segments, _logs(site), keystore, (told.cut_ms, told.mend_ms), drained_ms)


def _timing(told: Told, cut_s: float, drained_ms: int, ages: Ages) -> dict[str, Any]:
    return {
        "uplink_cut_s": round((told.mend_ms - told.cut_ms) / 1000, 3) if told.mend_ms else cut_s,
        "drain_s": round((drained_ms - told.mend_ms) / 1000, 3),
        "age_ms_p50": ages.p50,
        "age_ms_p99": ages.p99,
        "age_ms_p99_settled": ages.settled_p99,
        "events_aged": ages.events,
        "seconds": round((told.stop_ms - told.start_ms) / 1000, 3),
    }


def _judge(proof: Proof, told: Told) -> None:
    figures = proof.figures
    checks = (
        (figures["ring_wraps"] >= 2, f"a ring wrapped only {figures['ring_wraps']} times"),
        (told.power_cuts == 1 and told.gateway_kills == 1, "the story was not told to its end"),
        (told.drained, "the gateway's outbox was not drained"),
        (figures["run_replay_coverage"] > 0, "run replay covered nothing"),
    )
    proof.faults += [text for good, text in checks if not good]
