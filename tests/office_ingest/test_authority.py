"""The office's authority: founding, offices of before, and how one authority follows another. The clock is turned by the test."""

import sqlite3

import pytest
from cryptography import x509

from office_ingest.certificates import hosts_of, is_issued_by, load_private
from office_ingest.errors import NotAnOfficeDatabase
from office_ingest.storage.authority import CURRENT, GONE, NEXT, OLD, AuthorityStore
from office_ingest.watch.certificates import record_certificates
from protocol.diagnostic import DiagnosticError
from tests.office_ingest.test_identity import caller, refused
from tests.support.identity_desk import IdentityDesk


@pytest.fixture
def identity(desk):
    """The identity side of an empty office."""
    made = IdentityDesk(desk)
    yield made
    made.close()


def _states(identity):
    return [row.state for row in identity.authority.rows()]


def _server(identity):
    return x509.load_pem_x509_certificate(identity.authority.paths.certificate.read_bytes())


def _rotate(identity, **options):
    options = {"lagging": [], "bound": [], **options}
    return identity.authority.rotate(identity.desk.wall_ms(), **options)


def test_keys_are_readable_by_their_owner_alone(identity):
    """The authority's file and the server's key, from their first byte on."""
    paths = (identity.desk.folder / "authority.db", identity.authority.paths.key)

    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in paths]


def test_authority_changes_over_without_a_moment_that_refuses_anybody(identity):
    """Announced, then switched, then retired: certificates of both are taken until the last step."""
    old = identity.enrolled("gw-2")
    caller(identity, old)
    seen = []
    for _ in range(3):
        step = _rotate(identity)
        taken = caller(identity, old) if step != "retired" else refused(caller, identity, old)
        seen.append((step, _states(identity), len(identity.authority.trusted()), taken))

    assert [
        ("announced", [NEXT, CURRENT], 2, "gw-2"),
        ("switched", [CURRENT, OLD], 2, "gw-2"),
        ("retired", [CURRENT, GONE], 1, "certificate-authority-retired"),
    ] == seen


def test_server_and_gateways_get_certificates_of_the_new_authority(identity):
    """After the switch, for the same names and the same key; the old authority's key is forgotten then."""
    before, hosts = _server(identity), hosts_of(_server(identity))
    _rotate(identity)
    identity.enrolled("gw-2")
    _rotate(identity)
    renewed = x509.load_der_x509_certificate(identity.renewed("gw-2"))
    new, old = (x509.load_der_x509_certificate(row.certificate) for row in identity.authority.rows())

    assert (True, False) == (is_issued_by(_server(identity), new), is_issued_by(_server(identity), old))
    assert (True, False) == (is_issued_by(renewed, new), is_issued_by(renewed, old))
    assert (hosts, before.public_key()) == (hosts_of(_server(identity)), _server(identity).public_key())
    assert [True, False] == [row.key is not None for row in identity.authority.rows()]


@pytest.mark.parametrize(("steps", "behind"), [(1, "lagging"), (2, "bound")])
def test_no_gateway_is_left_behind(identity, steps, behind):
    """A step that would lock a gateway out is refused, and changes nothing, unless a person wants it anyway."""
    for _ in range(steps):
        _rotate(identity)
    before = _states(identity)
    with pytest.raises(DiagnosticError, match="gw-2"):
        _rotate(identity, **{behind: ["gw-2"]})

    assert before == _states(identity)
    assert _rotate(identity, **{behind: ["gw-2"]}, anyway=True) in ("switched", "retired")


def test_what_a_gateway_trusts_is_known_from_its_requests(identity):
    """The mark that it sends is compared with the one of the newest authorities."""
    certificate = identity.enrolled("gw-2")
    identity.recogniser.caller(certificate, None, identity.authority.mark())
    fresh = identity.store.gateway("gw-2").trusts == identity.authority.mark()
    _rotate(identity)
    answered = identity.recogniser.caller(certificate, None, "of before").mark

    assert fresh
    assert "of before" == identity.store.gateway("gw-2").trusts != identity.authority.mark()
    assert answered == identity.authority.mark()


def test_switch_that_was_cut_off_is_finished(identity, monkeypatch):
    """Between the commit and the server's new certificate the old one is served, which all still trust; the next look mends it."""
    _rotate(identity)
    before = _server(identity)
    monkeypatch.setattr(identity.authority, "_write_server", _cut)
    with pytest.raises(KeyboardInterrupt):
        _rotate(identity)
    monkeypatch.undo()
    served = _server(identity)
    mended = identity.authority.mend_server(identity.desk.wall_ms())
    new = x509.load_der_x509_certificate(identity.authority.rows()[0].certificate)

    assert (before, True, True) == (served, mended, is_issued_by(_server(identity), new))
    assert not identity.authority.mend_server(identity.desk.wall_ms())


def _cut(*_of):
    raise KeyboardInterrupt


def test_servers_certificate_is_renewed_before_it_ends(identity):
    """When a third of its life is left; the key stays, so that no gateway notices."""
    first = _server(identity)
    early = identity.authority.renew_server(identity.desk.wall_ms())
    identity.pass_days(270)
    due = identity.authority.renew_server(identity.desk.wall_ms())

    assert (False, True) == (early, due)
    assert first.public_key() == _server(identity).public_key()
    assert first.not_valid_after_utc < _server(identity).not_valid_after_utc


def test_end_of_server_and_authority_is_a_finding(identity):
    """An authority that nobody replaces is said ninety days ahead."""
    identity.pass_days(3650 - 80)
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())

    assert [("certificate", "authority 1"), ("certificate", "server")] == identity.desk.findings()


def test_office_of_before_goes_on_and_gets_an_authority(identity):
    """Its authority's key was thrown away: it vouches for the server, and a new one, announced at once, issues to gateways."""
    path = identity.desk.folder / "authority.db"
    identity.store.close()
    path.unlink()
    served = _server(identity)
    identity.store = AuthorityStore.create(path)
    identity.authority = type(identity.authority)(identity.store, identity.authority.paths)
    for _ in range(2):
        identity.authority.adopt(identity.desk.wall_ms())
    identity.start()
    certificate = identity.enrolled("gw-2")

    assert ([NEXT, CURRENT], [True, False]) == (
        _states(identity),
        [row.key is not None for row in identity.authority.rows()],
    )
    assert served == _server(identity)
    assert is_issued_by(served, identity.authority.server_authority())
    assert "gw-2" == caller(identity, certificate)
    assert ["switched", "retired"] == [_rotate(identity), _rotate(identity)]
    load_private(identity.authority.paths.key.read_bytes())


def test_file_of_something_else_is_refused(tmp_path):
    """An authority is not guessed at."""
    path = tmp_path / "authority.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(NotAnOfficeDatabase):
        AuthorityStore.open(path)
    path.write_bytes(b"text" * 100)
    with pytest.raises(NotAnOfficeDatabase):
        AuthorityStore.open(path)


def test_file_whose_making_was_cut_off_is_made_anew(tmp_path):
    """An empty file is nobody's yet."""
    path = tmp_path / "authority.db"
    path.touch(0o600)
    store = AuthorityStore.open(path)

    assert [] == store.authorities()
    store.close()


def test_authority_that_is_gone_is_known_and_not_trusted(identity):
    """TLS lets its certificates in, so that who shows one is told why it is refused."""
    for _ in range(3):
        _rotate(identity)

    assert (2, 1) == (len(identity.authority.known()), len(identity.authority.trusted()))
