"""Names the gateway on its networks by DNS-SD over multicast DNS, for people's tools and foreign clients: `_coap._udp`, `_outstation._udp`.

Our own devices need none of it (`groups`), and nobody believes it: it says where something is, not whose. Where the library, or a
network for it, is missing, that is said once, and the gateway goes on without.

Source: RFC 6762 sections 8 and 10.1, RFC 6763 sections 4 and 6; RFC 7252 section 12.7 (the service's name).
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

from gateway.links.public import RESOURCE_TYPE
from gateway.links.udp import UdpLink
from protocol.diagnostic import Diagnostic

_log = logging.getLogger("gateway.links.announcement")

SERVICES = ("_coap._udp.local.", "_outstation._udp.local.")
# Another look for networks, where there was none yet.
RETRY_S = 30.0
# RFC 6763 section 4.1.1: one label has 63 bytes at most. Of them the number of another gateway of that name takes four.
_NAME_BYTES_MAX = 63 - 4


class Announcement:
    """name: of the gateway, for people. link: what is announced. tell(diagnostic): a person. interfaces: addresses, None: all."""

    def __init__(
        self,
        name: str,
        link: UdpLink,
        tell: Callable[[Diagnostic], None],
        interfaces: list[str] | None = None,
    ):
        self._name = name
        self._link = link
        self._tell = tell
        self._interfaces = interfaces
        self._responder: Any = None
        self.is_said = False

    async def keep(self) -> None:
        """Say that the gateway is here as soon as there is a network to say it on; then wait for ever."""
        try:
            from zeroconf import Error
            from zeroconf.asyncio import AsyncZeroconf
        except ImportError:
            message = (
                "dns_sd is configured, and zeroconf is not installed: the gateway is not announced by name"
            )
            fix = "pip install 'outstation[discovery]', or take dns_sd out of [discovery]"
            self._tell(Diagnostic("links-missing", message, fix=fix))
            await asyncio.Event().wait()
            return
        while not self.is_said:
            try:
                await self._say(AsyncZeroconf)
            except (OSError, Error) as error:
                _log.warning("not announced by name yet, tried again in %d s: %s", RETRY_S, error)
                await self._retract()
                await asyncio.sleep(RETRY_S)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Say that the gateway is gone."""
        if self.is_said:
            await self._responder.async_unregister_all_services()
        await self._retract()

    async def _say(self, responder: Any) -> None:
        interfaces = self._interfaces
        if interfaces is None and not self._link.is_any:
            interfaces = [self._link.address]
        self._responder = responder() if interfaces is None else responder(interfaces=interfaces)
        for service in SERVICES:
            # Another of that name gets a number behind it: RFC 6762 section 9.
            await (await self._responder.async_register_service(self._info(service), allow_name_change=True))
        self.is_said = True

    async def _retract(self) -> None:
        responder, self._responder = self._responder, None
        if responder is not None:
            await responder.async_close()

    def _info(self, service: str) -> Any:
        from zeroconf.asyncio import AsyncServiceInfo

        label = _label(self._name)
        return AsyncServiceInfo(
            service,
            f"{label}.{service}",
            port=self._link.port,
            properties={"rt": RESOURCE_TYPE, "path": "/h"},
            parsed_addresses=self._interfaces or _addresses(self._link),
            server=f"{_host_label(label)}.local.",
        )


def _addresses(link: UdpLink) -> list[str]:
    """Return the addresses at which devices reach the gateway."""
    if not link.is_any:
        return [link.address]
    import ifaddr

    found: Iterable[Any] = (address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips)
    texts = [one if isinstance(one, str) else one[0] for one in found]
    is_all = link.family == socket.AF_INET6
    chosen = [text for text in texts if is_all or ":" not in text]
    return [text for text in chosen if not ipaddress.ip_address(text.partition("%")[0]).is_loopback] or chosen


def _label(name: str) -> str:
    """Return a name as one label of DNS-SD: dots would part it, control characters are not allowed, and its bytes are few."""
    plain = "".join("-" if c in ".\x7f" or c < " " else c for c in name)
    return plain.encode()[:_NAME_BYTES_MAX].decode("utf-8", "ignore")


def _host_label(label: str) -> str:
    """Return a label for a host name: letters, digits and dashes."""
    return "outstation-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in label)[:40]
