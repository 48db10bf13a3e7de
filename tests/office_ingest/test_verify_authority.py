"""What the auditor finds in an authority.db, and what becomes of one that was put back from an older copy."""

import contextlib
import hashlib
import shutil
import sqlite3

import pytest

from office_ingest.errors import NotAnOfficeDatabase
from office_ingest.govern.enrolment import Refused
from office_ingest.prove.authority import check_authority
from office_ingest.prove.report import Report
from office_ingest.watch.certificates import record_certificates
from tests.office_ingest.test_identity import caller, refused
from tests.support.device_model import DeviceModel
from tests.support.identity_desk import IdentityDesk, new_key, request


@pytest.fixture
def identity(desk):
    """An office with an authority, and two gateways that are enrolled."""
    made = IdentityDesk(desk)
    made.enrolled("gw-1")
    made.enrolled("gw-2")
    yield made
    made.close()


def _found(identity):
    report = Report(has_keys=False)
    check_authority(identity.desk.folder / "authority.db", identity.desk.store.connection, report)
    return [(finding.where, finding.what) for finding in report.findings], report.counts


def _edit(identity, sql, *values):
    with contextlib.closing(sqlite3.connect(identity.desk.folder / "authority.db")) as connection:
        connection.execute(sql, values)
        connection.commit()


def test_untouched_authority_is_clean(identity):
    """Every certificate fits its digest and its key, every authority its own key."""
    assert ([], {"gateway_certificates": 2}) == _found(identity)


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("UPDATE certificates SET raw = zeroblob(300) WHERE gateway = 'gw-2'", "certificate of gateway gw-2"),
        (
            "UPDATE certificates SET public = zeroblob(91) WHERE gateway = 'gw-1'",
            "certificate of gateway gw-1",
        ),
        (
            "UPDATE certificates SET fingerprint = zeroblob(32) WHERE gateway = 'gw-1'",
            "certificate of gateway gw-1",
        ),
        ("DELETE FROM gateways WHERE name = 'gw-2'", "certificate of gateway gw-2"),
        ("UPDATE authorities SET certificate = zeroblob(300)", "authority 1"),
        ("UPDATE authorities SET key = zeroblob(138)", "authority 1"),
        ("UPDATE authorities SET state = 'old'", "authority 1"),
    ],
)
def test_changed_row_of_the_authority_is_named(identity, sql, where):
    """Whatever something else in the file repeats."""
    _edit(identity, sql)

    assert [where] == [place for place, _ in _found(identity)[0]]


def test_certificate_that_is_none_is_named(identity):
    """Though whoever put it there made its digest fit."""
    forged = bytes(300)
    sql = "UPDATE certificates SET raw = ?, fingerprint = ? WHERE gateway = 'gw-2'"
    _edit(identity, sql, forged, hashlib.sha256(forged).digest())

    assert [("certificate of gateway gw-2", "it cannot be read")] == _found(identity)[0]


def test_damaged_page_of_the_authority_is_found(identity):
    """SQLite's own check is part of it."""
    path = identity.desk.folder / "authority.db"
    content = bytearray(path.read_bytes())
    at = content.index(b"certificates_gateway") // 4096 * 4096 + 4096
    content[at : at + 64] = bytes(64)
    path.write_bytes(content)

    assert _found(identity)[0]


def test_other_file_is_no_authority(identity):
    """The office's database, a text, or no file at all."""
    (identity.desk.folder / "text").write_text("text" * 2000)
    for name in ("office.db", "text", "none"):
        path = identity.desk.folder / name
        with pytest.raises(NotAnOfficeDatabase):
            check_authority(path, identity.desk.store.connection, Report(has_keys=False))


def check_older_copy_of_the_authority(identity):
    """Put a copy of authority.db of before a revocation back, and look who is served and what is said."""
    desk, path = identity.desk, identity.desk.folder / "authority.db"
    desk.add(DeviceModel(1), "pump")
    certificate = identity.enrolled("gw-3")
    shutil.copyfile(path, desk.folder / "older.db")
    identity.enrolment.revoke("gw-3", "A. Person", "stolen")
    record_certificates(desk.store, identity.store, identity.authority, desk.wall_ms())
    before = desk.findings()
    identity.put_back(desk.folder / "older.db")
    kind = refused(caller, identity, certificate)
    record_certificates(desk.store, identity.store, identity.authority, desk.wall_ms())
    restored, named = desk.findings(), [where for where, _ in _found(identity)[0]]
    identity.enrolment.revoke("gw-3", "A. Person", "stolen, again")
    record_certificates(desk.store, identity.store, identity.authority, desk.wall_ms())

    assert ([("link-secret", "gw-3")], "gateway-revoked") == (before, kind)
    assert [("gateway-revoked", "gw-3"), ("link-secret", "gw-3")] == restored
    assert ["gateway gw-3"] == named
    assert ([("link-secret", "gw-3")], []) == (desk.findings(), _found(identity)[0])


@pytest.mark.proves("S38")
def test_older_copy_of_the_authority_trusts_no_revoked_gateway_again(identity):
    """The office's database remembers who was revoked: the gateway stays refused, and a finding says what to do."""
    check_older_copy_of_the_authority(identity)


def check_used_code_under_an_older_authority(identity):
    """Use a code, put a copy of authority.db of before that back, and show the code again."""
    path = identity.desk.folder / "authority.db"
    code = identity.enrolment.invite("gw-3", "site-1", "A. Person", 30)
    shutil.copyfile(path, identity.desk.folder / "older.db")
    key = new_key()
    identity.enrolment.enrol(code.secret, request(key))
    identity.put_back(identity.desk.folder / "older.db")
    second = refused(identity.enrolment.enrol, code.secret, request(new_key()))
    again = identity.enrolment.enrol(code.secret, request(key))

    assert ("code-used", "gw-3") == (second, again.gateway)
    assert [] == identity.desk.findings()


def test_used_code_stays_used_under_an_older_copy_of_the_authority(identity):
    """The office's database remembers by whose key; that machine may ask again, for the copy has no record of its certificate."""
    check_used_code_under_an_older_authority(identity)


def check_superseded_under_an_older_authority(identity):
    """Renew a gateway's certificate, enrol another gateway anew, and put a copy of authority.db of before both back."""
    path, older = identity.desk.folder / "authority.db", identity.desk.folder / "older.db"
    old = [identity.enrolled("gw-3"), identity.enrolled("gw-4")]
    for certificate in old:
        caller(identity, certificate)
    identity.pass_days(1)
    shutil.copyfile(path, older)
    caller(identity, identity.renewed("gw-3"))
    new = identity.enrolled("gw-4")
    assert "gw-3" == caller(identity, old[0])
    identity.pass_days(1)
    identity.put_back(older)
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())
    kinds = [_kind(identity, one) for one in (*old, new)]
    open_then, named = identity.desk.findings(), [where for where, _ in _found(identity)[0]]
    again = identity.enrolled("gw-3"), identity.enrolled("gw-4")
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())

    assert ["certificate-superseded", "certificate-superseded", "certificate-unknown"] == kinds
    assert [("authority-restored", "gw-3"), ("authority-restored", "gw-4")] == open_then
    assert ["certificate of gateway gw-3", "certificate of gateway gw-4"] == named
    assert ["gw-3", "gw-4"] == [caller(identity, one) for one in again]
    assert ([], []) == (identity.desk.findings(), _found(identity)[0])


def _kind(identity, certificate):
    """Return why the office refuses a certificate, or the gateway as which it takes it."""
    try:
        return caller(identity, certificate)
    except Refused as error:
        return error.kind


@pytest.mark.proves("S38")
def test_superseded_certificate_stays_superseded_under_an_older_copy_of_the_authority(identity):
    """The office's database remembers which ended, and when; what a later one is nobody's, until the gateway is enrolled again."""
    check_superseded_under_an_older_authority(identity)


def check_retired_under_an_older_authority(identity):
    """Retire an authority, though a gateway is left behind, and put a copy of authority.db of before back."""
    old = identity.enrolled("gw-3")
    caller(identity, old)
    for _ in range(2):
        identity.authority.rotate(identity.desk.wall_ms(), lagging=[], bound=[])
    shutil.copyfile(identity.desk.folder / "authority.db", identity.desk.folder / "older.db")
    identity.authority.rotate(identity.desk.wall_ms(), lagging=[], bound=["gw-3"], anyway=True)
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())
    before = _kind(identity, old)
    identity.put_back(identity.desk.folder / "older.db")
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())
    after, found, named = _kind(identity, old), identity.desk.findings(), _found(identity)[0]
    identity.authority.rotate(identity.desk.wall_ms(), lagging=[], bound=["gw-3"], anyway=True)
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())

    assert ["certificate-authority-retired"] * 2 == [before, after]
    assert ([("authority-restored", "authority")], ["authority"]) == (found, [where for where, _ in named])
    assert ([], []) == (identity.desk.findings(), _found(identity)[0])


def test_retired_authority_stays_retired_under_an_older_copy(identity):
    """What it issued is taken no more, whatever authority.db says; retiring it again ends the finding."""
    check_retired_under_an_older_authority(identity)


def test_what_ended_in_an_office_of_before_is_remembered_by_the_watch(identity):
    """Certificates that ended before the database remembered any."""
    old = identity.enrolled("gw-3")
    caller(identity, old)
    identity.pass_days(1)
    shutil.copyfile(identity.desk.folder / "authority.db", identity.desk.folder / "older.db")
    caller(identity, identity.renewed("gw-3"))
    with identity.desk.store.transaction():
        identity.desk.store.delete("ended_certificates", "1")
    record_certificates(identity.desk.store, identity.store, identity.authority, identity.desk.wall_ms())
    identity.pass_days(1)
    identity.put_back(identity.desk.folder / "older.db")

    assert "certificate-superseded" == _kind(identity, old)


def test_machine_that_was_cut_off_after_its_code_was_noted_asks_again(identity, monkeypatch):
    """Noted in one file, issued in the other: a cut between costs nobody a code, and gives it to nobody else."""
    code, key = identity.enrolment.invite("gw-3", "site-1", "A. Person", 30), new_key()
    with monkeypatch.context() as cut:
        cut.setattr(identity.enrolment, "_issue", _cut)
        with pytest.raises(InterruptedError):
            identity.enrolment.enrol(code.secret, request(key))

    assert "code-used" == refused(identity.enrolment.enrol, code.secret, request(new_key()))
    assert "gw-3" == identity.enrolment.enrol(code.secret, request(key)).gateway


def _cut(*arguments):
    raise InterruptedError
