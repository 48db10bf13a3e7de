"""Faults of the gateways' identity, planted into the real code. Each name says what a broken office or gateway would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

import time

from gateway import enrol as machine
from gateway import renewal
from gateway.renewal import Renewal
from office_ingest.certificates import public_bytes, read_request
from office_ingest.govern import authority, enrolment
from office_ingest.govern.enrolment import Enrolment, certificate_row
from office_ingest.receive import attempts
from office_ingest.receive.identity import Caller, Recogniser
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.storage.authority import GONE, AuthorityStore
from office_ingest.watch import certificates
from tests.tools import test_batch
from tools import labels


def take_a_code_twice(put):
    """Give a second machine a certificate for a code that was used."""
    true_enrol = Enrolment.enrol

    def enrol(self, secret, request):
        public = public_bytes(read_request(request))
        found = self._store.invitation(enrolment.code_hash(secret))
        if found is not None and found.used_ms is not None and found.public != public:
            return self._answer(self._issue(found.gateway, request, self._wall_ms()))
        return true_enrol(self, secret, request)

    put(Enrolment, "enrol", enrol)


def believe_an_older_authority_of_codes(put):
    """Go by authority.db alone when a code is shown, whatever copy of it that is."""
    put(Registry, "use_code", lambda self, hashed, public, gateway, now_ms: True)


def take_a_code_for_ever(put):
    """Let a code be used however old it is."""
    true_invitation = AuthorityStore.invitation

    def invitation(self, code_hash):
        found = true_invitation(self, code_hash)
        return None if found is None else found._replace(until_ms=1 << 60)

    put(AuthorityStore, "invitation", invitation)


def keep_the_code_itself(put):
    """Keep the secret where its hash should be."""
    put(enrolment, "code_hash", lambda secret: secret)


def believe_any_company_certificate(put):
    """Take the company's word for gateways that it has nothing to do with."""
    put(Recogniser, "_register", _registers_any)


def _registers_any(self, raw):
    from cryptography import x509

    from office_ingest.certificates import common_name

    certificate = x509.load_der_x509_certificate(raw)
    return certificate_row(certificate, common_name(certificate), None, self._wall_ms())


def believe_any_signature_of_ours(put):
    """Take a certificate that the office has no record of, because its authority signed it."""
    put(Recogniser, "_register", _registers_any)


def recognise_a_connection_once(put):
    """Remember who a certificate was, as a server would that looks when a connection begins."""
    true_caller, known = Recogniser.caller, {}

    def caller(self, certificate, token, trusts=None):
        key = (id(self), certificate, token)
        if key not in known:
            known[key] = true_caller(self, certificate, token, trusts)
        return known[key]

    put(Recogniser, "caller", caller)


def forget_that_certificates_end(put):
    """Look at no end of a certificate."""
    true_certificate = Recogniser._by_certificate

    def by_certificate(self, raw):
        wall_ms, self._wall_ms = self._wall_ms, lambda: 1_700_000_000_000
        try:
            return true_certificate(self, raw)
        finally:
            self._wall_ms = wall_ms

    put(Recogniser, "_by_certificate", by_certificate)


def go_by_the_certificate_whatever_the_token_says(put):
    """Serve who shows the certificate of one gateway and the token of another."""

    def caller(self, certificate, token, trusts=None):
        if certificate is None:
            return self._by_token(self._registry.gateway_of(token))
        return Caller(self._by_certificate(certificate).gateway)

    put(Recogniser, "caller", caller)


def keep_the_token_for_ever(put):
    """Let a gateway fall back to its token."""
    put(Registry, "end_token", lambda self, gateway: None)


def forget_the_link_secrets(put):
    """Revoke a gateway and mark nothing of what it knew."""
    put(AuthorityStore, "put_link_secret", lambda self, device, gateway, now_ms: None)


def believe_an_older_authority(put):
    """Go by authority.db alone, whatever copy of it that is."""
    put(Registry, "revoked_gateways", lambda self: set())


def believe_an_older_authority_of_certificates(put):
    """Go by authority.db alone for which certificates ended, whatever copy of it that is."""
    put(Registry, "ended_ms", lambda self, fingerprint, *, default: default)


def believe_an_older_authority_of_itself(put):
    """Go by authority.db alone for which authorities are trusted, whatever copy of it that is."""

    def is_gone(self, number, now_ms):
        return next(row.state for row in self._authority.rows() if row.number == number) == GONE

    put(Recogniser, "_is_gone", is_gone)


def see_no_older_authority(put):
    """Keep certificates ended, and tell nobody that a copy was put back."""
    put(certificates, "forgotten_ends", lambda ended, taken, now_ms: {})


def leave_gateways_behind(put):
    """Replace the authority whoever does not trust the new one."""
    put(authority, "_refuse_if", lambda gateways, words, anyway: None)


def end_the_old_authority_at_the_switch(put):
    """Trust the new authority alone as soon as the server has changed over."""
    true_switch = authority.Authority._switch

    def switch(self, following, now_ms):
        step = true_switch(self, following, now_ms)
        with self._store.writing():
            self._store.set_state(following.number - 1, "gone", now_ms)
        return step

    put(authority.Authority, "_switch", switch)


def count_no_wrong_codes(put):
    """Let codes be guessed as fast as the line allows."""
    put(attempts.Attempts, "failed", lambda self, address: None)


def check_no_pin(put):
    """Take whatever authority is offered for the code's."""
    put(machine, "is_pinned", lambda authority, pin: True)


def drop_the_old_key_first(put):
    """Move the new identity over the old one before the office was asked whether it takes it."""
    true_renew = Renewal.renew

    async def renew(self):
        true_ask_for = self._ask_for

        async def ask_for(path, name):
            found = await true_ask_for(path, name)
            renewal.replace_file(self._path, found.pem())
            return found

        self._ask_for = ask_for
        await true_renew(self)

    put(Renewal, "renew", renew)


def renew_never(put):
    """Wait for the end of the certificate, and do nothing."""
    put(Renewal, "due_ms", lambda self: int(time.time() * 1000) + (1 << 50))


def keep_what_a_cut_left(put):
    """Make a device of a list anew after a cut, and leave the keys of the half one in the keystore."""
    put(Keystore, "forget", lambda self, device: None)


def pass_over_a_wrong_check(put):
    """Take a label whatever its check says."""
    put(labels, "label_check", lambda device: "0000")
    put(test_batch, "label_text", lambda device: f"{labels.PREFIX}{device.hex().upper()}:0000")


FAULTS = {
    plant.__name__: plant
    for plant in (
        *(take_a_code_twice, take_a_code_for_ever, keep_the_code_itself, believe_any_company_certificate),
        *(believe_any_signature_of_ours, recognise_a_connection_once, forget_that_certificates_end),
        *(go_by_the_certificate_whatever_the_token_says, keep_the_token_for_ever, forget_the_link_secrets),
        *(believe_an_older_authority, believe_an_older_authority_of_codes),
        *(believe_an_older_authority_of_certificates, believe_an_older_authority_of_itself),
        see_no_older_authority,
        *(leave_gateways_behind, end_the_old_authority_at_the_switch, count_no_wrong_codes),
        *(check_no_pin, drop_the_old_key_first, renew_never),
        *(keep_what_a_cut_left, pass_over_a_wrong_check),
    )
}
