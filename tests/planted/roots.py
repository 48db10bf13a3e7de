"""Faults planted in replacing a release root, by name: plant(put); put is pytest's monkeypatch.setattr.

Each is a mistake somebody could make in good faith. tests/canary/test_roots.py shows that the named test catches it.
"""

import hashlib

from agent import commander
from agent import roots as device_roots
from agent.adopter import Adopter
from agent.host import Host
from agent.key_notes import ROOT
from agent.keystore import Keystore
from agent.roots import Roots
from gateway.shelf import Shelf as GatewayShelf
from gateway.shelf import _body
from office_ingest.govern import roots as office_roots
from office_ingest.govern.shelf import Shelf
from office_ingest.prove import released
from office_ingest.watch.roots import RootWatch
from protocol import envelope
from protocol.envelope import Succession, parse_envelope


def _believe_any_signature(put):
    put(envelope.Envelope, "verify", lambda self, public, purpose: None)


def _take_any_predecessor(put):
    """The name of who is replaced is not looked at: whoever signed is."""
    check = device_roots.check_replacement

    def careless(raw, roots):
        try:
            return check(raw, roots)
        except device_roots.ProtocolError:
            signed = parse_envelope(raw)
            held = {envelope.key_id(public): public for public in roots}
            if signed.key_id not in held:
                raise
            signed.verify(held[signed.key_id], envelope.ROOT)
            said = envelope._parse_succession(signed.payload)
            return Succession(signed.key_id, said.public, said.made_ms)

    put(device_roots, "check_replacement", careless)


def _take_what_the_gateway_gives(put):
    put(commander, "root_digest", lambda _demand: hashlib.sha256(_last[0]).digest())

    def take(self, response):
        took(self, response)
        _last[0] = self.raw or b""

    _last, took = [b""], commander.SmallBody.take
    put(commander.SmallBody, "take", take)


def _keep_the_old_one_too(put):
    held = Roots.held
    put(
        Roots,
        "held",
        lambda self: held(self) + [public for _, public in self._provisioned if public not in held(self)],
    )


def _go_on_with_what_was_staged(put):
    put(Adopter, "distrust", lambda self: None)


def _say_nothing(put):
    put(Host, "root_replaced", lambda self: self._adopter.distrust())


def _leave_roots_behind_in_a_move(put):
    install = Keystore._install

    def careless(self, chains):
        self._notes[ROOT] = []
        install(self, chains)

    put(Keystore, "_install", careless)


DEVICE = {
    "believe_any_signature": _believe_any_signature,
    "take_any_predecessor": _take_any_predecessor,
    "take_what_the_gateway_gives": _take_what_the_gateway_gives,
    "keep_the_old_one_too": _keep_the_old_one_too,
    "go_on_with_what_was_staged": _go_on_with_what_was_staged,
    "say_nothing": _say_nothing,
    "leave_roots_behind_in_a_move": _leave_roots_behind_in_a_move,
}


def _zero_before_writing(put):
    """The page of before goes first: a cut then leaves what was provisioned."""

    def turn(self, taken):
        for step, named, public, number in [page for page in self._intents() if page[3] <= taken]:
            before = self._in_force(named)
            if before is not None:
                self._keystore.drop_root(before[0], named, 0)
            self._keystore.drop_root(step, named, number)
            self._keystore.write_root(step, named, public, 0)
            self._owner.root_replaced()

    put(Roots, "turn", turn)


def _intend_in_memory(put):
    def write_root(self, step, provisioned, public, number):
        if number:
            self._notes[ROOT].append((step, provisioned, public, number, 99))
        else:
            write(self, step, provisioned, public, number)

    write, zero = Keystore.write_root, Keystore._zero
    put(Keystore, "write_root", write_root)
    put(Keystore, "_zero", lambda self, page: None if page == 99 else zero(self, page))


CUTS = {"zero_before_writing": _zero_before_writing, "intend_in_memory": _intend_in_memory}


def _retire_anyway(put):
    put(office_roots.Holder, "needs", property(lambda self: self.state == "silent"))


def _give_the_old_root_to_newcomers(put):
    put(Shelf, "trusted", Shelf.roots)


def _give_successors_to_newcomers(put):
    put(Shelf, "for_newcomers", Shelf.trusted)


def _give_a_device_whatever_there_is(put):
    put(office_roots, "admission_roots_max", 99)


def _count_no_leaf_of_a_replacement(put):
    def published(self, root):
        row = self._store.connection.execute(
            "SELECT max(leaf) FROM release_signatures WHERE root = ?", (root,)
        ).fetchone()
        return -1 if row[0] is None else row[0]

    put(Shelf, "published", published)


def _wait_for_ever(put):
    put(RootWatch, "heartbeat", lambda self, device, now_ms: None)


def _believe_signatures(put):
    put(released, "_wrong_signature", lambda *of: "")


def _believe_replacements(put):
    put(released, "_wrong_replacement", lambda *of: "")


def _forget_leaves(put):
    put(released, "_use_leaf", lambda *of: None)


def _miss_what_was_ordered(put):
    put(released, "_check_ordered", lambda *of: None)


def _look_at_parts_only_where_they_lie(put):
    put(released, "_parts_of", lambda *of: iter(()))


OFFICE = {
    "believe_signatures": _believe_signatures,
    "believe_replacements": _believe_replacements,
    "forget_leaves": _forget_leaves,
    "miss_what_was_ordered": _miss_what_was_ordered,
    "look_at_parts_only_where_they_lie": _look_at_parts_only_where_they_lie,
    "retire_anyway": _retire_anyway,
    "give_the_old_root_to_newcomers": _give_the_old_root_to_newcomers,
    "give_successors_to_newcomers": _give_successors_to_newcomers,
    "give_a_device_whatever_there_is": _give_a_device_whatever_there_is,
    "count_no_leaf_of_a_replacement": _count_no_leaf_of_a_replacement,
    "wait_for_ever": _wait_for_ever,
}


def _keep_any_bytes(put):
    async def put_body(self, lacking, raw):
        await self._store.put_part(lacking.digest, raw)
        self._parts[lacking.digest] = raw
        # Counted as the refusal that did not happen, so that the test does not wait for it in vain.
        raise_refused()

    def raise_refused():
        from gateway.errors import BodyRefused

        raise BodyRefused("too late")

    put(GatewayShelf, "_put", put_body)


def _hand_it_to_anybody(put):
    def replacement(self, device, number):
        for held in self._named.values():
            if number in held and held[number] in self._parts:
                return _body(self._parts[held[number]])
        return None

    put(GatewayShelf, "replacement", replacement)


GATEWAY = {"keep_any_bytes": _keep_any_bytes, "hand_it_to_anybody": _hand_it_to_anybody}
