"""Who may be a gateway: codes, certificates, their ends, and what is said to who is refused. The clock is turned by the test."""

import base64
import datetime as dt
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from office_ingest.certificates import Issuer, der, issue_gateway, make_authority
from office_ingest.govern.enrolment import Refused
from office_ingest.govern.relink import uncertified_gateways
from office_ingest.receive.identity import OVERLAP_MS
from office_ingest.storage.authority import AuthorityStore
from office_ingest.watch.certificates import record_certificates
from protocol.command import RELINK
from protocol.diagnostic import DiagnosticError
from protocol.enrolment import code_hash, pin_of
from tests.support.device_model import DeviceModel
from tests.support.identity_desk import DAYS, IdentityDesk, der_of, name_of, new_key, request
from tests.support.office_desk import TOKEN


@pytest.fixture
def identity(desk):
    """The identity side of an empty office."""
    made = IdentityDesk(desk)
    yield made
    made.close()


def refused(call, *arguments):
    """Return why the office refuses."""
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.kind


def caller(identity, certificate=None, token=None):
    """Return the gateway that the office recognises."""
    return identity.recogniser.caller(certificate, token).gateway


def test_gateway_that_is_told_no_links_is_named(identity):
    """Who shows a token, and who has no good certificate any more; not who is revoked, and not who is of another site."""
    device = DeviceModel()
    identity.desk.add(device)

    def named():
        at = (identity.desk.store, identity.store, device.device, identity.desk.now_ms)
        return uncertified_gateways(*at)

    found = [named()]
    identity.enrolled("gw-2")
    found.append(named())
    identity.enrolment.revoke("gw-1", "A. Person", "was replaced")
    found.append(named())
    identity.desk.now_ms += (DAYS + 1) * 86_400_000
    found.append(named())
    identity.enrolment.revoke("gw-2", "A. Person", "was replaced")
    found.append(named())

    assert found == [["gw-1"], ["gw-1"], [], ["gw-2"], ["every gateway"]]


# enrolment


@pytest.mark.proves("S38")
def test_code_makes_one_machine_a_gateway(identity):
    """The certificate names the gateway of the invitation, whatever the request said, and is recognised."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)
    issued = identity.enrolment.enrol(code.secret, request(new_key()))

    assert ("gw-2", "site-1", "gw-2") == (issued.gateway, issued.site, name_of(der_of(issued.certificate)))
    assert "gw-2" == caller(identity, der_of(issued.certificate))
    assert "site-1" == identity.desk.registry.site_of_gateway("gw-2")


def test_code_is_used_once(identity):
    """Another key gets nothing for a code that was used; the key that used it gets the same certificate again."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)
    key = new_key()
    first = identity.enrolment.enrol(code.secret, request(key))

    assert "code-used" == refused(identity.enrolment.enrol, code.secret, request(new_key()))
    assert first == identity.enrolment.enrol(code.secret, request(key))
    assert 1 == len(identity.store.certificates("gw-2"))


def test_code_ends(identity):
    """After its minutes a code that nobody used is good for nothing."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)
    identity.pass_days(31 / 1440)

    assert "code-expired" == refused(identity.enrolment.enrol, code.secret, request(new_key()))


def test_newer_code_ends_the_older_one(identity):
    """Of several codes for one gateway the last one counts."""
    first = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)
    second = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)

    assert "code-expired" == refused(identity.enrolment.enrol, first.secret, request(new_key()))
    assert "gw-2" == identity.enrolment.enrol(second.secret, request(new_key())).gateway


def test_code_is_kept_as_a_hash_only(identity):
    """Whoever reads the office's files finds no code in them."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)
    kept = b"".join(path.read_bytes() for path in identity.desk.folder.rglob("*") if path.is_file())

    assert code_hash(code.secret) in kept
    assert code.secret not in kept
    assert code.secret.hex().encode() not in kept
    assert code.text().encode() not in kept


def test_code_pins_the_authority_of_the_server(identity):
    """What a machine can check before it sends anything."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)

    assert code.pin == pin_of(der(identity.authority.server_authority()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"0" * 9000,
    ],
)
def test_what_is_no_request_uses_no_code(identity, body):
    """A code survives a request that cannot be signed."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)

    assert "request-malformed" == refused(identity.enrolment.enrol, code.secret, body)
    assert "gw-2" == identity.enrolment.enrol(code.secret, request(new_key())).gateway


def test_request_whose_signature_does_not_hold_is_refused(identity):
    """Who asks for a certificate must have the key."""
    code = identity.enrolment.invite("gw-2", "site-1", "A. Person", 30)
    raw = bytearray(x509.load_pem_x509_csr(request(new_key())).public_bytes(Encoding.DER))
    raw[-1] ^= 1
    text = base64.encodebytes(bytes(raw))
    forged = b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"

    assert "request-malformed" == refused(identity.enrolment.enrol, code.secret, forged)


def test_enrolling_again_ends_what_the_name_had_before(identity):
    """A code for a gateway that has a certificate is for its new machine: the old key is nobody from then on."""
    first = identity.enrolled()
    second = identity.enrolled()

    assert "certificate-superseded" == refused(caller, identity, first)
    assert "gw-2" == caller(identity, second)


@pytest.mark.parametrize(
    ("name", "site", "code"),
    [
        ("gw-2", "site-9", "office-no-site"),
        ("", "site-1", "provision-name"),
        ("gw-1", "site-2", "provision-name-taken"),
    ],
)
def test_wrong_invitation_is_said(identity, name, site, code):
    """A name that cannot be used, a site that nobody knows, a gateway of another site."""
    with pytest.raises(DiagnosticError) as caught:
        identity.enrolment.invite(name, site, "A. Person", 30)

    assert code in [one.code for one in caught.value.diagnostics]


# tokens of before


def test_token_stays_good_until_the_certificate_is_used(identity):
    """A gateway that had a token changes over without a moment in which it is nobody, and never back."""
    certificate = identity.enrolled("gw-1")
    before = caller(identity, token=TOKEN)
    by_certificate = caller(identity, certificate)

    assert ("gw-1", "gw-1") == (before, by_certificate)
    assert "token-unknown" == refused(caller, identity, None, TOKEN)


def test_tokens_can_be_switched_off(desk):
    """With the setting a token is good for nothing, and who sends it is told what to do."""
    identity = IdentityDesk(desk, tokens=False)

    assert "certificate-needed" == refused(caller, identity, None, TOKEN)
    identity.close()


def test_token_of_one_gateway_with_the_certificate_of_another_is_refused(identity):
    """Nobody is two gateways."""
    certificate = identity.enrolled("gw-2")

    assert "two-identities" == refused(caller, identity, certificate, TOKEN)


# ends


def test_expired_certificate_is_refused(identity):
    """To the moment at which it ends, and not after."""
    certificate = identity.enrolled()
    caller(identity, certificate)
    identity.pass_days(DAYS - 0.001)
    last = caller(identity, certificate)
    identity.pass_days(0.002)

    assert "gw-2" == last
    assert "certificate-expired" == refused(caller, identity, certificate)


@pytest.mark.proves("S38")
def test_revoked_gateway_is_refused_at_its_next_request(identity):
    """No restart, and no waiting: certificate, code and token all end at once."""
    certificate = identity.enrolled("gw-1")
    before = caller(identity, certificate)
    waiting = identity.enrolment.invite("gw-1", "site-1", "A. Person", 30)
    identity.enrolment.revoke("gw-1", "A. Person", "stolen")

    assert "gw-1" == before
    assert "gateway-revoked" == refused(caller, identity, certificate)
    assert refused(identity.enrolment.enrol, waiting.secret, request(new_key())) in (
        "code-expired",
        "gateway-revoked",
    )
    assert "gateway-revoked" == refused(identity.enrolment.renew, "gw-1", request(new_key()))
    with pytest.raises(DiagnosticError, match="was revoked"):
        identity.enrolment.invite("gw-1", "site-1", "A. Person", 30)


def test_revoked_gateway_with_a_token_is_refused(identity):
    """A gateway of before, that never had a certificate, can be revoked too."""
    identity.enrolment.revoke("gw-1", "A. Person", "stolen")

    assert "token-unknown" == refused(caller, identity, None, TOKEN)


def test_revocation_by_another_process_counts_at_once(identity):
    """The command and the service are two processes: what one writes the other sees with the next request."""
    certificate = identity.enrolled()
    caller(identity, certificate)
    other = AuthorityStore.open(identity.desk.folder / "authority.db")
    with other.writing():
        other.put_gateway(other.gateway("gw-2")._replace(revoked_ms=1))
    other.close()

    assert "gateway-revoked" == refused(caller, identity, certificate)


def test_link_secrets_that_a_revoked_gateway_knew_are_marked(identity):
    """Each device of its site is on the list and a finding, until it has another link secret."""
    device, other = DeviceModel(1), DeviceModel(2)
    identity.desk.add(device, "pump")
    identity.desk.registry.add_device(other.device, name="vault", site="site-2", now_ms=1)
    identity.enrolled("gw-1")
    marked = identity.enrolment.revoke("gw-1", "A. Person", "stolen")
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())
    said = identity.desk.findings()
    replaced = identity.store.link_secret_replaced(device.device)
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())

    assert ([device.device], [("link-secret", "gw-1")], True) == (marked, said, replaced)
    assert [] == identity.desk.findings()


def test_link_secret_is_struck_off_the_list_once_the_device_uses_another(identity):
    """By a relink that was given after the gateway was revoked: it was told none given before."""
    device = DeviceModel(1)
    identity.desk.add(device, "pump")
    identity.enrolled("gw-1")
    identity.enrolment.revoke("gw-1", "A. Person", "stolen")
    since_ms = identity.store.link_secrets()[0][2]
    left = []
    for counter, made_ms in ((1, since_ms), (2, since_ms + 1)):
        with identity.desk.store.transaction():
            row = (counter, b"x", json.dumps([RELINK, 1, 2]), "A", made_ms, made_ms + 9, 0, "null", 9, 9)
            identity.desk.store.put("commands", device.device, *row)
        for uses in (None, counter):
            health = {0: 5} if uses is None else {0: 5, 21: uses}
            identity.desk.take(heartbeats=[device.heartbeat(health=health)])
            record_certificates(
                identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms()
            )
            left.append(len(identity.store.link_secrets()))

    assert left == [1, 1, 1, 0]
    assert [] == identity.desk.findings()


def test_what_a_revoked_gateway_brought_stays_verifiable(identity):
    """Segments count by their seals, not by who brought them."""
    from office_ingest.prove.verify import verify_database

    device = DeviceModel()
    identity.desk.add(device)
    identity.desk.take(device.seal(0))
    identity.enrolled("gw-1")
    identity.enrolment.revoke("gw-1", "A. Person", "stolen")
    report = verify_database(identity.desk.store.connection, identity.desk.keystore)

    assert ([], 1) == (report.findings, report.counts["segments_verified"])


# certificates that are not ours, or not this gateway's


def _issuer(name="Another authority"):
    made = make_authority(1_700_000_000_000)
    return Issuer(made.certificate, made.key)


def test_certificate_that_this_office_never_issued_is_refused(identity):
    """Not even its own authority's signature is enough: whoever copied the authority's key makes no gateway without a record."""
    _, issuer = identity.authority.issuer()
    forged = issue_gateway(issuer, new_key().public_key(), "gw-1", identity.desk.now_ms, DAYS)

    assert "certificate-unknown" == refused(caller, identity, der(forged))


def test_certificate_of_an_authority_that_is_not_trusted_is_refused(identity):
    """TLS refuses it before; behind TLS it is refused again."""
    theirs = issue_gateway(_issuer(), new_key().public_key(), "gw-1", identity.desk.now_ms, DAYS)

    assert "certificate-other-authority" == refused(caller, identity, der(theirs))


@pytest.fixture
def company(desk):
    """The identity side of an office that trusts a company's authority too, which names the gateway gw-3."""
    issuer = _issuer()
    made = IdentityDesk(desk, company=[issuer.certificate])
    made.issuer = issuer
    made.enrolment.expect("gw-3", "site-1", "A. Person")
    yield made
    made.close()


def _theirs(company, name, days=DAYS):
    return der(issue_gateway(company.issuer, new_key().public_key(), name, company.desk.now_ms, days))


def test_certificate_of_the_company_is_taken_for_the_gateway_that_it_names(company):
    """The office has to expect it; its renewals come from the company too."""
    certificate = _theirs(company, "gw-3")

    assert "gw-3" == caller(company, certificate)
    assert "gw-3" == caller(company, _theirs(company, "gw-3"))
    assert "not-our-certificate" == refused(company.enrolment.renew, "gw-3", request(new_key()))


@pytest.mark.parametrize("name", ["gw-1", "gw-2", "gw-9"])
def test_certificate_of_the_company_makes_nobody_another_gateway(company, name):
    """A gateway with a token, one with this office's certificate, one that nobody expects: the company's word is for its own alone."""
    company.enrolled("gw-2")

    assert "certificate-other-gateway" == refused(caller, company, _theirs(company, name))


def test_certificate_of_the_company_without_one_name_is_refused(company):
    """No common name, or two: nobody in particular."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gw-3")] * 2)
    now = dt.datetime(2023, 11, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(company.issuer.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(7).not_valid_before(now)
    made = builder.not_valid_after(now + dt.timedelta(days=99)).sign(company.issuer.key, hashes.SHA256())

    assert "certificate-other-gateway" == refused(caller, company, der(made))


# renewal


def test_old_and_new_certificate_are_good_together_for_a_while(identity):
    """Until the new one was used, and for requests on their way; then the old one ends."""
    old = identity.enrolled()
    caller(identity, old)
    identity.pass_days(60)
    new = identity.renewed()
    meanwhile = [caller(identity, one) for one in (old, old, new, old)]
    identity.pass_days((OVERLAP_MS + 10) / 86_400_000)

    assert ["gw-2"] * 4 == meanwhile
    assert "gw-2" == caller(identity, new)
    assert "certificate-superseded" == refused(caller, identity, old)


def test_renewal_whose_answer_was_lost_is_answered_again(identity):
    """One key gets one certificate, however often it asks."""
    identity.enrolled()
    key = new_key()
    answers = {identity.enrolment.renew("gw-2", request(key)).certificate for _ in range(3)}

    assert (1, 2) == (len(answers), len(identity.store.certificates("gw-2")))


def test_certificate_that_was_not_renewed_is_a_finding_ahead_of_its_end(identity):
    """Said while there is time, taken back once it is renewed."""
    identity.enrolled()
    look = lambda: record_certificates(  # noqa: E731
        identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms()
    )
    look()
    before = identity.desk.findings()
    identity.pass_days(DAYS * 0.86)
    look()
    late = identity.desk.findings()
    identity.renewed()
    look()

    assert ([], [("certificate", "gateway gw-2")], []) == (before, late, identity.desk.findings())
