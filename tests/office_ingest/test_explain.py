"""Any decision is explained from what its device sealed: found among many segments, with its rule as text and who released it."""

import pytest

from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.prove.explain import explain_decision, explanation_lines
from office_ingest.prove.report import Report
from office_ingest.prove.sealed import open_lane
from protocol.diagnostic import DiagnosticError
from protocol.event import DECISION
from protocol.keys import CRITICAL
from protocol.manifest import KIND
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle
from tests.support.deciding_device import DecidingDevice


@pytest.fixture
def device(desk):
    """A device that has decided, and whose segments the office holds, less three in the middle."""
    desk.registry.add_schema(SCHEMA)
    desk.registry.add_bundle(bundle())
    made = DecidingDevice(5, bundle())
    desk.add(made, name="pump")
    made.start()
    made.live()
    held = [
        segment
        for segment in made.all_segments()
        if segment.header.lane or segment.header.number not in (4, 5, 9)
    ]
    desk.take(*[segment.raw for segment in held], heartbeats=[made.heartbeat()])
    return made


def _decisions(desk, device):
    opened = open_lane(desk.store.connection, desk.keystore, device.device, CRITICAL, Report(has_keys=True))
    return [one.order for one in opened if one.event[2] == DECISION]


def _explain(desk, order=None):
    return explain_decision(desk.store.connection, desk.keystore, "pump", order)


def test_every_decision_that_is_held_is_found_by_its_order(desk, device):
    """Gaps and segments without decisions do not hide one, and no other order is taken for a decision."""
    held = _decisions(desk, device)
    found = []
    for order in range(device.order + 2):
        try:
            found.append(_explain(desk, order)["order"])
        except DiagnosticError:
            continue

    assert len(held) >= 3
    assert held == found
    assert held[-1] == _explain(desk)["order"]


def test_few_segments_are_opened_to_find_one(desk, device, monkeypatch):
    """Among hundreds of segments a decision is found by opening about as many as their number has binary digits."""
    from office_ingest.prove import explain

    first = _decisions(desk, device)[0]
    later = [device.seal(CRITICAL, [device.row(9, NOW_MS, 100)]) for _ in range(400)]
    desk.take(*later)
    opened = []
    open_events = explain.open_events
    monkeypatch.setattr(explain, "open_events", lambda *of: opened.append(1) or open_events(*of))

    assert first == _explain(desk, first)["order"]
    assert len(opened) <= 12


def test_rule_and_gate_are_told_as_text_from_the_bundle_itself(desk, device):
    """The rule that decided and the gate of what it asked for, and no other, in the words that an author signs off."""
    said = _explain(desk)
    rule, action = said["rule"], said["acts"][0]["action"]

    assert said["rule_text"].startswith(f"Rule {rule} (on)")
    assert f"ask for action {action}" in said["rule_text"]
    assert 1 == said["rule_text"].count("Guard of action")
    assert f"Guard of action {action}:" in said["rule_text"]
    assert said["rule_text"] in "\n".join(explanation_lines(said))


def test_release_and_signers_of_a_bundle_are_named(desk, device, tmp_path):
    """Who wrote the release that carries the bundle, and which keys signed it; before it, the bundle came by provisioning."""
    before = _explain(desk)["releases"]
    shelf = Shelf(desk.store)
    public, _, envelope = make_key(tmp_path / "key", now_ms=NOW_MS, **SMALL)
    shelf.add_root(public, envelope, NOW_MS)
    request = Request((KIND, "pump-node"), ["unix"], bundle(), b"source", "A. Author")
    number = build_release(shelf, request, NOW_MS).number
    with OpenSigner(tmp_path / "key") as signer:
        signed = sign_release(shelf, number, signer, NOW_MS + 1)
    (after,) = _explain(desk)["releases"]

    assert [] == before
    assert (number, "A. Author") == (after["number"], after["author"])
    assert [(signed.signatures[0].root.hex(), signed.signatures[0].leaf)] == [
        (one["root"], one["leaf"]) for one in after["signers"]
    ]
    assert any(
        line.startswith("brought by") and "A. Author" in line for line in explanation_lines(_explain(desk))
    )


def test_trace_is_the_beginning_of_the_segments_digest(desk, device):
    """The trace id of a decision is 16 bytes that the gateway and the device know too."""
    said = _explain(desk)

    assert said["segment"][:32] == said["trace"]
