"""Hosts only: the file `links.toml`, which provisioning writes, a gateway reads, and an office may take over."""

from typing import Annotated

import msgspec
from msgspec import Meta


class LinkEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device of the file, in hexadecimal digits."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="identity of the device")]
    kid: Annotated[str, Meta(pattern="^([0-9a-f]{2}){1,7}$", description="sender ID of the device")]
    secret: Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="link secret")]


class LinksFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file: what `protocol.settings.read_settings` reads."""

    device: list[LinkEntry] = []
