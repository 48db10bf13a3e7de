"""Renews this gateway's certificate by itself, and takes up the office's next authority, without a moment in which it is nobody.

The next key is made and kept on disk before it is asked for. Its certificate is tried against the office on a connection of its own;
only when the office says that it knows the gateway by it does the file take the place of the old one. Until then, and after any cut, the old
one is shown. The office takes both meanwhile.

Source: SPEC.md section 14.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway.errors import OfficeConfused, OfficeError
from gateway.health import Health
from gateway.identity import (
    Identity,
    IdentityWrong,
    is_from_issuer,
    key_pem,
    mark_of,
    mark_of_pem,
    move_over,
    new_key,
    next_of,
    read_identity,
    read_key,
    replace_file,
    request_pem,
    take_certificate,
)
from protocol.enrolment import AUTHORITIES_PATH, IDENTITY_PATH, RENEWALS_PATH

_log = logging.getLogger("gateway.renewal")

# The certificate is renewed when two thirds of its life are over, and up to so much of its life earlier, so that gateways do not keep step.
DUE = 2 / 3
EARLIER_MAX = 1 / 20
# Who wakes too late because the wall clock was set looks again after this.
LOOK_S = 3600.0
ANSWER_BYTES_MAX = 65_536

Ask = Callable[[str, str, int, bytes], Awaitable[bytes]]


class Renewal:
    """ask: one request by the identity in use; probe: one by the identity in a file; reload: show what is on disk from now on.

    clock: monotonic(), wall_ms() and sleep(). backoff: waits after a failure. path: identity.pem; ca: office-ca.pem.
    """

    def __init__(
        self,
        path: Path,
        ca: Path,
        *,
        ask: Ask,
        probe: Callable[[Path, str], Awaitable[bytes]],
        reload: Callable[[], Awaitable[None]],
        backoff: Any,
        clock: Any,
        rng: random.Random,
        health: Health,
    ):
        self._path = path
        self._ca = ca
        self._ask = ask
        self._probe = probe
        self._reload = reload
        self._backoff = backoff
        self._clock = clock
        self._early = rng.uniform(0.0, EARLIER_MAX)
        self._health = health
        self._wake = asyncio.Event()
        self._announced = mark_of(ca)

    def announced(self, mark: str) -> None:
        """Take note of which authorities the office wants to be trusted."""
        if mark != self._announced:
            self._announced = mark
            self._wake.set()

    def due_ms(self) -> int | None:
        """Return when to renew, by the wall clock; None: there is no certificate to renew, or its issuer is not the office."""
        identity = read_identity(self._path)
        if identity is None:
            return None
        if not is_from_issuer(identity, self._ca.read_bytes()):
            return 0 if self._is_from_an_authority(identity) else None
        starts_ms, ends_ms = identity.life_ms
        return starts_ms + int((ends_ms - starts_ms) * (DUE - self._early))

    def _is_from_an_authority(self, identity: Identity) -> bool:
        try:
            take_certificate(identity.key, identity.pem(), self._ca.read_bytes(), identity.name)
        except IdentityWrong:
            return False
        return True

    async def run(self) -> None:
        """Renew whenever it is time, for ever; ends by being cancelled."""
        while True:
            self._wake.clear()
            try:
                wait_s = await self.step()
            except (OfficeError, IdentityWrong, OSError) as error:
                wait_s = self._backoff.next_wait_s(getattr(error, "retry_after_s", None))
                self._health.count("renewal_failures")
                _log.warning("certificate not renewed: %s; again in %.1f s", error, wait_s)
                await self._clock.sleep(wait_s)
                continue
            self._backoff.reset()
            await self._wait(wait_s)

    async def _wait(self, seconds: float) -> None:
        woken = asyncio.create_task(self._wake.wait())
        slept = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait([woken, slept], return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()
            await asyncio.gather(woken, slept, return_exceptions=True)

    async def step(self) -> float:
        """Do what is due; return the seconds until the next look. Raises OfficeError, IdentityWrong: nothing was given up."""
        self._say()
        if self._announced and self._announced != mark_of(self._ca):
            await self._take_authorities()
        due_ms = self.due_ms()
        if due_ms is None:
            return LOOK_S
        if self._clock.wall_ms() >= due_ms:
            await self.renew()
            due_ms = self.due_ms() or 0
        return min(LOOK_S, max(1.0, (due_ms - self._clock.wall_ms()) / 1000))

    async def _take_authorities(self) -> None:
        # Over a connection that the authorities of before vouch for: they introduce the next one.
        raw = await self._ask("GET", AUTHORITIES_PATH, ANSWER_BYTES_MAX, b"")
        pem = _text(raw, "authorities").encode()
        try:
            self._announced = mark_of_pem(pem)
        except ValueError:
            raise OfficeConfused("the office's authorities are no certificates in PEM") from None
        replace_file(self._ca, pem, 0o644)
        await self._reload()
        self._health.count("authorities_taken")
        _log.warning("the office's certificate authorities changed: %s", self._announced)

    async def renew(self) -> None:
        """Get the next certificate, try it, and take it into use. Raises OfficeError, IdentityWrong."""
        old = read_identity(self._path)
        assert old is not None
        following = next_of(self._path)
        found = read_identity(following) or await self._ask_for(following, old.name)
        try:
            answer = await self._probe(following, IDENTITY_PATH)
        except OfficeError:
            # A certificate that was kept over a long stop may have ended: another one is asked for with the next attempt.
            if found.life_ms[1] <= self._clock.wall_ms():
                following.unlink(missing_ok=True)
            raise
        if _text(answer, "gateway") != old.name:
            raise OfficeConfused("the office knows the new certificate as another gateway's")
        move_over(following, self._path)
        await self._reload()
        self._health.count("renewals")
        self._say()
        _log.warning("certificate renewed")

    async def _ask_for(self, following: Path, name: str) -> Identity:
        key = read_key(following)
        if key is None:
            key = new_key()
            replace_file(following, key_pem(key))
        body = json.dumps({"request": request_pem(key).decode()}).encode()
        raw = await self._ask("POST", RENEWALS_PATH, ANSWER_BYTES_MAX, body)
        certificate, authorities = _text(raw, "certificate"), _text(raw, "authorities")
        found = take_certificate(key, certificate.encode(), authorities.encode(), name)
        replace_file(following, found.pem())
        return found

    def _say(self) -> None:
        identity = read_identity(self._path)
        if identity is not None:
            starts_ms, ends_ms = identity.life_ms
            self._health.identity = {"starts_ms": starts_ms, "until_ms": ends_ms}


def _text(raw: bytes, key: str) -> str:
    try:
        found = json.loads(raw)[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, str):
        raise OfficeConfused(f"the office's answer has no {key}")
    return found
