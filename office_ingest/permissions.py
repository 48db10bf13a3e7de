"""Who may do what: the one table of roles and permissions, and how a command declares what it needs.

A permission is a verb on a resource. Every command that acts on an office and every HTTP route names the permissions it needs; what
names none is refused. docs/operating/permissions.md shows the table, and a test compares the two.

This module imports nothing of ours: the front page of the command line must appear at once.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

Call = TypeVar("Call", bound=Callable[..., Any])


class Permission(NamedTuple):
    """A verb on a resource. Whatever is not `read` or `verify` changes something and is written down before it is done."""

    verb: str
    resource: str

    def words(self) -> str:
        """Return it as it is said to people: `roll out releases`."""
        return f"{self.verb} {self.resource}"

    def is_change(self) -> bool:
        """Return whether it changes anything."""
        return self.verb not in ("read", "verify")


READ_DEVICES = Permission("read", "devices")
READ_FINDINGS = Permission("read", "findings")
READ_DECISIONS = Permission("read", "decisions")
READ_RELEASES = Permission("read", "releases")
READ_COMMANDS = Permission("read", "commands")
READ_ACTS = Permission("read", "acts")
READ_TOKENS = Permission("read", "tokens")
VERIFY_RECORDS = Permission("verify", "records")
RUN_OFFICE = Permission("run", "office")
ACCEPT_GAPS = Permission("accept", "gaps")
GIVE_COMMANDS = Permission("give", "commands")
ROLL_OUT_RELEASES = Permission("roll out", "releases")
BUILD_RELEASES = Permission("build", "releases")
SIGN_RELEASES = Permission("sign", "releases")
# Prepared: no command approves yet. Who approves a release of high risk must be another person than who built it.
APPROVE_RELEASES = Permission("approve", "releases")
MAKE_KEYS = Permission("make", "signing keys")
# Not for who signs: a root and the order to devices together would let one person put both roots into his own hand.
REPLACE_ROOTS = Permission("replace", "signing keys")
FOUND_OFFICE = Permission("found", "office")
REPAIR_OFFICE = Permission("repair", "office")
ENCRYPT_STORES = Permission("encrypt", "stores")
BACK_UP_STORES = Permission("back up", "stores")
PROVISION_GATEWAYS = Permission("provision", "gateways")
PROVISION_DEVICES = Permission("provision", "devices")
REVOKE_GATEWAYS = Permission("revoke", "gateways")
ROTATE_AUTHORITY = Permission("rotate", "authority")
REVOKE_DEVICES = Permission("revoke", "devices")
REKEY_DEVICES = Permission("rekey", "devices")
GRANT_VIEWS = Permission("grant", "views")
ERASE_PERIODS = Permission("erase", "periods")
CREATE_TOKENS = Permission("create", "tokens")
REVOKE_TOKENS = Permission("revoke", "tokens")

_VIEWER = frozenset((READ_DEVICES, READ_FINDINGS, READ_DECISIONS, READ_RELEASES, READ_COMMANDS))
PERMISSIONS = tuple(value for value in list(globals().values()) if isinstance(value, Permission))
ROLES: dict[str, frozenset[Permission]] = {
    "viewer": _VIEWER,
    "operator": _VIEWER
    | {RUN_OFFICE, ACCEPT_GAPS, GIVE_COMMANDS, ROLL_OUT_RELEASES, REVOKE_GATEWAYS, REVOKE_DEVICES},
    "author": _VIEWER | {BUILD_RELEASES},
    "approver": _VIEWER | {SIGN_RELEASES, APPROVE_RELEASES, MAKE_KEYS},
    "auditor": _VIEWER | {READ_ACTS, READ_TOKENS, VERIFY_RECORDS},
    "admin": frozenset(PERMISSIONS),
}
# What a route declares that asks nobody, and one whose caller is a gateway with its own identity.
OPEN = "open"
GATEWAY = "gateway"
# The key of a route's OpenAPI document that declares it.
DECLARES = "x-permission"


def lacks(role: str, permissions: tuple[Permission, ...]) -> Permission | None:
    """Return the first of the permissions that a role does not have; None if it has all. A role that is not known has none."""
    held = ROLES.get(role, frozenset())
    return next((one for one in permissions if one not in held), None)


def declared(*permissions: Permission) -> dict[str, Any]:
    """Return what a route's OpenAPI document says of the permissions it needs."""
    return {DECLARES: [list(one) for one in permissions]}


def needs(
    *permissions: Permission, office: str | None = "config", is_written_after: bool = False
) -> Callable[[Call], Call]:
    """Return the decorator of a command that needs these permissions; directly below `@group.command()`.

    office: the command's parameter with the path of office.toml; None: there is no office yet, or only a file of one, and the rights
    of that file decide. is_written_after: only when it has ended does the office's database take a row.
    """

    def decorate(call: Call) -> Call:
        @wraps(call)
        def checked(**asked: Any) -> Any:
            if office is None:
                return call(**asked)
            from office_ingest.govern.door import pass_door

            return pass_door(call, permissions, asked[office], asked, is_written_after=is_written_after)

        checked.permissions = permissions  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate
