"""The office proves the run of a demonstration: the proof of its site, how old things were, and whether the story was told."""

import sqlite3
from typing import Any

from office_ingest.receive.keystore import Keystore
from tools.demo.ages import Logs, Opened, drained_ms, measure, open_rows, read_log
from tools.demo.plan import Plan
from tools.demo.releases import release_figures
from tools.demo.story import Told
from tools.site import Site
from tools.site_proof import EXPECTED_FINDINGS, Proof, prove_site


def prove(site: Site, told: Told, plan: Plan) -> Proof:
    """Return the proof of a run whose processes have all ended."""
    proof = prove_site(site, expected=(*EXPECTED_FINDINGS, "rolled-back"))
    segments = _open(site)
    proof.figures |= {
        "gateway_kills": told.gateway_kills,
        "device_power_cuts": told.power_cuts,
        "events_thinned": sum(segment.thinned for segment in segments),
    }
    proof.figures |= release_figures(site.office_folder / "office.db")
    proof.figures |= _timing(told, segments, _logs(site))
    _judge(proof, told, plan)
    return proof


def _open(site: Site) -> list[Opened]:
    database = site.office_folder / "office.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    keystore = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        return list(open_rows(connection.execute("SELECT raw, committed_ms FROM segments"), keystore))
    finally:
        keystore.close()
        connection.close()


def _logs(site: Site) -> Logs:
    return {
        device: read_log(site.folder / service.name / "record.log")
        for device, service in zip(site.device_ids, site.devices, strict=True)
    }


def _timing(told: Told, segments: list[Opened], logs: Logs) -> dict[str, Any]:
    drained = drained_ms(segments, logs, told.mend_ms)
    ages = measure(segments, logs, (told.cut_ms, told.mend_ms), drained)
    return {
        "uplink_cut_s": round((told.mend_ms - told.cut_ms) / 1000, 3),
        "drain_s": round((drained - told.mend_ms) / 1000, 3),
        "age_ms_p50": ages.p50,
        "age_ms_p99": ages.p99,
        "age_ms_p99_settled": ages.settled_p99,
        "events_aged": ages.events,
        "seconds": round((told.stop_ms - told.start_ms) / 1000, 3),
    }


def _judge(proof: Proof, told: Told, plan: Plan) -> None:
    figures = proof.figures
    wraps = figures["ring_wraps"]
    checks = (
        (
            wraps >= plan.wraps_min,
            f"a ring wrapped {wraps} times in {plan.seconds:.0f} s, not {plan.wraps_min}",
        ),
        (told.power_cuts == 1 and told.gateway_kills == 1, "the story was not told to its end"),
        (told.kept, f"{figures['releases_adopted']} devices confirmed the changed rule, not all of them"),
        (
            told.taken_back,
            f"{figures['releases_rolled_back']} devices took the bad rule back, not all of them",
        ),
        (told.drained, "the gateway's outbox was not drained"),
        (
            figures["events_thinned"] > 0 or figures["run_replay_coverage"] == 1,
            f"no sample was given up, and run replay covers {figures['run_replay_coverage']:.1%} of them",
        ),
        (figures["run_replay_coverage"] > 0, "run replay covered nothing"),
    )
    proof.faults += [text for good, text in checks if not good]
