"""A desk whose gateway holds releases, and what the tests of adoption ask of it."""

import hashlib

from protocol.command import REKEY, RELINK
from protocol.event import ADOPTION, CHECKPOINT, COMMAND, DECISION
from protocol.keys import CRITICAL, downlink_key, relinked
from tests.agent.desk import BUNDLE, DEVICE, DOWNLINK, SAMPLE_MS, Desk
from tests.agent.release_bench import demo_bundle_again, make_command, make_release, root, root_order

OLD = hashlib.sha256(BUNDLE).digest()
NUMBER = 7
BODY = demo_bundle_again(5)
NEW = hashlib.sha256(BODY).digest()
# One sample each 36 ms of real time; a trial so short that a story stays short.
TRIAL = {"min_ms": 400, "limit_ms": 3000}


# Kill points of the way down, by what a device is doing; the processes of tests/agent/test_unix_process.py end at each.
ADOPTION_POINTS = (
    *("after_block", "before_stage", "after_stage", "before_switch", "after_switch", "before_confirm"),
    "after_confirm",
)
ROLLBACK_POINTS = ("before_rollback", "after_rollback")
COMMAND_POINTS = ("before_command", "before_carry_out", "after_command")
# Of a command that gives other keys, between those of every command.
REKEY_DEMAND = [REKEY, 1024, 64, 7, 9]
REKEY_POINTS = ("before_rekey", "after_keys", "after_rekey")
# Of a command that replaces a release root.
ROOT_POINTS = ("before_root", "after_root_page", "after_root")

# Of a command that gives another link.
RELINK_DEMAND = [RELINK, 11, 13]
LINK_POINTS = ("before_link", "after_link")


def make_desk(release=None, number=NUMBER, **settings):
    """Return a desk that trusts two roots and is offered a release: by default a good one, of the desk's own rules."""
    roots = [root("release").hex(), root("recovery").hex()]
    desk = Desk(**{"roots": roots, "trial": TRIAL, "heartbeat_ms": 200, **settings})
    desk.gateway.releases[number] = make_release(number, BODY) if release is None else release
    desk.gateway.wanted = number
    return desk


def rotating(desk, raw, number=1):
    """Let the office order a replacement of a root, and the gateway hold it."""
    desk.gateway.commands[number] = make_command(number, root_order(raw))
    desk.gateway.replacements[number] = raw


def relinking(gateway, number=1, demand=RELINK_DEMAND, downlink=DOWNLINK, **more):
    """Let the office give another link, and a model gateway serve it beside those that it serves; return its (sender ID, secret)."""
    key = downlink_key(downlink, "command")
    gateway.commands[number] = make_command(number, demand, key=key, **more)
    kid, secret = relinked(downlink, DEVICE, number, demand)
    gateway.links[kid] = secret
    return kid, secret


def adoptions(desk):
    """Return (step, number, digest, detail) of every adoption event that arrived, oldest first."""
    return [event[3] for _, event in desk.gateway.events(CRITICAL) if event[2] == ADOPTION]


def steps(desk):
    """Return (step, number, detail) of every adoption event that arrived, oldest first, the fetched bytes of `staged` left out."""
    return [(step, number, 0 if step == 1 else detail) for step, number, _, detail in adoptions(desk)]


def commands(desk):
    """Return (number, demand, verdict, outcome) of every command event that arrived."""
    return [event[3] for _, event in desk.gateway.events(CRITICAL) if event[2] == COMMAND]


def running(desk):
    """Return the digest that the newest heartbeat names."""
    return desk.gateway.heartbeats[-1].bundle[1]


def deciders(desk):
    """Return the bundle digest of every decision that arrived, in order, repeats left out."""
    found = []
    for _, event in desk.gateway.events(CRITICAL):
        if event[2] == DECISION and found[-1:] != [event[3][3]]:
            found.append(event[3][3])
    return found


def kinds(desk):
    """Return the kinds of all critical events, parts of checkpoints once."""
    found = []
    for _, event in desk.gateway.events(CRITICAL):
        if event[2] != CHECKPOINT or event[3][0] == 0:
            found.append(event[2])
    return found


SAMPLE_S = SAMPLE_MS / 1_000_000
