"""Releases that bring an agent: built from an archive, kept by the next release, taken back, and never by one key."""

import hashlib

import pytest

from office_ingest.govern.agent import AgentFiles, agent_of, encode_agent, parse_agent
from office_ingest.govern.release import Request, build_release, revert_release, sign_release
from office_ingest.govern.rollout import Rollouts, roll_out
from office_ingest.govern.signer import OpenSigner
from office_ingest.storage.downward import Traits
from protocol.agent_index import AgentIndex, encode_agent_index
from protocol.cbor import dumps
from protocol.errors import ProtocolError
from protocol.manifest import AGENT, DEVICES, RULES
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, bundle
from tests.office_ingest.test_takings import OLD


def _agent(*bodies):
    files = [(f"agent/m{at}.mpy", hashlib.sha256(body).digest(), len(body)) for at, body in enumerate(bodies)]
    return AgentFiles(encode_agent_index(AgentIndex(6, files)), list(bodies))


FIRST = _agent(b"first" * 50, b"same" * 90)
SECOND = _agent(b"second" * 50, b"same" * 90)


def _build(desk, shelf, **changes):
    asked = {"target": (DEVICES, [desk.device]), "hardware": ["unix"], "rules": bundle()}
    return build_release(
        shelf, Request(**{**asked, "source": b"text", "author": "A. Author", **changes}), NOW_MS
    )


def _sign(shelf, number, keys):
    for folder in keys:
        with OpenSigner(folder) as signer:
            signed = sign_release(shelf, number, signer, NOW_MS + 1)
    return signed


def test_release_with_an_agent_needs_two_keys_and_holds_its_files(desk, shelf, keys):
    """Index and files lie on the shelf by their digests, and the office hands them to the gateway of such a device."""
    built = _build(desk, shelf, agent=FIRST)
    once = _sign(shelf, built.number, keys[:1])
    twice = _sign(shelf, built.number, keys[1:])

    assert [part[0] for part in built.manifest.parts] == [RULES, AGENT]
    assert (once.state, twice.state) == ("half signed", "signed")
    assert agent_of(shelf, built.manifest) == FIRST
    assert [shelf.part(hashlib.sha256(body).digest()) for body in FIRST.bodies] == FIRST.bodies


def test_gateway_of_a_device_that_is_meant_gets_the_files(desk, shelf, keys):
    """And no other gateway, and nothing before the release is rolled out."""
    digests = [hashlib.sha256(one).digest() for one in (SCHEMA, bundle())]
    desk.registry.put_traits(desk.device, Traits("pump", "first", "unix", digests[0][:8], digests[1]))
    number = _build(desk, shelf, agent=FIRST).number
    _sign(shelf, number, keys)
    digest = hashlib.sha256(FIRST.bodies[1]).digest()
    before = Rollouts(desk.store).part_for("gw-1", digest)
    roll_out(desk.store, number, "test", NOW_MS + 2)

    assert before is None
    assert Rollouts(desk.store).part_for("gw-1", digest) == FIRST.bodies[1]
    assert Rollouts(desk.store).part_for("another gateway", digest) is None


def test_next_release_keeps_the_agent_and_needs_one_key(desk, shelf, keys):
    """Whoever changes rules need not know that an agent was released before."""
    _sign(shelf, _build(desk, shelf, agent=FIRST).number, keys)
    following = _build(desk, shelf)

    assert agent_of(shelf, following.manifest) == FIRST
    assert following.signers_needed == 1


@pytest.mark.parametrize("change", [{"agent": SECOND}, {"keeps_agent": False}])
def test_another_agent_and_the_images_need_two_keys(desk, shelf, keys, change):
    """Either is other code than what runs."""
    _sign(shelf, _build(desk, shelf, agent=FIRST).number, keys)
    following = _build(desk, shelf, **change)

    assert agent_of(shelf, following.manifest) == change.get("agent")
    assert following.signers_needed == 2
    assert following.widens == ["another agent than the newest release for these devices"]


def test_step_back_brings_the_agent_of_that_release(desk, shelf, keys):
    """Rules and agent of the earlier one, under a new number."""
    first = _build(desk, shelf, agent=FIRST).number
    _sign(shelf, first, keys)
    _sign(shelf, _build(desk, shelf, agent=SECOND).number, keys)
    back = revert_release(shelf, first, "A. Author", NOW_MS + 3)

    assert agent_of(shelf, back.manifest) == FIRST
    assert back.signers_needed == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        dumps([FIRST.part]),
        dumps([FIRST.part, FIRST.bodies[:1]]),
        dumps([FIRST.part, FIRST.bodies[::-1]]),
        dumps([b"index", FIRST.bodies]),
        dumps([FIRST.part, [1, 2]]),
        encode_agent(FIRST) + b"\0",
    ],
)
def test_archive_that_is_damaged_is_refused(raw):
    """A file missing, in another place, of another kind."""
    with pytest.raises(ProtocolError):
        parse_agent(raw)


def test_command_builds_a_release_from_an_archive(field, tmp_path):
    """And says of what is none what to do."""
    archive, rules, other = tmp_path / "agent.cbor", tmp_path / "rules.cbor", tmp_path / "other.cbor"
    archive.write_bytes(encode_agent(FIRST))
    other.write_bytes(b"something else")
    rules.write_bytes(OLD)
    words = ("release", "build", "--rules", rules, "--author", "A. Author", "--cohort", "first")
    code, document = field.ask(*words, "--hardware", "unix", "--agent", archive)

    assert code == 0
    assert [part["kind"] for part in document["parts"]] == ["rules", "agent"]
    refused = field.refused(*words, "--hardware", "unix", "--agent", other)
    assert refused[:2] == (2, "agent-archive")
    assert "build-agent" in refused[3]
