"""Real processes: an office, a gateway that enrols by a code, TLS with both certificates between them, and what is left of secrets.

What a command line shows, what is logged, and what errors say is collected and searched for every secret that was made.
"""

import asyncio
import io
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from gateway import enrol as machine
from gateway.enrol_cli import enrol
from gateway.errors import OfficeError, OfficeRefused, OfficeUnreachable
from gateway.identity import new_key, next_of, read_identity, request_pem
from gateway.uplink import Office
from office_ingest.certificates import (
    Issuer,
    issue_gateway,
    issue_server,
    load_private,
    make_authority,
    pem,
    private_bytes,
)
from office_ingest.founding import found_office
from office_ingest.govern.enrolment import certificate_row
from office_ingest.prove.verify import verify_database
from office_ingest.storage.authority import AuthorityStore
from protocol.diagnostic import NOT_ALLOWED, OK, UNREACHABLE, DiagnosticError
from protocol.enrolment import IDENTITY_PATH, Code, parse_code
from protocol.uplink import encode_request
from tools import cli
from tools.ports import free_port

TIMEOUT_S = 60


class Field:
    """The folder of one office, its process, and the words of every command that was run."""

    def __init__(self, folder):
        self.folder = folder
        self.said = b""
        self.lines = []
        self.processes = []
        self.config = found_office(folder / "office", now_ms=time.time_ns() // 1_000_000, port=0, page_port=0)
        self.url = ""

    def run(self, *words, stdin="", env=None):
        """Run a command of ours to its end; return (exit code, standard output)."""
        command = [sys.executable, "-m", "tools.cli", *map(str, words)]
        self.lines.append(" ".join(command).encode())
        done = subprocess.run(
            command, input=stdin.encode(), capture_output=True, timeout=TIMEOUT_S, check=False, env=env
        )
        self.said += done.stderr
        return done.returncode, done.stdout.decode()

    def here(self, *words):
        """Run a command in this process, where nothing of the process is asked; return (exit code, standard output)."""
        self.lines.append(" ".join(map(str, words)).encode())
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as wrong:
            code = cli.run([str(word) for word in words])
        self.said += wrong.getvalue().encode()
        return code, out.getvalue()

    def office(self, *words, **options):
        """Run a command of the office."""
        return self.run("office", *words, "--config", self.config, **options)

    def serve(self):
        """Start the office."""
        line = self._start("office", "office", "serve", "--config", self.config)
        self.url = re.fullmatch(r"serving on (https://\S+)\n", line)[1]

    def start_gateway(self, folder):
        """Start a gateway."""
        return self._start("gateway", "gateway", "run", "-v", "--config", folder / "gateway.toml")

    def _start(self, name, *words):
        command = [sys.executable, "-m", "tools.cli", *map(str, words)]
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self.processes.append(process)
        self.lines.append(Path(f"/proc/{process.pid}/cmdline").read_bytes())
        return process.stdout.readline()

    def invite(self, name="gate-1", site="north"):
        """Return a code for a gateway."""
        self.here("site", "create", site, "--config", self.config)
        code, out = self.here("office", "gateway", "invite", name, "--site", site, "--config", self.config)
        assert OK == code
        return out.strip()

    def enrol(self, name="gate-1", folder="gateway"):
        """Make a gateway's folder and return it."""
        place = self.folder / folder
        code, out = self.run(
            "gateway", "enrol", place, "--office", self.url, "--port", free(), stdin=self.invite(name)
        )
        assert OK == code, self.said
        assert name in out
        return place

    def client(self, folder, **options):
        """Return an HTTP client that shows a gateway's certificate and keeps its connection."""
        return httpx.Client(verify=context(folder), base_url=self.url, **options)

    def logs(self):
        """Return everything that was logged or said."""
        return self.said + b"".join(path.read_bytes() for path in self.folder.glob("*.log"))

    def close(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(TIMEOUT_S)
            process.stdout.close()


def free():
    return free_port(socket.SOCK_DGRAM)


def context(folder, identity=None, ca=None):
    made = ssl.create_default_context(cafile=str(ca or folder / "office-ca.pem"))
    made.load_cert_chain(identity or folder / "identity.pem")
    return made


@pytest.fixture
def field(tmp_path):
    """An office that serves."""
    made = Field(tmp_path)
    made.serve()
    yield made
    made.close()


def _problem(response):
    assert "application/problem+json" == response.headers["content-type"]
    body = response.json()
    assert response.status_code == body["status"]
    return body["status"], body["type"].rpartition(":")[2]


@pytest.mark.proves("S38")
def test_gateway_enrols_and_is_known_by_its_certificate(field):
    """The key is made there, readable by its owner alone; the office knows the gateway by the connection, without a token."""
    folder = field.enrol()
    with field.client(folder) as client:
        known = client.get(IDENTITY_PATH).json()
        uplink = client.post(
            "/v1/uplink", content=encode_request([], []), headers={"Content-Type": "application/cbor"}
        )
    nobody = httpx.get(
        field.url + IDENTITY_PATH, verify=ssl.create_default_context(cafile=folder / "office-ca.pem")
    )

    assert ("gate-1", 200, 401) == (known["gateway"], uplink.status_code, nobody.status_code)
    assert 0o600 == (folder / "identity.pem").stat().st_mode & 0o777
    assert not (folder / "token").exists()
    assert not next_of(folder / "identity.pem").exists()


def test_code_cannot_be_used_by_a_second_machine(field):
    """The second one is told what it means, and gets nothing."""
    code = field.invite()
    first, _ = field.run("gateway", "enrol", field.folder / "one", "--office", field.url, stdin=code)
    second, _ = field.run("gateway", "enrol", field.folder / "two", "--office", field.url, stdin=code)

    assert (OK, NOT_ALLOWED) == (first, second)
    assert b"the code was used already" in field.said
    assert not (field.folder / "two" / "identity.pem").exists()


def test_machine_whose_answer_was_lost_asks_again_with_the_same_code(field):
    """The key is on disk before the code is sent: enrolling again goes on with it."""
    code, folder = field.invite(), field.folder / "gateway"
    first, _ = field.run("gateway", "enrol", folder, "--office", field.url, stdin=code)
    identity = read_identity(folder / "identity.pem")
    # As if the process had died before it could write the answer down.
    (folder / "identity.pem").rename(next_of(folder / "identity.pem"))
    second, _ = field.run("gateway", "enrol", folder, "--office", field.url, stdin=code)

    assert (OK, OK) == (first, second)
    assert identity.certificate == read_identity(folder / "identity.pem").certificate


def check_code_is_not_given_to_another_office(folder, enrol):
    """Run enrol(url, code) against somebody who stands between, with an authority of his own; return what he was sent."""
    heard = []
    authority = make_authority(time.time_ns() // 1_000_000)
    key = new_key()
    server = issue_server(authority, key.public_key(), ["127.0.0.1"], time.time_ns() // 1_000_000)
    (folder / "theirs.pem").write_bytes(private_bytes(key) + pem([server]).encode())

    class Between(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer({"authorities": pem([authority.certificate])})

        def do_POST(self):
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            public = new_key().public_key()
            made = issue_gateway(authority, public, "gate-1", time.time_ns() // 1_000_000, 90)
            self._answer(
                {"gateway": "gate-1", "site": "north", "certificate": pem([made]), "authorities": ""}
            )

        def _answer(self, body):
            raw = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_of):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Between)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "theirs.pem")
    listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        enrol(f"https://127.0.0.1:{listening.server_port}")
    finally:
        listening.shutdown()
        listening.server_close()
    return heard


def check_code_stays_with_its_office(folder):
    """Enrol in this process against somebody who stands between: he hears nothing, and is named."""
    code = Code(bytes(16), bytes(range(16)))
    ends = []

    def enrol_there(url):
        with pytest.raises(DiagnosticError) as caught:
            machine.enrol(machine.Place(folder / "g", url), code)
        ends.append(caught.value.diagnostics[0].code)

    heard = check_code_is_not_given_to_another_office(folder, enrol_there)

    assert ([], ["gateway-other-office"]) == (heard, ends)
    assert not (folder / "g").exists()


def test_machine_believes_no_office_before_its_authority_is_the_codes(tmp_path):
    """The second connection, which carries the secret, is never made."""
    check_code_stays_with_its_office(tmp_path)


def test_code_is_never_given_to_somebody_who_stands_between(field):
    """Another office, or a proxy that ends TLS, does not show the authority of the code, and hears nothing of it."""
    code = field.invite()
    ends = []
    heard = check_code_is_not_given_to_another_office(
        field.folder,
        lambda url: ends.append(
            field.run("gateway", "enrol", field.folder / "g", "--office", url, stdin=code)
        ),
    )

    assert ([], NOT_ALLOWED) == (heard, ends[0][0])
    assert b"gateway-other-office" in field.said


def test_office_that_is_not_there_is_said(field):
    """Nothing is used up."""
    code, _ = field.run(
        "gateway", "enrol", field.folder / "g", "--office", "https://127.0.0.1:1", stdin=field.invite()
    )

    assert UNREACHABLE == code


@pytest.mark.proves("S38")
def test_revoked_gateway_is_refused_on_the_connection_that_it_has_open(field):
    """By a command beside the running office, at the very next request; what it brought stays."""
    folder = field.enrol()
    with field.client(folder) as client:
        before = client.get(IDENTITY_PATH).status_code
        code, _ = field.office("gateway", "revoke", "gate-1", "--reason", "stolen", "--author", "A. Person")
        after = _problem(client.get(IDENTITY_PATH))
        uplink = _problem(
            client.post(
                "/v1/uplink", content=encode_request([], []), headers={"Content-Type": "application/cbor"}
            )
        )
    with closing(sqlite3.connect(field.config.parent / "office.db")) as database:
        findings = verify_database(database, None).findings

    assert (200, OK, (403, "gateway-revoked")) == (before, code, after)
    assert (403, "gateway-revoked") == uplink
    assert [] == findings


def test_revoked_gateway_says_so_itself(field):
    """Its own words name the reason, so that nobody looks for a fault of the network."""
    folder = field.enrol()
    field.office("gateway", "revoke", "gate-1")

    assert "gateway gate-1 was revoked" in str(_asked(field.url, folder, folder / "identity.pem"))


def _asked(url, folder, identity):
    """Return what the gateway's own end of the uplink makes of the office's answer."""

    async def ask():
        office = Office(url, ca=folder / "office-ca.pem", identity=identity, timeout_s=10.0)
        try:
            await office.get(IDENTITY_PATH, 65_536)
        except OfficeError as error:
            return error
        finally:
            await office.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("kind", ["foreign", "server"])
def test_certificate_that_tls_does_not_take_gets_no_answer_at_all(field, kind):
    """Of an authority that nobody trusts, or for another purpose: refused in the handshake, before any request is read."""
    folder = field.enrol()
    key, now_ms = new_key(), time.time_ns() // 1_000_000
    if kind == "foreign":
        made = issue_gateway(make_authority(now_ms), key.public_key(), "gate-1", now_ms, 90)
        (folder / "other.pem").write_bytes(private_bytes(key) + pem([made]).encode())
    else:
        tls = field.config.parent / "tls"
        (folder / "other.pem").write_bytes(
            (tls / "office.key").read_bytes() + (tls / "office.pem").read_bytes()
        )
    with pytest.raises(httpx.TransportError):
        httpx.get(field.url + IDENTITY_PATH, verify=context(folder, folder / "other.pem"))
    said = _asked(field.url, folder, folder / "other.pem")

    assert isinstance(said, (OfficeRefused, OfficeUnreachable))
    assert "enrol it again" in str(said)


def test_expired_certificate_is_told_so(field):
    """TLS lets it in, so that the answer can say what is wrong and what to do."""
    folder = field.enrol()
    now_ms = time.time_ns() // 1_000_000
    store = sqlite3.connect(field.config.parent / "authority.db")
    number, certificate, raw = store.execute("SELECT number, certificate, key FROM authorities").fetchone()
    store.close()
    issuer = Issuer(x509.load_der_x509_certificate(certificate), load_private(raw))
    key = new_key()
    made = issue_gateway(issuer, key.public_key(), "gate-1", now_ms - 100 * 86_400_000, 90)
    (folder / "old.pem").write_bytes(private_bytes(key) + pem([made]).encode())
    with closing(AuthorityStore.open(field.config.parent / "authority.db")) as authority, authority.writing():
        authority.put_certificate(certificate_row(made, "gate-1", number, now_ms - 100 * 86_400_000))
    answer = httpx.get(field.url + IDENTITY_PATH, verify=context(folder, folder / "old.pem"))

    assert (403, "certificate-expired") == _problem(answer)


def test_authority_is_replaced_under_a_running_office(field):
    """Three commands; new connections see the new certificate without a restart, and a gateway that trusts both goes on."""
    folder = field.enrol()
    field.office("ca", "rotate")
    bundle = field.folder / "both.pem"
    bundle.write_text((field.config.parent / "tls" / "ca.pem").read_text())
    code, _ = field.office("ca", "rotate")
    refused = NOT_ALLOWED != code != OK
    code, out = field.office("ca", "rotate", "--anyway")
    new = ssl.create_default_context(
        cadata=bundle.read_text().split("-----END CERTIFICATE-----\n")[1] + "-----END CERTIFICATE-----\n"
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not _is_served(field.url, new) and time.monotonic() < deadline:
        time.sleep(0.1)
    answer = httpx.get(field.url + IDENTITY_PATH, verify=context(folder, ca=bundle))

    assert (True, OK, 200) == (refused, code, answer.status_code)
    assert "the server has a certificate of the new authority" in out


def _is_served(url, trust):
    try:
        httpx.get(url + "/healthz", verify=trust)
    except httpx.TransportError:
        return False
    return True


def test_too_many_wrong_codes_have_to_wait(field):
    """Guessing is slow, and whoever has the right code is served again after a while."""
    ca = ssl.create_default_context(cafile=field.config.parent / "tls" / "ca.pem")
    body = {"secret": "00" * 16, "request": request_pem(new_key()).decode()}
    with httpx.Client(verify=ca, base_url=field.url) as client:
        answers = [client.post("/v1/enrolments", json=body) for _ in range(7)]

    assert [403] * 5 + [429] * 2 == [answer.status_code for answer in answers]
    assert int(answers[-1].headers["retry-after"]) > 0


def test_companys_authority_names_a_gateway(field):
    """The request goes out, the certificate comes back, the key stays; the office takes it because its settings trust that authority."""
    company = make_authority(time.time_ns() // 1_000_000)
    (field.folder / "office" / "company.pem").write_text(pem([company.certificate]))
    text = field.config.read_text().replace("[gateways]", '[gateways]\nauthorities = "company.pem"')
    field.close()
    field.processes.clear()
    field.config.write_text(text)
    field.serve()
    field.run("site", "create", "north", "--config", field.config)
    field.office("gateway", "invite", "gate-2", "--site", "north", "--company")
    folder, csr = field.folder / "gateway", field.folder / "gate-2.csr"
    asked, _ = field.run(
        "gateway",
        "enrol",
        folder,
        "--office",
        field.url,
        "--csr-out",
        csr,
        "--name",
        "gate-2",
        "--site",
        "north",
    )
    request = x509.load_pem_x509_csr(csr.read_bytes())
    made = issue_gateway(company, request.public_key(), "gate-2", time.time_ns() // 1_000_000, 90)
    (field.folder / "gate-2.pem").write_text(pem([made]))
    ca = field.config.parent / "tls" / "ca.pem"
    taken, _ = field.run("gateway", "enrol", folder, "--certificate", field.folder / "gate-2.pem", "--ca", ca)
    with field.client(folder) as client:
        known = client.get(IDENTITY_PATH)

    assert (OK, OK, 200, "gate-2") == (asked, taken, known.status_code, known.json()["gateway"])
    assert b"PRIVATE" not in csr.read_bytes()
    assert 0o600 == (folder / "identity.pem").stat().st_mode & 0o777


def test_no_secret_is_logged_said_shown_or_backed_up_with_the_database(field):
    """Codes, keys and tokens of a whole life: searched for in command lines, logs, errors, answers, and a copy of the database."""
    code = field.invite()
    field.run("gateway", "enrol", field.folder / "g", "--office", field.url, stdin=code[:-1] + "0")
    field.run("gateway", "enrol", field.folder / "g", "--office", field.url, "--port", free(), stdin=code)
    field.run("gateway", "enrol", field.folder / "h", "--office", field.url, stdin=code)
    folder = field.folder / "g"
    old = field.run(
        *("provision", "gateway", "--office", field.config, "--name", "gate-9", "--site", "north"),
        *("--uplink", field.url, field.folder / "old"),
    )
    recording = field.folder / "recording.csv"
    recording.write_text("100,600\n" * 50)
    field.run(
        *(
            "provision",
            "device",
            "--office",
            field.config,
            "--gateway",
            folder,
            "--name",
            "pump",
            "--site",
            "north",
        ),
        *("--recording", recording, field.folder / "pump"),
    )
    field.start_gateway(folder)
    field.office("ca", "rotate")
    field.office("ca", "status", "--json")
    field.office("gateway", "list", "--json")
    field.office("gateway", "revoke", "gate-9")
    copy = field.folder / "copy.db"
    with (
        closing(sqlite3.connect(field.config.parent / "office.db")) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    markers = _secrets(field, folder, code)
    places = {"logs": field.logs(), "arguments": b"\n".join(field.lines), "backup": copy.read_bytes()}
    places["certificate"] = (folder / "office-ca.pem").read_bytes() + (folder / "gateway.toml").read_bytes()

    assert OK == old[0]
    assert 8 <= len(markers)
    assert [] == [
        (what, where)
        for what, marker in markers.items()
        for where, text in places.items()
        if _is_in(marker, text)
    ]


def _secrets(field, folder, code):
    """Return every secret of a site by its name, as its file holds it."""
    secret = parse_code(code).secret
    markers = {"code": code.encode(), "code's secret": secret.hex().encode(), "code's secret, raw": secret}
    for name, path in (
        ("gateway's key", folder / "identity.pem"),
        ("server's key", field.config.parent / "tls" / "office.key"),
    ):
        markers[name] = path.read_bytes().split(b"\n")[1]
    markers["token"] = (field.folder / "old" / "token").read_bytes().strip()
    markers["link secret"] = re.search(rb'secret = "([0-9a-f]{32})"', (folder / "links.toml").read_bytes())[1]
    with closing(sqlite3.connect(field.config.parent / "authority.db")) as authority:
        for number, key in authority.execute("SELECT number, key FROM authorities"):
            markers[f"authority {number}'s key"] = key
    with closing(sqlite3.connect(field.config.parent / "keystore.db")) as keystore:
        markers["downlink key"] = keystore.execute("SELECT downlink FROM devices").fetchone()[0]
    return markers


def _is_in(marker, text):
    return any(form in text for form in (marker, marker.hex().encode(), marker.hex().upper().encode()))


def test_code_is_no_argument():
    """There is no option that takes the code itself: a shell would keep it."""
    names = {name for parameter in enrol.params for name in parameter.opts}

    assert "--code-file" in names
    assert "--code" not in names
    assert os.name == "posix"
