"""Faults of attestation, planted into the real code.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from office_ingest.govern import attestation, views
from office_ingest.govern.attestation import Attestations, Known
from office_ingest.receive import takings
from office_ingest.storage.attested import AttestedStore


def _pass_over(claim):
    true = attestation._unknown

    def unknown(claims, traits, known):
        honest = {
            attestation.HWMODEL: attestation.hwmodel_of(traits.hardware),
            attestation.IMAGE: next(iter(known.images)),
            attestation.AGENT: None,
            attestation.BUNDLE: traits.bundle,
            attestation.DBGSTAT: 1,
            attestation.SEMANTICS: 1,
        }
        changed = {**claims, claim: honest[claim]}
        if claim == attestation.AGENT:
            changed.pop(claim)
        return true(changed, traits, known)

    return unknown


def pass_over_the_hardware(put):
    """Believe whatever hardware a device says it is."""
    put(attestation, "_unknown", _pass_over(attestation.HWMODEL))


def pass_over_the_image(put):
    """Look at no image."""
    put(attestation, "_unknown", _pass_over(attestation.IMAGE))


def pass_over_the_agent(put):
    """Look at no agent."""
    put(attestation, "_unknown", _pass_over(attestation.AGENT))


def pass_over_the_rules(put):
    """Look at no rules."""
    put(attestation, "_unknown", _pass_over(attestation.BUNDLE))


def pass_over_debugging(put):
    """Let a production image have its console open."""
    put(attestation, "_unknown", _pass_over(attestation.DBGSTAT))


def pass_over_the_engine(put):
    """Let any engine decide."""
    put(attestation, "_unknown", _pass_over(attestation.SEMANTICS))


def find_and_withhold_nothing(put):
    """Tell a person, and hand out all the same."""
    put(takings, "is_withheld", lambda store, device: False)


def give_view_keys_all_the_same(put):
    """Withhold the release alone."""
    put(views, "is_withheld", lambda store, device: False)


def hand_down_keys_all_the_same(put):
    """Keep releases and view keys back, and let every command pass."""
    put(takings, "_gives_keys", lambda raw: False)


def never_close(put):
    """Leave the finding open once it is."""
    true = Attestations.look

    def look(self, device, now_ms):
        if not attestation.is_withheld(self._store, device):
            true(self, device, now_ms)

    put(Attestations, "look", look)


def take_what_came_last(put):
    """Take the event that arrives last for the newest."""

    def keep(self, device, attested):
        claims = attestation_dumps(attested.claims)
        self._store.put("attestations", device, *attested[:4], claims, attested.received_ms)

    from protocol.cbor import dumps as attestation_dumps

    put(AttestedStore, "put", keep)


def know_every_image(put):
    """Take whatever is claimed for registered."""

    class Every(dict):
        def get(self, digest, otherwise=None):
            return next(iter(self.values()))

    true = Attestations._known
    put(
        Attestations,
        "_known",
        lambda self, traits, images: Known(Every(images), *true(self, traits, images)[1:]),
    )


FAULTS = {
    plant.__name__: plant
    for plant in (
        *(pass_over_the_hardware, pass_over_the_image, pass_over_the_agent, pass_over_the_rules),
        *(pass_over_debugging, pass_over_the_engine, find_and_withhold_nothing, give_view_keys_all_the_same),
        hand_down_keys_all_the_same,
        *(never_close, take_what_came_last, know_every_image),
    )
}
