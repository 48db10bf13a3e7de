"""Faults planted into the real processes of a drill: `python -m tests.planted.drills NAME WORD...` starts one with the fault in.

The product has no switch for them: each is put over its own code here, before that code starts. PROCESS says of each whose it is; the
device's have programs of their own in device_process/. CAUGHT: part of the drills and name of the check by which it is found.
tests/canary/test_drills.py shows that it is.
"""

import sys

from tests.planted import site


def acknowledge_before_commit():
    """A gateway gives custody at once, and writes when it finds the time."""
    site.acknowledge_before_commit()


def receipt_before_commit():
    """An office answers with receipts at once, and commits when it finds the time."""
    site.receipt_before_commit()


def accept_unverified():
    """An office takes every segment for what it says it is."""
    from protocol.segment import Segment

    Segment.verify = lambda self, tag_key: None


def throw_evidence_away():
    """An office refuses what does not verify, and keeps nothing of it."""
    from office_ingest.storage.sqlite import SqliteStore

    SqliteStore.add_quarantine = lambda self, *arguments: None


def hear_no_silence():
    """An office never notices that a device is not heard any more."""
    from office_ingest.watch.silence import SilenceWatch

    SilenceWatch.check = lambda self, devices: ([], [])


def pass_over_heads():
    """An office takes heartbeats and does not look at what their heads say must exist."""
    from office_ingest.receive.heartbeats import Heartbeats

    Heartbeats._take_head = lambda self, heartbeat, lane_index, arrival: None


def explain_to_strangers():
    """A gateway tells whoever asks, at length, why he gets nothing."""
    from gateway.links.door import Door

    true_refuse = Door._refuse

    def refuse(self, request, code):
        true_send = self._socket.send

        def send(answer):
            answer.payload = (
                b"This gateway answers only requests under OSCORE keys that were made at provisioning. " * 3
            )
            true_send(answer)

        self._socket.send = send
        true_refuse(self, request, code)
        self._socket.send = true_send

    Door._refuse = refuse


def remember_strangers():
    """A gateway keeps every request of a minute, whoever sent it."""
    from gateway.links import udp

    udp.Door = lambda *arguments: None


def challenge_all_alike():
    """A gateway gives challenges to whoever is first, replayed or not."""
    from gateway.sessions import Session

    Session.challenged = property(lambda self: 1 << 60, lambda self, number: None)


def stumble_over_nonsense():
    """A gateway raises what nobody expects when a device's request is malformed."""
    from gateway.collector import Collector

    def malformed(self, device, error):
        raise RuntimeError(f"device {device.hex()} said {error}")

    Collector._malformed = malformed


PROCESS = {
    "acknowledge_before_commit": "gateway",
    "receipt_before_commit": "office",
    "skip_number": "device",
    "accept_unverified": "office",
    "throw_evidence_away": "office",
    "hear_no_silence": "office",
    "pass_over_heads": "office",
    "free_on_custody": "device",
    "explain_to_strangers": "gateway",
    "remember_strangers": "gateway",
    "challenge_all_alike": "gateway",
    "stumble_over_nonsense": "gateway",
}
CAUGHT = {
    "acknowledge_before_commit": ("kills", "lost"),
    "receipt_before_commit": ("kills", "lost"),
    "skip_number": ("kills", "proof"),
    "accept_unverified": ("rogue", "forged"),
    "throw_evidence_away": ("rogue", "noticed"),
    "hear_no_silence": ("rogue", "noticed"),
    "pass_over_heads": ("rogue", "noticed"),
    "free_on_custody": ("rogue", "gaps"),
    "explain_to_strangers": ("network", "amplification"),
    "remember_strangers": ("network", "memory"),
    "challenge_all_alike": ("network", "meanwhile"),
    "stumble_over_nonsense": ("network", "log"),
}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    globals()[name]()
    if PROCESS[name] == "gateway":
        from gateway.cli import main
    else:
        from office_ingest.cli import main
    main()
