"""Starts and stops the office: its core, in one thread, behind HTTP."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import uvicorn

from office_ingest import points
from office_ingest.certificates import pem
from office_ingest.clock import SystemClock
from office_ingest.config import Configuration
from office_ingest.core import Core
from office_ingest.errors import StoreUnavailable, in_words
from office_ingest.govern.admissions import Admissions
from office_ingest.govern.enrolment import Enrolment
from office_ingest.govern.people import People
from office_ingest.overview import devices_overview
from office_ingest.receive.api import build_api, limited_to_sites
from office_ingest.receive.attempts import Attempts
from office_ingest.receive.enrolment_api import Identities
from office_ingest.receive.identity import Recogniser
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.listener import Listener, company_authorities, open_authority
from office_ingest.receive.peer import PeerProtocol, ask_for_certificates
from office_ingest.show.asked import add_asked
from office_ingest.show.service import PageService
from office_ingest.storage.sqlite import SqliteStore, check_database, is_half_repaired
from office_ingest.watch import certificates, damage
from protocol import sqlite_file
from protocol.diagnostic import TRY_AGAIN, UNREACHABLE, Diagnostic, DiagnosticError
from protocol.sqlite_settle import settle

_log = logging.getLogger("office_ingest.app")

# Silence is looked for this often within the expected interval.
_CHECKS_PER_INTERVAL = 2
# A certificate that a command or a person replaced is served after so long.
_LISTENER_INTERVAL_S = 1.0


class Office:
    """The parts of one office, wired. Everything that touches its files runs in one worker thread."""

    def __init__(self, configuration: Configuration, clock: SystemClock):
        settings, files = configuration
        self.settings = settings
        self.files = files
        self._clock = clock
        self.worker: Executor = ThreadPoolExecutor(1, "office")
        self._ending = threading.Event()
        with in_words():
            for path in files.stores():
                settle(path, settings.store.passphrase())
        self._lock = lock_database(files.database)
        with in_words():
            # Before anything is written: what this run keeps must be in the file that stays.
            sqlite_file.finish(files.database, clock.wall_ms())
            self.store = SqliteStore.open(files.database)
            self.keystore = Keystore.open(files.keystore)
            self.authorities, self.authority = open_authority(files, clock.wall_ms())
        self.company = company_authorities(configuration)
        self._reach = points.armed(os.environ.get(points.VARIABLE))
        self.admissions = Admissions(self.store, self.keystore)
        self.core = Core(
            settings,
            self.store,
            self.keystore,
            clock,
            reach=self._reach,
            heard=self.admissions.arrived,
        )
        self.people = People(self.store, clock.wall_ms)
        self.api = build_api(
            take=self.core.ingest.take,
            identities=self._identities(),
            release_for=self.core.rollouts.release_for,
            part_for=self.core.rollouts.part_for,
            devices=lambda gateway: devices_overview(self.store.connection, gateway=gateway),
            is_ready=self._is_ready,
            worker=self.worker,
            enter=self.people.enter,
            links_for=self.core.links.for_gateway,
            reach=self._reach,
            count=self.core.usages.take,
            witness=self.core.witness,
            heard=lambda gateway, announced: self.admissions.hear(gateway, announced, clock.wall_ms()),
        )
        add_asked(self.api, self.store.connection, self.in_worker, clock.wall_ms, limited_to_sites)

    async def in_worker(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return what call gives, run in the thread that everything of the office's files runs in."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, call, *arguments)

    def _identities(self) -> Identities:
        gateways, registry, wall_ms = self.settings.gateways, self.core.registry, self._clock.wall_ms
        enrolment = Enrolment(
            self.authorities, self.authority, registry, wall_ms=wall_ms, days=gateways.certificate_days
        )
        recogniser = Recogniser(
            self.authorities,
            self.authority,
            registry,
            wall_ms=wall_ms,
            company=self.company,
            tokens=gateways.bearer_tokens,
        )
        return Identities(
            recogniser.caller,
            enrolment.enrol,
            enrolment.renew,
            lambda: pem(self.authority.trusted()),
            Attempts(self._clock.monotonic),
        )

    def check_certificates(self) -> None:
        """Make the server's certificate anew where it is time, and say which others end."""
        self.authority.mend_server(self.wall_ms())
        self.authority.renew_server(self.wall_ms())
        certificates.record_certificates(self.store, self.authorities, self.authority, self.wall_ms())

    async def watch_certificates(self, listener: Listener) -> None:
        """Check again and again, and let the listener take up what changed, until cancelled."""
        checked_s = -certificates.INTERVAL_S
        while True:
            # What the disk cannot give is said by the uplink.
            with contextlib.suppress(sqlite3.Error, OSError, StoreUnavailable):
                if self._clock.monotonic() - checked_s >= certificates.INTERVAL_S:
                    checked_s = self._clock.monotonic()
                    await asyncio.get_running_loop().run_in_executor(self.worker, self.check_certificates)
                await asyncio.get_running_loop().run_in_executor(self.worker, listener.refresh)
            await asyncio.sleep(_LISTENER_INTERVAL_S)

    def wall_ms(self) -> int:
        """Return the office's wall clock."""
        return self._clock.wall_ms()

    def _is_ready(self) -> bool:
        try:
            return self.store.connection.execute("SELECT count(*) >= 0 FROM devices").fetchone() == (1,)
        except sqlite3.Error:
            return False

    async def watch_silence(self) -> None:
        """Check again and again, until cancelled."""
        while True:
            await asyncio.sleep(self.settings.heartbeat.interval_s / _CHECKS_PER_INTERVAL)
            # What the disk cannot take or give is said by the uplink; the next check tries again. Neither check keeps the other from its turn.
            checks = (
                ("silence", self.core.check_silence),
                ("budgets", self.core.check_budgets),
                ("view classes", self.core.check_view_classes),
            )
            for what, check in checks:
                try:
                    await self.in_worker(check)
                except (sqlite3.Error, StoreUnavailable) as error:
                    _log.warning("the watch for %s could not look, and does again: %s", what, error)

    async def watch_damage(self) -> None:
        """Read the whole database now and once a day, beside the service, until cancelled."""
        while True:
            # What the disk cannot give is said by the uplink.
            with contextlib.suppress(sqlite3.Error, StoreUnavailable):
                damages = await asyncio.to_thread(damage.look_through, self.files.database, self._ending)
                if damages:
                    await asyncio.get_running_loop().run_in_executor(
                        self.worker, damage.record_damage, self.store, damages, self.wall_ms()
                    )
            await asyncio.sleep(damage.INTERVAL_S)

    def end(self) -> None:
        """Let whatever reads through the database stop."""
        self._ending.set()

    def close(self) -> None:
        """Wait for the batch at work, then close the files."""
        self.worker.shutdown(wait=True)
        self.store.close()
        self.keystore.close()
        self.authorities.close()
        self._lock.close()


def lock_database(database: Path) -> IO[bytes]:
    """Return the open lock file beside the database; the lock ends with this process, however it ends.

    Raises DiagnosticError: another process has it, or the folder does not take it (exit 75), or the file is no office's (exit 2).
    """
    with in_words():
        # Nothing is left beside a file that is not ours. A repair that was cut off may have the database's name nowhere yet.
        if not is_half_repaired(database):
            check_database(database)
        lock = sqlite_file.beside(database, ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        message = "another office runs on this database"
        diagnostic = Diagnostic("office-running", message, str(database), fix="end the other process first")
        raise DiagnosticError([diagnostic], TRY_AGAIN) from None
    return lock


class _Server(uvicorn.Server):
    """uvicorn, less its own signal handling: ours ends the process with exit code 0. say: told the address when it is ready."""

    def __init__(self, config: uvicorn.Config, say: Callable[[str], None]):
        super().__init__(config)
        self.say = say

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        self.say(f"https://{self.config.host}:{port}")


Say = Callable[[str, str | None], None]


def run_office(configuration: Configuration, say: Say) -> None:
    """Serve until SIGINT or SIGTERM; then finish what is at work and return. say: told its address and the page's when ready."""
    office = Office(configuration, SystemClock())
    try:
        asyncio.run(_serve(office, configuration, say))
    finally:
        office.close()


async def _serve(office: Office, configuration: Configuration, say: Say) -> None:
    listen = office.settings.listen
    page = None
    if office.settings.page.enabled:
        page = PageService(
            configuration,
            api=office.api.openapi,
            wall_ms=office.wall_ms,
            people=office.people,
            worker=office.worker,
        )
    page_address = await page.start() if page else None
    config = _uvicorn_config(office)
    assert config.ssl is not None
    listener = Listener(config.ssl, office.authority, office.company)
    server = _Server(config, lambda address: say(address, page_address))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask_to_stop, server)
    work = (office.watch_silence(), office.watch_damage(), office.watch_certificates(listener))
    watches = [asyncio.create_task(one) for one in work]
    try:
        await server.serve(sockets=[_listening(listen.host, listen.port)])
    finally:
        office.end()
        for watch in watches:
            watch.cancel()
        if page is not None:
            await page.stop()


def _ask_to_stop(server: uvicorn.Server) -> None:
    server.should_exit = True


def _uvicorn_config(office: Office) -> uvicorn.Config:
    listen = office.settings.listen
    options: dict[str, Any] = {"access_log": False, "log_level": "warning", "timeout_graceful_shutdown": 10}
    try:
        config = uvicorn.Config(
            office.api,
            host=listen.host,
            port=listen.port,
            ssl_certfile=office.files.certificate,
            ssl_keyfile=office.files.key,
            lifespan="off",
            http=PeerProtocol,
            **options,
        )
        config.load()
        assert config.ssl is not None
        ask_for_certificates(config.ssl, pem([*office.authority.known(), *office.company]))
    except (ssl.SSLError, OSError) as error:
        message = f"the certificate or its key cannot be used: {error}"
        diagnostic = Diagnostic(
            "office-tls", message, str(office.files.certificate), fix="outstation office init makes both"
        )
        raise DiagnosticError([diagnostic]) from None
    return config


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. uvicorn would bind too, but says why it cannot only in its log."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Head and body are two writes; without this the second waits for the answer to the first, 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        number = error.errno or 0  # below zero: an error of name resolution, which has words of its own
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise _cannot_listen(host, port, reason.lower()) from None


def _cannot_listen(host: str, port: int, reason: str) -> DiagnosticError:
    message = f"the office cannot listen on {host} port {port}: {reason}"
    fix = "another process has the port, or the address is not this machine's: change [listen] in office.toml"
    return DiagnosticError([Diagnostic("office-listen", message, fix=fix)], UNREACHABLE)
