"""The identity side of an office without its transport: authority, enrolment and recognition over real files, with a clock that the test turns."""

import hashlib
import shutil

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from office_ingest.certificates import pem
from office_ingest.govern.authority import Authority, Paths
from office_ingest.govern.enrolment import Enrolment
from office_ingest.receive.attempts import Attempts
from office_ingest.receive.enrolment_api import Identities
from office_ingest.receive.identity import Recogniser
from office_ingest.storage.authority import AuthorityStore

DAY_MS = 86_400_000
DAYS = 90


class IdentityDesk:
    """Over an OfficeDesk. company: certificates of the company's authorities; tokens: whether bearer tokens are taken."""

    def __init__(self, desk, *, company=(), tokens=True):
        tls = desk.folder / "tls"
        self.desk = desk
        self.store = AuthorityStore.create(desk.folder / "authority.db")
        self.authority = Authority(self.store, Paths(tls / "ca.pem", tls / "office.pem", tls / "office.key"))
        self.authority.found(["127.0.0.1", "localhost"], desk.now_ms)
        self.company = list(company)
        self.tokens = tokens
        self.monotonic_s = 0.0
        self.start()

    def start(self):
        """Begin with nothing in memory, as after a restart."""
        self.enrolment = Enrolment(
            self.store, self.authority, self.desk.registry, wall_ms=self.desk.wall_ms, days=DAYS
        )
        self.recogniser = Recogniser(
            self.store,
            self.authority,
            self.desk.registry,
            wall_ms=self.desk.wall_ms,
            company=self.company,
            tokens=self.tokens,
        )
        self.attempts = Attempts(lambda: self.monotonic_s)

    def put_back(self, copy):
        """End the office, put a copy over authority.db, and begin again."""
        path = self.desk.folder / "authority.db"
        self.store.close()
        shutil.copyfile(copy, path)
        self.store = AuthorityStore.open(path)
        self.authority = Authority(self.store, self.authority.paths)
        self.start()

    def identities(self):
        """Return what the office's interface is built with."""
        return Identities(
            self.recogniser.caller,
            self.enrolment.enrol,
            self.enrolment.renew,
            lambda: pem(self.authority.trusted()),
            self.attempts,
        )

    def enrolled(self, gateway="gw-2", site="site-1"):
        """Invite and enrol a gateway; return its certificate (DER)."""
        code = self.enrolment.invite(gateway, site, "A. Person", 30)
        return der_of(self.enrolment.enrol(code.secret, request(new_key())).certificate)

    def renewed(self, gateway="gw-2"):
        """Let a gateway renew with a new key; return its certificate (DER)."""
        return der_of(self.enrolment.renew(gateway, request(new_key())).certificate)

    def pass_days(self, days):
        """Let days go by."""
        self.desk.now_ms += int(days * DAY_MS)

    def close(self):
        """Close the file."""
        self.store.close()


def new_key():
    """Return a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def request(key):
    """Return a certificate request of a key, in PEM."""
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


def der_of(text):
    """Return the first certificate of a PEM text in DER."""
    return x509.load_pem_x509_certificate(text.encode()).public_bytes(serialization.Encoding.DER)


def fingerprint(raw):
    """Return the SHA-256 of a certificate."""
    return hashlib.sha256(raw).digest()


def name_of(raw):
    """Return the common name of a certificate (DER)."""
    found = x509.load_der_x509_certificate(raw).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return found[0].value
