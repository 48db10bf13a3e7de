"""Faults planted in what gateways remember of leaves that sign, by name: plant(put); put is pytest's monkeypatch.setattr."""

from gateway import witness as gateway
from gateway.store_witness import seen_in
from gateway.witness import Witness
from office_ingest.govern import witness as office
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import Signer
from office_ingest.govern.witness import Witnesses


def trust_the_database_alone(put):
    """Let what gateways showed be evidence, and sign all the same."""
    put(Shelf, "published", lambda self, root: self.published_here(root))


def ask_nobody(put):
    """Take what the database knows for all there is."""
    put(Witnesses, "_is_news", lambda self, root, leaf, mark: False)


def look_at_numbers_alone(put):
    """A leaf that is not above is not news, whatever it signed."""
    put(Witnesses, "_is_news", lambda self, root, leaf, mark: leaf > self._shelf.published(root))


def believe_a_gateways_word(put):
    """Take an envelope for signed because it says so."""
    put(office, "purpose_of", lambda envelope, public: b"")


def tell_nobody(put):
    """Let each gateway remember what it carried."""
    put(Witnesses, "_told", lambda self, seen: [])


def count_who_was_asked_as_heard(put):
    """A gateway spoke: that is enough."""
    true = Witnesses.take

    def take(self, gateway, seen, shown, now_ms):
        said = true(self, gateway, seen, shown, now_ms)
        with self._store.transaction():
            self._kept.put_heard(gateway, now_ms)
        return said

    put(Witnesses, "take", take)


def hear_for_ever(put):
    """Who was heard once is heard."""
    put(office, "HEARD_MS", 1 << 50)


def skip_to_what_was_seen(put):
    """Leave no room for what nobody told of."""
    true = Signer.skip
    put(Signer, "skip", lambda self, published, margin: true(self, published, 0))


def let_a_successor_begin_again(put):
    """Sign for a successor whatever the office knows."""
    put(Signer, "refuse_old_state", lambda self, published: None)
    true = Signer.envelope
    put(
        Signer,
        "envelope",
        lambda self, purpose, payload, published: true(self, purpose, payload, published=-1),
    )


def remember_in_memory(put):
    """Keep what was told until the process ends."""

    async def keep(self, envelopes):
        for raw in envelopes:
            seen = seen_in(raw)
            self._seen[seen.root] = seen

    put(Witness, "_keep", keep)


def believe_the_disk(put):
    """Say what the store holds, whatever it is."""
    put(gateway.load_witness.__globals__["is_witness"], "__code__", (lambda row: True).__code__)


FAULTS = {
    plant.__name__: plant
    for plant in (
        trust_the_database_alone,
        ask_nobody,
        look_at_numbers_alone,
        believe_a_gateways_word,
        tell_nobody,
        count_who_was_asked_as_heard,
        hear_for_ever,
        skip_to_what_was_seen,
        let_a_successor_begin_again,
        remember_in_memory,
        believe_the_disk,
    )
}
