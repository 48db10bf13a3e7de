"""Faults planted into the real processes of a drill: `python -m tests.planted.drills NAME WORD...` starts one with the fault in.

The product has no switch for them: each is put over its own code here, before that code starts. PROCESS says of each whose it is; the
device's have programs of their own in device_process/. CAUGHT: part of the drills, and the names of the checks by which it is found.
tests/canary/test_drills.py shows that it is.
"""

import os
import sys
import time

from tests.planted import site

# Later than any drill ends, however long it drains: else what was acknowledged too early is written in time after all.
_NEVER_S = 3600.0
# Segments in one request from which on it is a backlog.
_BACKLOG = 8
# What an office overlooks before its eyes are open: three heartbeats of a drill and more.
_BLIND_S = 5.0
# A segment number in so many is touched by a fault that must not touch its neighbours.
_EVERY = 8


def acknowledge_before_commit():
    """A gateway gives custody at once, and writes when it finds the time."""
    site.LATE_S = _NEVER_S
    site.acknowledge_before_commit()


def receipt_before_commit():
    """An office answers with receipts at once, and commits when it finds the time."""
    site.LATE_S = _NEVER_S
    site.receipt_before_commit()


def accept_unverified():
    """An office takes every segment for what it says it is."""
    from protocol.segment import Segment

    Segment.verify = lambda self, tag_key: None


def believe_token():
    """An office takes whatever comes with a gateway's token for what a device sealed: it looks at no seal and into no body."""
    from office_ingest.receive.ingest import Ingest
    from office_ingest.storage.interface import Tally

    accept_unverified()
    Ingest._open = lambda self, segment, arrival: Tally(segments=1, events=segment.header.count)


def throw_evidence_away():
    """An office refuses what does not verify, and keeps nothing of it."""
    from office_ingest.storage.sqlite import SqliteStore

    SqliteStore.add_quarantine = lambda self, *arguments: None


def suspect_all():
    """An office puts honest segments into quarantine as well as into its books."""
    from office_ingest.storage.sqlite import SqliteStore
    from protocol.errors import MALFORMED

    true_add = SqliteStore.add_segment

    def add_segment(self, segment, arrival, committed_ms):
        true_add(self, segment, arrival, committed_ms)
        self.add_quarantine(segment.header.device, MALFORMED, "suspect", segment.raw, arrival)

    SqliteStore.add_segment = add_segment


def overlook_at_first():
    """An office keeps what it refuses only from some time after the first of it on."""
    from office_ingest.storage.sqlite import SqliteStore

    true_add, first = SqliteStore.add_quarantine, []

    def add_quarantine(self, *arguments):
        first.append(time.monotonic())
        if first[-1] - first[0] > _BLIND_S:
            true_add(self, *arguments)

    SqliteStore.add_quarantine = add_quarantine


def count_twice():
    """An office counts events of some segments that they do not have."""
    from office_ingest.storage.sqlite import SqliteStore

    true_add = SqliteStore.add_segment

    def add_segment(self, segment, arrival, committed_ms):
        true_add(self, segment, arrival, committed_ms)
        header = segment.header
        # Not this one: its neighbours are held against its count.
        self.connection.execute(
            "UPDATE segments SET count = count + 1 WHERE device = ? AND lane = ? AND epoch = ? AND number = ? - 3 AND number % ? = 0",
            (header.device, header.lane, header.epoch, header.number, _EVERY),
        )

    SqliteStore.add_segment = add_segment


def lose_of_a_backlog():
    """An office loses one segment of each long request after it has given a receipt for it."""
    from office_ingest.receive.ingest import Ingest
    from protocol.segment import parse_segment

    true_take = Ingest.take

    def take(self, gateway, segments, heartbeats):
        answer = true_take(self, gateway, segments, heartbeats)
        if len(segments) > _BACKLOG:
            lost = parse_segment(segments[0]).digest
            self._store.connection.execute("DELETE FROM segments WHERE digest = ?", (lost,))
        return answer

    Ingest.take = take


def keep_first_of_two():
    """An office keeps the first of two segments for a number, and says no word of the second."""
    from office_ingest.storage.sqlite import SqliteStore

    true_add = SqliteStore.add_finding

    def add_finding(self, device, kind, *arguments):
        if kind != "fork":
            true_add(self, device, kind, *arguments)

    SqliteStore.add_finding = add_finding
    SqliteStore.add_fork = lambda self, *arguments: None


def contradict_repeated():
    """An office takes a segment that comes again for a contradiction."""
    from office_ingest.receive.ingest import Ingest
    from protocol.uplink import DUPLICATE

    true_known = Ingest._known_device

    def known_device(self, segment, arrival):
        outcome = true_known(self, segment, arrival)
        return (
            self._fork(segment, segment.header.number, "place", arrival) if outcome == DUPLICATE else outcome
        )

    Ingest._known_device = known_device


def hear_no_silence():
    """An office never notices that a device is not heard any more."""
    from office_ingest.watch.silence import SilenceWatch

    SilenceWatch.check = lambda self, devices: ([], [])


def see_no_double():
    """An office says no word of two devices that have the keys of one."""
    from office_ingest.storage.sqlite import SqliteStore

    true_add = SqliteStore.add_finding

    def add_finding(self, device, kind, *arguments):
        if kind not in ("clone", "fork"):
            true_add(self, device, kind, *arguments)

    SqliteStore.add_finding = add_finding


def tell_no_gateway():
    """An office refuses who was revoked, and lets its gateways serve him on."""
    from office_ingest.storage.sqlite import SqliteStore

    SqliteStore.revoked_of_site = lambda self, gateway: []


def pass_over_heads():
    """An office takes heartbeats and does not look at what their heads say must exist."""
    from office_ingest.receive.heartbeats import Heartbeats

    Heartbeats._take_head = lambda self, heartbeat, lane_index, arrival: None


def explain_to_strangers():
    """A gateway tells whoever asks, at length, why he gets nothing."""
    from gateway.links.server import CoapServer
    from gateway.links.site import Site

    words = b"This gateway answers only requests under OSCORE keys that were made at provisioning. " * 3
    true_admit = Site.admit

    def admit(self, request, peer, **more):
        verdict = true_admit(self, request, peer, **more)
        if verdict.answer is not None and not verdict.is_kept:
            verdict.answer.payload = words
        return verdict

    Site.admit = admit
    CoapServer._is_bounded = lambda *_: True


def die_of_strangers():
    """A gateway ends when somebody without keys asks it something."""
    from gateway.links.site import Site

    true_admit = Site.admit

    def admit(self, request, peer, **more):
        verdict = true_admit(self, request, peer, **more)
        if verdict.answer is not None and not verdict.is_kept:
            os._exit(3)
        return verdict

    Site.admit = admit


def remember_strangers():
    """A gateway keeps every request of a minute, whoever sent it, with room for its answer."""
    from gateway.links import remembered
    from gateway.links.site import Site
    from protocol.coap import datagram_bytes_max

    true_admit = Site.admit
    remembered.Remembered.__init__.__kwdefaults__ = {"bytes_max": 1 << 40, "peer_bytes_max": 1 << 40}

    kept = []

    def admit(self, request, peer, **more):
        kept.append((request, b"\1" * datagram_bytes_max))
        return true_admit(self, request, peer, **more)._replace(is_kept=True)

    Site.admit = admit


def challenge_all_alike():
    """A gateway gives challenges to whoever is first, replayed or not."""
    from gateway.sessions import Session

    Session.challenged = property(lambda self: 1 << 60, lambda self, number: None)


def challenge_without_limit():
    """A gateway gives a challenge, and a number of its sequence with it, to every replay."""
    from gateway.sessions import Sessions

    Sessions._may_challenge = lambda self, device: True


def answer_all_well():
    """A gateway answers that all is well when a device's request is malformed."""
    from gateway.collector import Collector, Reply
    from protocol.coap import CHANGED

    Collector._malformed = lambda self, device, error: Reply(CHANGED)


def count_no_nonsense():
    """A gateway refuses nonsense and counts none of it."""
    from gateway.health import Health

    true_count = Health.count

    def count(self, name, by=1):
        if name not in ("malformed", "wrong_device"):
            true_count(self, name, by)

    Health.count = count


def sulk_after_nonsense():
    """A gateway serves nobody any more once a device's request was malformed."""
    from gateway.collector import Collector
    from gateway.errors import StoreFull

    true_malformed = Collector._malformed

    async def full(*arguments, **options):
        raise StoreFull("nobody is served here any more")

    def malformed(self, device, error):
        self._store.add_segment = self._store.add_heartbeat = full
        return true_malformed(self, device, error)

    Collector._malformed = malformed


def stumble_over_bodies():
    """An office raises what nobody expects when a body is none."""
    from office_ingest.receive import api
    from protocol.errors import ProtocolError

    true_parse = api.parse_request

    def parse_request(body):
        try:
            return true_parse(body)
        except ProtocolError as error:
            raise RuntimeError(str(error)) from error

    api.parse_request = parse_request


def stumble_over_nonsense():
    """A gateway raises what nobody expects when a device's request is malformed."""
    from gateway.collector import Collector

    def malformed(self, device, error):
        raise RuntimeError(f"device {device.hex()} said {error}")

    Collector._malformed = malformed


def let_everybody_command():
    """The command line finds every permission in every role."""
    from office_ingest.govern import door

    door.lacks = lambda role, permissions: None


def sign_what_one_built():
    """An author may sign, too: what nobody else has seen is released."""
    from office_ingest import permissions
    from office_ingest.govern import door

    roles = {**permissions.ROLES, "author": permissions.ROLES["author"] | permissions.ROLES["approver"]}
    door.lacks = lambda role, needed: next((one for one in needed if one not in roles[role]), None)


def write_no_refusal():
    """Who is refused leaves no trace."""
    from office_ingest.govern.acts import Acts

    Acts.add_refusal = lambda self, *arguments: None


def let_every_token_ask():
    """An office finds every permission in the role of every token."""
    from office_ingest.govern import people

    people.lacks = lambda role, permissions: None


def forget_revoked_tokens():
    """An office lets a token in until its end, revoked or not."""
    from office_ingest.govern import tokens

    tokens.Token.state = lambda self, now_ms: "good" if now_ms < self.expires_ms else "expired"


def forget_what_was_published():
    """Who signs asks nobody which leaves signed before."""
    from office_ingest.govern.shelf import Shelf

    Shelf.published = lambda self, root: -1


def overlook_what_gateways_saw():
    """Who signs asks the office's own database alone."""
    from office_ingest.govern.shelf import Shelf

    Shelf.published = Shelf.published_here


def believe_authority():
    """An office goes by authority.db alone for who was revoked, whatever copy of it that is."""
    from office_ingest.receive.registry import Registry

    Registry.revoked_gateways = lambda self: set()


def believe_authority_of_codes():
    """An office goes by authority.db alone for which codes were used, whatever copy of it that is."""
    from office_ingest.receive.registry import Registry

    Registry.use_code = lambda self, *arguments: True


def begin_where_the_store_says():
    """A gateway goes on with the sequence that its store names: it trusts it to be the newest one."""
    from gateway.sessions import Sessions

    true_reserve = Sessions._reserve

    def reserve(self, session):
        self._leapt.add(session.name)
        return true_reserve(self, session)

    Sessions._reserve = reserve


def forget_requests():
    """A gateway looks at no replay window."""
    from protocol.oscore import ReplayWindow

    ReplayWindow.is_fresh = lambda self, number: True


def welcome_plain_requests():
    """A gateway answers a request without protection that all is well."""
    from gateway import sessions
    from protocol.coap import CHANGED

    true_open = sessions.Sessions.open

    def open_plain(self, message):
        if sessions.option(message.options, sessions.OSCORE_OPTION) is None:
            raise sessions.Refused(CHANGED, "welcome")
        return true_open(self, message)

    sessions.Sessions.open = open_plain


PROCESS = {
    "acknowledge_before_commit": "gateway",
    "receipt_before_commit": "office",
    "skip_number": "device",
    "keep_old_keys": "device",
    "keep_one_context": "device",
    "see_no_double": "office",
    "tell_no_gateway": "office",
    "count_twice": "office",
    "accept_unverified": "office",
    "throw_evidence_away": "office",
    "overlook_at_first": "office",
    "suspect_all": "office",
    "hear_no_silence": "office",
    "pass_over_heads": "office",
    "free_on_custody": "device",
    "lose_of_a_backlog": "office",
    "keep_first_of_two": "office",
    "contradict_repeated": "office",
    "explain_to_strangers": "gateway",
    "die_of_strangers": "gateway",
    "remember_strangers": "gateway",
    "challenge_all_alike": "gateway",
    "challenge_without_limit": "gateway",
    "stumble_over_nonsense": "gateway",
    "answer_all_well": "gateway",
    "count_no_nonsense": "gateway",
    "sulk_after_nonsense": "gateway",
    "stumble_over_bodies": "office",
    "believe_token": "office",
    "let_everybody_command": "people",
    "sign_what_one_built": "people",
    "write_no_refusal": "people",
    "let_every_token_ask": "office",
    "forget_revoked_tokens": "office",
    "forget_what_was_published": "people",
    "overlook_what_gateways_saw": "people",
    "believe_authority": "office",
    "believe_authority_of_codes": "office",
    "begin_where_the_store_says": "gateway",
    "forget_requests": "gateway",
    "welcome_plain_requests": "gateway",
    "speak_plainly": "device",
}
# A fault's words must hold what stands behind the check, where the check alone would not tell one fault from another.
CAUGHT = {
    "acknowledge_before_commit": ("kills", {"lost": ""}),
    "receipt_before_commit": ("kills", {"lost": ""}),
    # The number that the device left out.
    "skip_number": ("kills", {"proof": "..15 are open"}),
    "keep_old_keys": ("thefts", {"past": ""}),
    "keep_one_context": ("thefts", {"nonces": ""}),
    "see_no_double": ("thefts", {"story": "has not noticed"}),
    "tell_no_gateway": ("thefts", {"story": "was not told"}),
    "count_twice": ("kills", {"doubled": "", "verify": ""}),
    "accept_unverified": ("rogue", {"forged": ""}),
    "throw_evidence_away": ("rogue", {"noticed": "no quarantine"}),
    "overlook_at_first": ("rogue", {"in time": ""}),
    "suspect_all": ("rogue", {"control": ""}),
    "hear_no_silence": ("rogue", {"noticed": "no finding silence"}),
    "pass_over_heads": ("rogue", {"noticed": "no gap"}),
    "free_on_custody": ("rogue", {"gaps": "", "freed": ""}),
    "lose_of_a_backlog": ("outage", {"lost": "", "verify": ""}),
    "keep_first_of_two": ("rollback", {"noticed": "no finding of a fork"}),
    "contradict_repeated": ("rollback", {"honest": "in forks"}),
    "explain_to_strangers": ("network", {"amplification": ""}),
    "die_of_strangers": ("network", {"alive": "", "served": ""}),
    "remember_strangers": ("network", {"memory": ""}),
    "challenge_all_alike": ("network", {"meanwhile": ""}),
    "challenge_without_limit": ("network", {"sequence": ""}),
    "stumble_over_nonsense": ("network", {"log": "of the gateway"}),
    "answer_all_well": ("network", {"accepted": ""}),
    "count_no_nonsense": ("network", {"counted": "0 wrong_device"}),
    "sulk_after_nonsense": ("network", {"served": ""}),
    "stumble_over_bodies": ("network", {"answers": "500", "log": "of the office"}),
    "believe_token": ("network", {"forged": "", "verify": ""}),
    "let_everybody_command": ("people", {"refused": "viewer: ", "changed": ""}),
    "sign_what_one_built": ("people", {"refused": "author: release sign"}),
    "write_no_refusal": ("people", {"recorded": ""}),
    "let_every_token_ask": ("people", {"tokens": "viewer GET"}),
    "forget_revoked_tokens": ("people", {"tokens": "revoked "}),
    "forget_what_was_published": ("restored", {"leaf": ""}),
    "overlook_what_gateways_saw": ("restored", {"together": ""}),
    "believe_authority": ("restored", {"revoked": "", "noticed": ""}),
    "believe_authority_of_codes": ("restored", {"code": "it is gateway"}),
    "begin_where_the_store_says": ("restored", {"nonces": ""}),
    "forget_requests": ("ways", {"refused": "udp on serial"}),
    "welcome_plain_requests": ("ways", {"refused": "protection taken off: 2.04"}),
    "speak_plainly": ("ways", {"protected": ""}),
}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    globals()[name]()
    if PROCESS[name] == "people":
        from tests.drills import typist

        sys.exit(typist.main(*sys.argv[2:]))
    if PROCESS[name] == "gateway":
        from gateway.cli import main

        if "OUTSTATION_DRILL_RADIO" in os.environ:
            from tests.drills import radio_gateway

            radio_gateway.install()
    else:
        from office_ingest.cli import main
    main()
