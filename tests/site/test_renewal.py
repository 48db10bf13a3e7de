"""A gateway's certificate over months of virtual time: renewed by itself, by the office's real rules, with cuts and refusals between.

The gateway's real renewal asks the office's real enrolment; between them stand no sockets, and both have one clock.
"""

import asyncio
import json
import random

import pytest

from gateway import renewal as module
from gateway.errors import OfficeError, OfficeRefused, OfficeUnreachable
from gateway.health import Health
from gateway.identity import IdentityWrong, key_pem, next_of, read_identity, replace_file
from gateway.renewal import Renewal
from gateway.uplink import Backoff
from office_ingest.certificates import pem
from office_ingest.govern.enrolment import Refused
from office_ingest.govern.gateway_cli import _gateway
from tests.support.identity_desk import DAY_MS, DAYS, IdentityDesk, der_of, new_key, request
from tests.support.office_desk import OfficeDesk


class Clock:
    """One clock for both sides: what is slept has passed."""

    def __init__(self, desk):
        self._desk = desk

    def wall_ms(self):
        return self._desk.now_ms

    async def sleep(self, seconds):
        self._desk.now_ms += int(seconds * 1000)
        await asyncio.sleep(0)


class Machine:
    """A gateway's folder beside an office. down: raised instead of the next answers, one each; lose: answers that do not arrive."""

    def __init__(self, folder):
        folder.mkdir()
        self.desk = OfficeDesk(folder)
        self.office = IdentityDesk(self.desk)
        self.path, self.ca = folder / "identity.pem", folder / "office-ca.pem"
        self.clock = Clock(self.desk)
        self.health = Health()
        self.down = []
        self.lose = []
        self.shown = []
        self.reloads = 0
        key = new_key()
        code = self.office.enrolment.invite("gw-2", "site-1", "A. Person", 30)
        issued = self.office.enrolment.enrol(code.secret, request(key))
        replace_file(self.path, key_pem(key) + issued.certificate.encode())
        replace_file(self.ca, issued.authorities.encode(), 0o644)
        self.start()

    def start(self):
        """Begin as after a restart, with what is on disk."""
        self.loaded = self.path.read_bytes()
        rng = random.Random(1)
        self.renewal = Renewal(
            self.path,
            self.ca,
            ask=self._ask,
            probe=self._probe,
            reload=self._reload,
            backoff=Backoff(least_s=1.0, most_s=60.0, rng=rng),
            clock=self.clock,
            rng=rng,
            health=self.health,
        )

    def beat(self):
        """Let the uplink make one exchange by the identity in use; return the gateway that the office recognised."""
        return self._known(self.loaded).gateway

    def _known(self, raw):
        known = self.office.recogniser.caller(
            der_of(raw[raw.index(b"-----BEGIN CERT") :].decode()), None, self.renewal._announced
        )
        self.renewal.announced(known.mark)
        return known

    async def _ask(self, method, path, bytes_max, body):
        self._fail()
        known = self._known(self.loaded)
        if path.endswith("authorities"):
            answer = {"authorities": pem(self.office.authority.trusted())}
        else:
            answer = self.office.enrolment.renew(
                known.gateway, json.loads(body)["request"].encode()
            )._asdict()
        if self.lose:
            raise self.lose.pop()
        return json.dumps(answer).encode()

    async def _probe(self, path, what):
        self._fail()
        try:
            return json.dumps({"gateway": self._known(path.read_bytes()).gateway}).encode()
        except Refused as error:
            raise OfficeRefused(error.detail) from None

    def _fail(self):
        if self.down:
            raise self.down.pop()

    async def _reload(self):
        self.loaded = self.path.read_bytes()
        self.reloads += 1

    def close(self):
        self.office.close()
        self.desk.close()


@pytest.fixture
def machine(tmp_path):
    """A gateway that is enrolled."""
    made = Machine(tmp_path / "site")
    yield made
    made.close()


def _run_days(machine, days):
    """Run the renewal and one exchange an hour for so many days; return the gateways that the office recognised."""

    async def main():
        until_ms = machine.desk.now_ms + days * DAY_MS
        known = set()
        while machine.desk.now_ms < until_ms:
            known.add(machine.beat())
            try:
                wait_s = await machine.renewal.step()
            except (OfficeError, IdentityWrong):
                wait_s = 60.0
            await machine.clock.sleep(wait_s)
        return known

    return asyncio.run(main())


@pytest.mark.proves("S38")
def test_certificate_is_renewed_again_and_again_and_the_gateway_is_never_refused(machine):
    """Ninety-day certificates over 250 days with an exchange each hour: every one is answered, each key is another one."""
    known = _run_days(machine, 250)
    held = machine.office.store.certificates("gw-2")

    assert {"gw-2"} == known
    assert 4 == machine.health.counts["renewals"]
    assert len(held) == len({row.public for row in held}) == machine.health.counts["renewals"] + 1


def test_renewal_is_due_at_two_thirds_and_not_in_step(machine):
    """A little earlier by chance, never later."""
    starts_ms, ends_ms = read_identity(machine.path).life_ms
    parts = set()
    for seed in range(20):
        machine.renewal._early = random.Random(seed).uniform(0.0, 0.05)
        parts.add((machine.renewal.due_ms() - starts_ms) / (ends_ms - starts_ms))

    assert 0.6 < min(parts) < max(parts) <= 2 / 3
    assert len(parts) > 15


def _due(machine):
    machine.office.pass_days(DAYS * 0.67)


def test_old_identity_stays_until_the_new_one_was_accepted(machine):
    """However the way to the next certificate breaks, the one on disk is good, and the next attempt goes on from there."""
    _due(machine)
    old = machine.path.read_bytes()
    for break_it in (_office_down, _answer_lost, _new_one_refused):
        break_it(machine)
        with pytest.raises(OfficeError):
            asyncio.run(machine.renewal.step())
        machine.start()

        assert old == machine.path.read_bytes()
        assert "gw-2" == machine.beat()
    asyncio.run(machine.renewal.step())

    assert old != machine.path.read_bytes()
    assert not next_of(machine.path).exists()
    assert 2 == len(machine.office.store.certificates("gw-2"))
    assert "gw-2" == machine.beat()


def _office_down(machine):
    machine.down.append(OfficeUnreachable("down"))


def _answer_lost(machine):
    machine.lose.append(OfficeUnreachable("the answer was lost"))


def _new_one_refused(machine):
    machine.renewal._probe = _refusing(OfficeRefused("refused"))


def _refusing(error):
    async def refuse(path, what):
        raise error

    return refuse


@pytest.mark.parametrize("place", ["key", "asked", "certificate", "moved"])
def test_cut_at_any_step_leaves_a_gateway_that_goes_on(machine, monkeypatch, place):
    """The process dies while a file is written or moved: after the restart it renews, and is known all the while."""
    _due(machine)
    calls = {
        "key": ("replace_file", 0),
        "asked": ("_ask", 0),
        "certificate": ("replace_file", 1),
        "moved": ("move_over", 0),
    }
    name, after = calls[place]
    owner = machine if name == "_ask" else module
    monkeypatch.setattr(owner, name, _dies(getattr(owner, name), after))
    if name == "_ask":
        machine.start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(machine.renewal.step())
    monkeypatch.undo()
    machine.start()
    known = machine.beat()
    asyncio.run(machine.renewal.step())
    machine.start()

    assert ("gw-2", "gw-2") == (known, machine.beat())
    assert 1 == machine.health.counts["renewals"]


def _dies(call, after):
    left = [after]

    def dying(*arguments, **options):
        if left[0]:
            left[0] -= 1
            return call(*arguments, **options)
        raise KeyboardInterrupt

    return dying


def test_certificate_that_waited_too_long_is_asked_for_again(machine):
    """A next certificate that ended before it was ever tried does not block the way for ever."""
    _due(machine)
    machine.renewal._probe = _refusing(OfficeUnreachable("down"))
    with pytest.raises(OfficeError):
        asyncio.run(machine.renewal.step())
    waiting = read_identity(next_of(machine.path)).certificate
    machine.office.pass_days(DAYS + 5)
    with pytest.raises(OfficeError):
        asyncio.run(machine.renewal.renew())

    assert waiting is not None
    assert not next_of(machine.path).exists()


def test_office_that_answers_with_a_foreign_certificate_is_not_believed(machine):
    """A certificate of another key is not taken, and the old one stays."""
    _due(machine)
    old = machine.path.read_bytes()
    other = machine.office.enrolment.renew("gw-2", request(new_key()))

    async def ask(method, path, bytes_max, body):
        return json.dumps(other._asdict()).encode()

    machine.renewal._ask = ask
    with pytest.raises(IdentityWrong, match="another key"):
        asyncio.run(machine.renewal.step())

    assert old == machine.path.read_bytes()


def test_authority_is_replaced_under_a_running_gateway(machine):
    """Announced, taken up, switched, renewed, retired: the office waits for the gateway at each step, and no exchange is refused."""

    def ready(key):
        row = machine.office.store.gateway("gw-2")
        mark = machine.office.authority.mark()
        shown = _gateway(machine.office.store, row, mark, machine.desk.now_ms)
        issuing = machine.office.authority.issuer()[0]
        return shown["trusts_newest"] if key == "lagging" else shown["authority"] == issuing

    known, steps = _run_days(machine, 1), []
    for key in ("lagging", "lagging", "bound"):
        before = ready(key)
        steps.append(machine.office.authority.rotate(machine.desk.wall_ms(), lagging=[], bound=[]))
        known |= _run_days(machine, 1)
        steps.append((before, ready(key)))
    trusted = pem(machine.office.authority.trusted())

    assert {"gw-2"} == known
    assert ["announced", (True, True), "switched", (True, True), "retired", (True, True)] == steps
    assert trusted == machine.ca.read_text()
    assert 1 == machine.health.counts["renewals"]


def test_revoked_gateway_renews_nothing(machine):
    """A thief with the whole folder gets no further."""
    _due(machine)
    machine.office.enrolment.revoke("gw-2", "A. Person", "stolen")
    with pytest.raises(Refused):
        asyncio.run(machine.renewal.step())
