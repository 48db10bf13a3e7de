"""What goes down to this site's devices: which release each is to have, its waiting commands, and the bytes of both.

The office's newest word about a device replaces the one before. Everything here is durable before it is told to anybody, and
lies in memory as well: a few releases of some kilobytes. Nothing is believed of a body but what its digest says; whether a
release is genuine each device finds out by itself.

Source: SPEC.md sections 6, 7 and 12.
"""

import hashlib
import logging
from typing import NamedTuple

from gateway.store_down import Kept, StoreDown
from protocol.command import parse_command
from protocol.errors import ProtocolError
from protocol.limits import etag_bytes, release_bytes_max
from protocol.manifest import Release, check_part, parse_release

_log = logging.getLogger("gateway.shelf")

# Commands of one device: what the office hands down at once is fewer.
COMMANDS_PER_DEVICE_MAX = 64


class Lacking(NamedTuple):
    """A body that is wanted and not here. path: at the office; bytes_max: no honest one is longer; number, part: which, None for the release itself."""

    path: str
    bytes_max: int
    number: int
    part: int | None


class BodyRefused(Exception):
    """A body of the office that is not what was asked for. It is not kept; asked for again later. Who must act: who runs the office."""


class Body(NamedTuple):
    """Bytes for a device, and the tag by which their blocks belong together."""

    raw: bytes
    etag: bytes


class Shelf:
    """Over a StoreDown; load() before anything else."""

    def __init__(self, store: StoreDown):
        self._store = store
        self._wanted: dict[bytes, int] = {}
        self._commands: dict[bytes, dict[int, bytes]] = {}
        self._releases: dict[int, Release] = {}
        self._parts: dict[bytes, bytes] = {}

    async def load(self) -> None:
        """Take what the store kept. Raises StoreFailed."""
        kept: Kept = await self._store.load()
        self._wanted, self._commands, self._parts = kept.wanted, kept.commands, kept.parts
        self._releases = {number: parse_release(raw) for number, raw in kept.releases.items()}

    # ---- what the office says

    async def replace(self, releases: list[tuple[bytes, int]], commands: list[bytes]) -> None:
        """Take the office's newest word about the devices that releases names. Raises StoreFull or StoreFailed.

        Commands of other devices, and what is no command, are left aside.
        """
        wanted = dict(releases)
        waiting: dict[bytes, dict[int, bytes]] = {device: {} for device in wanted}
        for raw in commands:
            self._sort_in(raw, waiting)
        if self._says_nothing_new(wanted, waiting):
            return
        after = {**self._wanted, **wanted}
        gone = [number for number in self._releases if number not in after.values()]
        kept = [release for number, release in self._releases.items() if number not in gone]
        named = {part[1] for release in kept for part in release.manifest.parts}
        gone_parts = [digest for digest in self._parts if digest not in named]
        await self._store.replace(wanted, waiting, gone, gone_parts)
        self._wanted = after
        self._commands.update(waiting)
        for number in gone:
            del self._releases[number]
        for digest in gone_parts:
            del self._parts[digest]

    def _sort_in(self, raw: bytes, waiting: dict[bytes, dict[int, bytes]]) -> None:
        try:
            fields = parse_command(raw).fields
        except ProtocolError as error:
            _log.warning("the office sent what is no command: %s", error)
            return
        held = waiting.get(fields.device)
        if held is not None and len(held) < COMMANDS_PER_DEVICE_MAX:
            held[fields.number] = raw

    def _says_nothing_new(self, wanted: dict[bytes, int], waiting: dict[bytes, dict[int, bytes]]) -> bool:
        same = all(self._wanted.get(device) == number for device, number in wanted.items())
        return same and all(self._commands.get(device, {}) == held for device, held in waiting.items())

    # ---- what is fetched from the office

    def lacking(self) -> list[Lacking]:
        """Return the bodies that some device is to have and that are not here, lowest release first."""
        found = []
        for number in sorted(set(self._wanted.values()) - {0}):
            release = self._releases.get(number)
            if release is None:
                found.append(Lacking(f"/v1/releases/{number}", release_bytes_max, number, None))
                continue
            for index, (_, digest, size) in enumerate(release.manifest.parts):
                if digest not in self._parts:
                    found.append(Lacking(f"/v1/parts/{digest.hex()}", size, number, index))
        return found

    async def put(self, lacking: Lacking, raw: bytes) -> None:
        """Keep a body that was lacking. Raises BodyRefused, StoreFull or StoreFailed: nothing was kept."""
        if lacking.part is None:
            release = self._checked_release(lacking.number, raw)
            await self._store.put_release(lacking.number, raw)
            self._releases[lacking.number] = release
            return
        release = self._releases[lacking.number]
        try:
            check_part(release.manifest, lacking.part, raw)
        except ProtocolError as error:
            raise BodyRefused(str(error)) from None
        digest = release.manifest.parts[lacking.part][1]
        await self._store.put_part(digest, raw)
        self._parts[digest] = raw

    def _checked_release(self, number: int, raw: bytes) -> Release:
        try:
            release = parse_release(raw)
        except ProtocolError as error:
            raise BodyRefused(str(error)) from None
        if release.manifest.number != number:
            raise BodyRefused(f"release {release.manifest.number} came where {number} was asked for")
        return release

    # ---- what a device gets

    def deliverable(self, device: bytes) -> int | None:
        """Return the number of the release that a device is to have, once all of it is here; None before, or if there is none."""
        release = self._releases.get(self._wanted.get(device, 0))
        if release is None or any(part[1] not in self._parts for part in release.manifest.parts):
            return None
        return release.manifest.number

    def newest_command(self, device: bytes) -> int | None:
        """Return the highest number of the commands that wait for a device, or None."""
        return max(self._commands.get(device, {}), default=None)

    def release(self, device: bytes, number: int) -> Body | None:
        """Return a release if it is the one that this device is to have, and whole here."""
        return _body(self._releases[number].raw) if self._is_for(device, number) else None

    def part(self, device: bytes, number: int, index: int) -> Body | None:
        """Return a part of that release."""
        if not self._is_for(device, number):
            return None
        parts = self._releases[number].manifest.parts
        return _body(self._parts[parts[index][1]]) if index < len(parts) else None

    def command(self, device: bytes, at_least: int) -> bytes | None:
        """Return the waiting command of the lowest number at or above one, or None."""
        held = self._commands.get(device, {})
        number = min((number for number in held if number >= at_least), default=None)
        return None if number is None else held[number]

    def _is_for(self, device: bytes, number: int) -> bool:
        return self.deliverable(device) == number

    # ---- for people

    def document(self) -> dict[str, object]:
        """Return what status shows: releases here, bodies lacking, commands waiting."""
        return {
            "releases": sorted(self._releases),
            "lacking": len(self.lacking()),
            "commands_waiting": sum(len(held) for held in self._commands.values()),
        }


def _body(raw: bytes) -> Body:
    return Body(raw, hashlib.sha256(raw).digest()[:etag_bytes])
