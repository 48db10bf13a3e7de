"""Makes the folder of a new office: settings, its authority, TLS, an empty database and an empty keystore."""

import json
from pathlib import Path

from office_ingest.govern.authority import Authority, Paths
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.authority import AuthorityStore
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import Diagnostic, DiagnosticError

# JSON strings without control characters are TOML strings.
_SETTINGS = """\
[office]
name = {name}
database = "office.db"
keystore = "keystore.db"

[listen]
host = {host}
port = {port}
certificate = "tls/office.pem"
key = "tls/office.key"

[gateways]
# Certificates come from this office's authority; authorities = "company.pem" trusts those of the company as well.
bearer_tokens = true
certificate_days = 90.0

[heartbeat]
# Silence is a finding after two intervals and the grace.
interval_s = {interval_s}
grace_s = {grace_s}

[page]
# For people on this machine; it asks nobody who he is.
host = "127.0.0.1"
port = {page_port}
"""


def found_office(
    folder: Path,
    *,
    now_ms: int,
    name: str = "office",
    host: str = "127.0.0.1",
    port: int = 8443,
    page_port: int = 8080,
    interval_s: float = 10.0,
    grace_s: float = 5.0,
) -> Path:
    """Make the folder of a new office and return the path of its office.toml. now_ms: wall time, for the certificates.

    The certificate names 127.0.0.1, localhost and host. Raises DiagnosticError if any of its files is there already.
    """
    settings = folder / "office.toml"
    names = ("office.toml", "office.db", "keystore.db", "authority.db", "tls/office.key")
    there = [folder / at for at in names if (folder / at).exists()]
    if there:
        fix = "name another folder; an office is never made over another"
        raise DiagnosticError(
            [Diagnostic("office-exists", "there is an office already", str(at), fix=fix) for at in there]
        )
    folder.mkdir(parents=True, exist_ok=True)
    hosts = list(dict.fromkeys(["127.0.0.1", "localhost", host]))
    tls = folder / "tls"
    authority = AuthorityStore.create(folder / "authority.db")
    Authority(authority, Paths(tls / "ca.pem", tls / "office.pem", tls / "office.key")).found(hosts, now_ms)
    authority.close()
    SqliteStore.create(folder / "office.db").close()
    Keystore.create(folder / "keystore.db").close()
    written = _SETTINGS.format(
        name=json.dumps(name),
        host=json.dumps(host),
        port=port,
        page_port=page_port,
        interval_s=float(interval_s),
        grace_s=float(grace_s),
    )
    settings.write_text(written)
    return settings
