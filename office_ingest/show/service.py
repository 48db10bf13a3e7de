"""Serves the page beside the office: a listener of its own that the data never waits for. Elsewhere than on loopback: over TLS, by token."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import uvicorn

from office_ingest.config import Configuration
from office_ingest.govern.people import People
from office_ingest.show.login import Login
from office_ingest.show.reading_room import ReadingRoom
from office_ingest.show.site import Site, page_needs
from protocol.diagnostic import Diagnostic, show


class _Server(uvicorn.Server):
    """uvicorn, less its own signal handling: the office ends it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class PageService:
    """The page of one office, from start() to stop(). api: the office's OpenAPI document; wall_ms: its clock; people, worker: the office's."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        api: Callable[[], dict[str, Any]],
        wall_ms: Callable[[], int],
        people: People,
        worker: Executor,
    ):
        settings, files = configuration
        self._settings = settings.page
        self._files = files
        self._is_secure = not is_loopback(self._settings.host)
        self._room = ReadingRoom(files.database, files.keystore, settings.energy)
        host = settings.page.host
        login = None
        if self._is_secure or not settings.page.trust_loopback:
            login = Login(
                self._room, people, worker, wall_ms=wall_ms, needs=page_needs, is_secure=self._is_secure
            )
        names = settings.page.names
        self._site = Site(
            self._room,
            name=settings.office.name,
            host=host,
            api=api,
            wall_ms=wall_ms,
            login=login,
            names=names,
        )
        self._server: _Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str | None:
        """Listen and return the page's address; None where the port cannot be had, which is said and harms nothing else."""
        host, port = self._settings.host, self._settings.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family)
            # Head and body are two writes; without this the second waits for the answer to the first, 40 ms.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            show([_cannot_listen(host, port, error)])
            return None
        config = uvicorn.Config(
            self._site.app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            # A token must not cross a network that others read.
            ssl_certfile=self._files.certificate if self._is_secure else None,
            ssl_keyfile=self._files.key if self._is_secure else None,
        )
        self._server = _Server(config)
        self._tasks = [
            asyncio.create_task(self._server.serve(sockets=[listening])),
            asyncio.create_task(self._site.hub.run()),
        ]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._is_secure else 'http'}://{shown}:{listening.getsockname()[1]}"

    async def stop(self) -> None:
        """End every stream, then the listener, then close what was read from."""
        self._site.hub.close()
        if self._server is not None:
            self._server.should_exit = True
            serving, looking = self._tasks
            looking.cancel()
            await asyncio.gather(serving, looking, return_exceptions=True)
        self._room.close()


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's loopback, which nobody else can reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cannot_listen(host: str, port: int, error: OSError) -> Diagnostic:
    message = f"the page is not served: {host} port {port}: {error.strerror or error}"
    fix = "change [page] port in office.toml, or set enabled = false; gateways are served all the same"
    return Diagnostic("page-listen", message, severity="warning", fix=fix)
