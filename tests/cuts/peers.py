"""The same records on our journal, on littlefs and on naive storage, under the same cuts: what is lost, and what a record costs in flash."""

import json
import subprocess
from functools import lru_cache
from pathlib import Path

from agent.flash import MODES
from protocol.event import decode_events
from protocol.keys import ROUTINE, body_keys, view_key, view_next, view_start
from protocol.segment import parse_segment
from tests.both.flash_site import VIEW_ROOT, ctr
from tests.cuts.journal_part import JournalSite
from tests.cuts.memory import remembered
from tests.cuts.recorder import record
from tools.upy import micropython_command, micropython_environment

PROGRAM = Path(__file__).parent / "peers_program.py"
RECORD_BYTES = 54
LITTLEFS = ("littlefs, append and flush each", "littlefs, append and flush each 6")
NAIVE = ("littlefs, remove and rewrite", "raw, rewritten in place")
RECORDS = 120
# A kind of event that the protocol leaves to others: one byte string.
_KIND = 99
# Records behind the newest that the office has receipted, so that the ring turns as in a working site.
_UNRECEIPTED = 24


class RecordSite(JournalSite):
    """A device that records numbered records in its routine lane. told: how many are acknowledged; settled: how many are receipted."""

    def __init__(self):
        JournalSite.__init__(self, 5)
        self.told = self.settled = 0

    def copy(self):
        other = JournalSite.copy(self)
        other.__class__ = RecordSite
        other.told, other.settled = self.told, self.settled
        return other


def _record(number):
    return number.to_bytes(4, "big") + bytes((number * 31 + i) & 255 for i in range(RECORD_BYTES - 4))


def ours(records, per_segment):
    """Return the same figures as a peer's program: cuts, cuts that lost, cost. per_segment: records sealed at once."""
    site = RecordSite()
    site.boot()
    before = site.flash.programmed, site.flash.erases
    with remembered():
        moments = record(site, lambda it: _live(it, records, per_segment))
        result = _judge_all(moments)
    programmed, erases = site.flash.programmed - before[0], site.flash.erases - before[1]
    name = "each" if per_segment == 1 else f"each {per_segment}"
    return {
        "variant": f"outstation's journal, sealed {name}",
        "records": records,
        **result,
        "bytes_per_payload_byte": round(programmed / (records * RECORD_BYTES), 3),
        "erases_per_record": round(erases / records, 4),
    }


def _live(site, records, per_segment):
    for first in range(0, records, per_segment):
        for number in range(first, first + per_segment):
            site.journal.append(ROUTINE, site.event(_KIND, (_record(number),)))
        site.seal(ROUTINE)
        site.told = first + per_segment
        if site.told > _UNRECEIPTED:
            behind = _UNRECEIPTED // per_segment
            number = site.journal.offer()[ROUTINE][1] - behind
            site.acknowledge(ROUTINE, number)
            site.settled = site.told - behind * per_segment


def _judge_all(moments):
    result = {"cuts": 0, "cuts_that_lost": 0, "lost_worst": 0, "unreadable": 0}
    for operation, moment in enumerate(moments):
        for mode in MODES:
            site = moment.cut(mode, operation * 3 + MODES.index(mode) + 1)
            site.power_on()
            site.boot()
            site.check_all()
            lost = _lost(site)
            result["cuts"] += 1
            result["cuts_that_lost"] += lost > 0
            result["lost_worst"] = max(result["lost_worst"], lost)
    return result


def _lost(site):
    held = set()
    for number in range(site.journal.kept_from(ROUTINE), site.journal.lanes[ROUTINE].next_number):
        held.update(_records_in(site.journal.read(ROUTINE, number)))
    return len([number for number in range(site.settled, site.told) if number not in held])


@lru_cache(4000)
def _records_in(raw):
    segment = parse_segment(raw)
    header = segment.header
    if segment.tombstone is not None:
        return ()
    ratchet = view_start(VIEW_ROOT, header.view_class)
    for _ in range(header.period):
        ratchet = view_next(ratchet)
    events = decode_events(segment.open_body(*body_keys(view_key(ratchet)), ctr), header.count)[1]
    bodies = [event[3][0] for event in events if event[2] == _KIND]
    return tuple(
        int.from_bytes(body[:4], "big") for body in bodies if body == _record(int.from_bytes(body[:4], "big"))
    )


def peer(variant, records):
    """Return what the program says of a variant. Raises CalledProcessError."""
    command = [*micropython_command(), "-X", "heapsize=64m", str(PROGRAM), str(records), variant]
    done = subprocess.run(
        command, env=micropython_environment(), capture_output=True, text=True, timeout=600, check=True
    )
    return json.loads(done.stdout)


def compare(say, records=RECORDS):
    """Run every variant; return the list of their figures, and say each as a line."""
    found = []
    for run in (
        lambda: ours(records, 1),
        lambda: ours(records, 6),
        *(_of(variant, records) for variant in LITTLEFS + NAIVE),
    ):
        one = run()
        found.append(one)
        say(
            "{variant:36} {cuts:5} cuts, {cuts_that_lost} lost something (worst {lost_worst} records), {unreadable} unreadable, "
            "{bytes_per_payload_byte} bytes programmed a payload byte, {erases_per_record} erases a record".format(
                **one
            )
        )
    return found


def _of(variant, records):
    return lambda: peer(variant, records)
