"""What goes down to this site's devices: which release each is to have, its waiting commands, and the bytes of both.

The office's newest word about a device replaces the one before. Everything here is durable before it is told to anybody, and
lies in memory as well: a few releases of some kilobytes. Nothing is believed of a body but what its digest says; whether a
release is genuine each device finds out by itself.

Source: SPEC.md sections 6, 7 and 12.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from gateway.errors import BodyRefused
from gateway.release_bodies import index_of, named_bodies
from gateway.store_down import COMMAND_BYTES_MAX, StoreDown, command_bytes
from protocol.agent_index import check_file
from protocol.command import ROOT, Command, parse_command, root_digest
from protocol.errors import ProtocolError
from protocol.limits import envelope_bytes_max, etag_bytes, release_bytes_max
from protocol.manifest import Release, check_part, parse_release

_log = logging.getLogger("gateway.shelf")

# Commands of one device, and of all: what the office hands down at once is fewer. Their bytes are limited in store_down.
COMMANDS_PER_DEVICE_MAX = 64
COMMANDS_MAX = 4096


class Lacking(NamedTuple):
    """A body that is wanted and not here. path: at the office; bytes_max: no honest one is longer; number, at: which, () for the release itself.

    digest: of what a command names, b"" for a body of a release.
    """

    path: str
    bytes_max: int
    number: int
    at: tuple[int, ...]
    digest: bytes = b""


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
        # Of the waiting commands that name a body, a replacement of a root: device -> number -> digest.
        self._named: dict[bytes, dict[int, bytes]] = {}
        # How many commands of a device were refused in the office's newest word.
        self._refused: dict[bytes, int] = {}
        # The office's word and a body that was on its way meet here, one after the other.
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Take what the store kept; a body that is not what it was is lacking, and fetched again. Raises StoreFailed."""
        kept = await self._store.load()
        self._wanted, self._commands = kept.wanted, kept.commands
        self._named = _named_by(kept.commands)
        for number, raw in kept.releases.items():
            try:
                self._releases[number] = self._checked_release(number, raw)
            except BodyRefused as error:
                _log.error("the store's release %d is not one any more: %s", number, error)
        for digest, body in kept.parts.items():
            if hashlib.sha256(body).digest() == digest:
                self._parts[digest] = body
            else:
                _log.error("the store's part %s is damaged", digest.hex())

    # ---- what the office says

    def devices(self) -> set[bytes]:
        """Return the devices for which something is kept, or was refused."""
        told = (self._wanted, self._commands, self._refused)
        return {device for known in told for device, kept in known.items() if kept}

    async def replace(
        self, releases: list[tuple[bytes, int]], commands: list[bytes], *, gone: list[bytes] | None = None
    ) -> None:
        """Take the office's newest word about the devices that releases names. Raises StoreFull or StoreFailed.

        Commands of other devices, and what is no command, are left aside. gone: devices that are not of this site any more.
        A command for which there is no room is refused and said so, alone: segments and receipts must not wait for it, and the
        office names it again with the device's next heartbeat.
        """
        async with self._lock:
            await self._replace(dict(releases), commands, gone or [])

    async def _replace(self, named: dict[bytes, int], commands: list[bytes], strangers: list[bytes]) -> None:
        wanted = {**dict.fromkeys(strangers, 0), **named}
        waiting = self._sort_in(commands, wanted)
        if self._says_nothing_new(wanted, waiting):
            return
        after = {**self._wanted, **wanted}
        gone = [number for number in self._releases if number not in after.values()]
        kept = [release for number, release in self._releases.items() if number not in gone]
        named_after = {**self._named, **_named_by(waiting)}
        needed = {body.digest for release in kept for body in named_bodies(release, self._parts)}
        needed |= _digests(named_after)
        gone_parts = [digest for digest in self._parts if digest not in needed]
        await self._store.replace(wanted, waiting, gone, gone_parts)
        self._wanted = {device: number for device, number in after.items() if number}
        self._commands.update(waiting)
        self._named = named_after
        for number in gone:
            del self._releases[number]
        for digest in gone_parts:
            del self._parts[digest]

    def _sort_in(self, raws: list[bytes], devices: Iterable[bytes]) -> dict[bytes, dict[int, bytes]]:
        """Return the commands of these devices that there is room for; what there is none for is said."""
        waiting: dict[bytes, dict[int, bytes]] = {device: {} for device in devices}
        others = [
            raw for device, held in self._commands.items() if device not in waiting for raw in held.values()
        ]
        count, taken = len(others), sum(command_bytes(raw) for raw in others)
        refused: dict[bytes, list[str]] = {device: [] for device in waiting}
        for raw in raws:
            fields = _command(raw)
            if fields is None or fields.device not in waiting or fields.number in waiting[fields.device]:
                continue
            held = waiting[fields.device]
            reason = _no_room(len(held), count, taken + command_bytes(raw))
            # Nor any after it: a device that has carried out a higher number never looks at a lower one.
            if reason or refused[fields.device]:
                refused[fields.device].append(reason)
                continue
            held[fields.number] = raw
            count, taken = count + 1, taken + command_bytes(raw)
        self._say_refused(refused)
        return waiting

    def _say_refused(self, refused: dict[bytes, list[str]]) -> None:
        for device, reasons in refused.items():
            # Once, not with each heartbeat of the device.
            if reasons and self._refused.get(device, 0) != len(reasons):
                _log.error(
                    "%d commands of device %s are not kept: %s", len(reasons), device.hex(), reasons[0]
                )
            self._refused[device] = len(reasons)

    def _says_nothing_new(self, wanted: dict[bytes, int], waiting: dict[bytes, dict[int, bytes]]) -> bool:
        same = all(self._wanted.get(device, 0) == number for device, number in wanted.items())
        return same and all(self._commands.get(device, {}) == held for device, held in waiting.items())

    # ---- what is fetched from the office

    def lacking(self) -> list[Lacking]:
        """Return the bodies that some device is to have and that are not here, each once: what commands name, then by release."""
        found = [
            Lacking(f"/v1/parts/{digest.hex()}", envelope_bytes_max, 0, (), digest)
            for digest in sorted(_digests(self._named) - set(self._parts))
        ]
        named = {one.digest for one in found}
        for number in sorted(set(self._wanted.values())):
            release = self._releases.get(number)
            if release is None:
                found.append(Lacking(f"/v1/releases/{number}", release_bytes_max, number, ()))
                continue
            for at, digest, size in named_bodies(release, self._parts):
                if digest not in self._parts and digest not in named:
                    named.add(digest)
                    found.append(Lacking(f"/v1/parts/{digest.hex()}", size, number, at))
        return found

    async def put(self, lacking: Lacking, raw: bytes) -> None:
        """Keep a body if it is lacking still: the office may have changed its mind while it was on its way.

        Raises BodyRefused, StoreFull or StoreFailed: nothing was kept.
        """
        async with self._lock:
            if lacking in self.lacking():
                await self._put(lacking, raw)

    async def _put(self, lacking: Lacking, raw: bytes) -> None:
        if lacking.digest:
            if hashlib.sha256(raw).digest() != lacking.digest:
                raise BodyRefused("its digest is another one than the command names")
            await self._store.put_part(lacking.digest, raw)
            self._parts[lacking.digest] = raw
            return
        if not lacking.at:
            release = self._checked_release(lacking.number, raw)
            await self._store.put_release(lacking.number, raw)
            self._releases[lacking.number] = release
            return
        release = self._releases[lacking.number]
        try:
            self._check_body(release, lacking.at, raw)
        except ProtocolError as error:
            raise BodyRefused(str(error)) from None
        digest = next(one.digest for one in named_bodies(release, self._parts) if one.at == lacking.at)
        await self._store.put_part(digest, raw)
        self._parts[digest] = raw

    def _check_body(self, release: Release, at: tuple[int, ...], raw: bytes) -> None:
        if len(at) == 1:
            check_part(release.manifest, at[0], raw)
            return
        index = index_of(self._parts[release.manifest.parts[at[0]][1]])
        assert index is not None, "a file is lacking of what is no index"
        check_file(index, at[1], raw)

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
        if release is None or any(
            one.digest not in self._parts for one in named_bodies(release, self._parts)
        ):
            return None
        return release.manifest.number

    def newest_command(self, device: bytes) -> int | None:
        """Return the highest number of the commands that wait for a device, or None."""
        return max(self._commands.get(device, {}), default=None)

    def release(self, device: bytes, number: int) -> Body | None:
        """Return a release if it is the one that this device is to have, and whole here."""
        return _body(self._releases[number].raw) if self._is_for(device, number) else None

    def part(self, device: bytes, number: int, at: tuple[int, ...]) -> Body | None:
        """Return a part of that release, or a file of its agent. at: (part,) or (part, file)."""
        if not self._is_for(device, number):
            return None
        named = named_bodies(self._releases[number], self._parts)
        digest = next((one.digest for one in named if one.at == at), None)
        return None if digest is None else _body(self._parts[digest])

    def command(self, device: bytes, at_least: int) -> bytes | None:
        """Return the waiting command of the lowest number at or above one, or None."""
        held = self._commands.get(device, {})
        number = min((number for number in held if number >= at_least), default=None)
        return None if number is None else held[number]

    def replacement(self, device: bytes, number: int) -> Body | None:
        """Return the replacement of a root that the waiting command of this number names, once it is here."""
        digest = self._named.get(device, {}).get(number, b"")
        return _body(self._parts[digest]) if digest in self._parts else None

    def _is_for(self, device: bytes, number: int) -> bool:
        return self.deliverable(device) == number

    def envelopes(self) -> list[bytes]:
        """Return the signatures of the releases that are here."""
        return [one.raw for release in self._releases.values() for one in release.envelopes]

    # ---- for people

    def document(self) -> dict[str, object]:
        """Return what status shows: releases here, on how many devices each is wanted, bodies lacking, commands waiting and refused."""
        wanted = Counter(self._wanted.values())
        return {
            "releases": sorted(self._releases),
            "wanted": {str(number): wanted[number] for number in sorted(wanted)},
            "lacking": len(self.lacking()),
            "commands_waiting": sum(len(held) for held in self._commands.values()),
            "commands_refused": sum(self._refused.values()),
        }


def _command(raw: bytes) -> Command | None:
    try:
        fields: Command = parse_command(raw).fields
    except ProtocolError as error:
        _log.warning("the office sent what is no command: %s", error)
        return None
    return fields


def _named_by(commands: dict[bytes, dict[int, bytes]]) -> dict[bytes, dict[int, bytes]]:
    """Return the digests that commands name, of every device that has commands, by their numbers."""
    found: dict[bytes, dict[int, bytes]] = {}
    for device, held in commands.items():
        found[device] = {}
        for number, raw in held.items():
            fields = _command(raw)
            if fields is not None and fields.demand[0] == ROOT:
                found[device][number] = root_digest(fields.demand)
    return found


def _digests(named: dict[bytes, dict[int, bytes]]) -> set[bytes]:
    return {digest for held in named.values() for digest in held.values()}


def _no_room(of_device: int, of_all: int, all_bytes: int) -> str:
    """Return why one more command is refused and what to do, or an empty text. all_bytes: with it."""
    act = "it is taken once others are carried out; withdraw at the office what is not wanted any more"
    if of_device >= COMMANDS_PER_DEVICE_MAX:
        return f"{of_device} wait for it already, the limit of one device ({COMMANDS_PER_DEVICE_MAX}); {act}"
    if of_all >= COMMANDS_MAX:
        return f"{of_all} wait at this site already, the limit ({COMMANDS_MAX}); {act}"
    if all_bytes > COMMAND_BYTES_MAX:
        return f"with it commands take {all_bytes} bytes, above their share of the store ({COMMAND_BYTES_MAX}); {act}"
    return ""


def _body(raw: bytes) -> Body:
    return Body(raw, hashlib.sha256(raw).digest()[:etag_bytes])
