"""The commands `outstation command ...`: orders to one device."""

import re
import time
from pathlib import Path
from typing import Any

import click

from office_ingest.govern.opening import (
    device_called,
    now_ms,
    open_keystore,
    open_store,
    user_name,
)
from office_ingest.options import SETTINGS_AND_JSON, said_by, together
from office_ingest.permissions import GIVE_COMMANDS, READ_COMMANDS, needs
from protocol.command import (
    BULK_UNTIL_S,
    DONE,
    REPORT,
    ROUTINE_CLASS,
    SET_ACTUATOR,
    SET_SETTING,
    SETTINGS,
)
from protocol.diagnostic import FINDING, OK, TRY_AGAIN, Diagnostic, DiagnosticError
from protocol.keys import CLASS_NAMES, SITE
from protocol.report import emit

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LASTS_DAYS_MAX = 30
_LOOK_EVERY_S = 0.2
_BELOW_ZERO = re.compile(r"-[0-9]+")

_DEVICE = click.argument("device")
_ORDER = together(
    click.option(
        "--for",
        "lasts",
        default="10m",
        show_default=True,
        help="How long it may be carried out: 90s, 10m, 2h, 1d.",
    ),
    click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(0, 86400),
        default=0.0,
        help="Seconds to wait for the answer.",
    ),
    said_by("Who gives it"),
    SETTINGS_AND_JSON,
)


@click.group()
def command() -> None:
    """Give one device a command: through its gates, carried out once."""


class BelowZero(click.Command):
    """A command whose arguments may be numbers below zero: -5 is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, options first, so that whatever is left over is an argument."""
        return super().parse_args(ctx, args if "--" in args else self._options_first(args))

    def _options_first(self, args: list[str]) -> list[str]:
        valued = {name for one in self.params if not getattr(one, "is_flag", True) for name in one.opts}
        options: list[str] = []
        words: list[str] = []
        is_value = False
        for word in args:
            is_option = word.startswith("-") and not _BELOW_ZERO.fullmatch(word)
            (options if is_value or is_option else words).append(word)
            is_value = not is_value and word in valued
        # Where the last option lacks its value nothing may follow it: click says so before it looks at arguments.
        return options if is_value else [*options, "--", *words]


@command.command("set", cls=BelowZero)
@needs(GIVE_COMMANDS)
@_DEVICE
@click.argument("action", type=click.IntRange(0))
@click.argument("value", type=int)
@_ORDER
def set_actuator(action: int, value: int, **asked: Any) -> int:
    """Set actuator ACTION of DEVICE to VALUE, if its gate lets it.

    DEVICE is a name or 16 hex digits; ACTION the number that the policy gives the actuator.
    """
    return _give([SET_ACTUATOR, action, value], **asked)


@command.command()
@needs(GIVE_COMMANDS)
@_DEVICE
@click.argument("name", type=click.Choice([name for name, _, _ in SETTINGS]))
@click.argument("value", type=int)
@_ORDER
def setting(name: str, value: int, **asked: Any) -> int:
    """Change setting NAME of DEVICE to VALUE, in milliseconds, bytes, seconds since 1970, or the number of a class; it stays so over restarts."""
    return _give([SET_SETTING, [known for known, _, _ in SETTINGS].index(name), value], **asked)


@command.command()
@needs(GIVE_COMMANDS)
@_DEVICE
@click.argument("duration")
@_ORDER
def bulk(duration: str, **asked: Any) -> int:
    """Let DEVICE send and fetch for DURATION from now on what else waits for a window: 30m, 4h, 2d.

    For an urgent release, or readings that are wanted today. It is the setting bulk_until_s, by this office's clock.
    """
    until_s = (now_ms() + lasts_milliseconds(duration, "DURATION")) // 1000
    return _give([SET_SETTING, BULK_UNTIL_S, until_s], **asked)


@command.command("class")
@needs(GIVE_COMMANDS)
@_DEVICE
@click.argument("view_class", type=click.Choice(CLASS_NAMES[SITE:]))
@_ORDER
def change_class(view_class: str, **asked: Any) -> int:
    """Let DEVICE seal its routine events, its readings, in class site or office, from its next view period on.

    What was sealed before stays as it is. Of class site, gateways read the periods that were granted; of class office, nothing.
    It is the setting routine_class.
    """
    return _give([SET_SETTING, ROUTINE_CLASS, CLASS_NAMES.index(view_class)], **asked)


@command.command()
@needs(GIVE_COMMANDS)
@_DEVICE
@_ORDER
def report(**asked: Any) -> int:
    """Ask DEVICE for its counters now."""
    return _give([REPORT], **asked)


@command.command("list")
@needs(READ_COMMANDS)
@_DEVICE
@SETTINGS_AND_JSON
def list_commands(device: str, config: Path, as_json: bool) -> None:
    """Show the commands of DEVICE and how each ended, the newest first."""
    from office_ingest.govern.commands import command_as_json
    from office_ingest.govern.shelf import Shelf
    from office_ingest.storage.downward import Downward

    with open_store(config) as store:
        identity = device_called(Shelf(store), device)
        rows = [command_as_json(one, now_ms()) for one in Downward(store).commands(identity)]
    if as_json:
        emit("outstation.command-list", 1, {"device": identity.hex(), "commands": rows})
        return
    for row in rows:
        click.echo(
            f"{row['number']:6}  {row['words']:36} {row['state']:24} by {row['author'] or 'nobody known'}"
        )
    if not rows:
        click.echo("no command yet; next: outstation command report DEVICE")


def _give(
    demand: list[int],
    *,
    device: str,
    lasts: str,
    wait_s: float,
    author: str | None,
    config: Path,
    as_json: bool,
) -> int:
    from office_ingest.errors import KeyUnknown, StoreUnavailable
    from office_ingest.govern.commands import CommandRefused, give_command
    from office_ingest.govern.shelf import Shelf

    lasts_ms = lasts_milliseconds(lasts)
    with open_store(config) as store, open_keystore(config) as keystore:
        identity = device_called(Shelf(store), device)
        who = author or user_name()
        try:
            given = give_command(
                store, keystore, identity, demand, author=who, now_ms=now_ms(), lasts_ms=lasts_ms
            )
        except (CommandRefused, KeyUnknown) as error:
            raise _refused(error) from None
        except StoreUnavailable as error:
            fix = "see that its disk has room and nothing else holds it, and give it again"
            raise DiagnosticError(Diagnostic("command-refused", str(error), fix=fix), TRY_AGAIN) from None
        return _answer(store, identity, given.number, wait_s, as_json)


def _answer(store: Any, device: bytes, number: int, wait_s: float, as_json: bool) -> int:
    """Wait as long as asked for the device's own event, then say how the command stands."""
    from office_ingest.clock import SystemClock
    from office_ingest.govern.commands import command_as_json
    from office_ingest.storage.downward import Downward

    down = Downward(store)
    clock = SystemClock()
    deadline = clock.monotonic() + wait_s
    held = down.command(device, number)
    while (held is None or held.verdict is None) and clock.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        held = down.command(device, number)
    assert held is not None
    said = command_as_json(held, now_ms())
    if as_json:
        emit("outstation.command", 1, {"device": device.hex(), **said})
    else:
        click.echo(f"command {number}: {said['words']}: {said['state']}")
        if held.answer is not None:
            click.echo(f"  answer {held.answer}")
    if held.verdict is None:
        return TRY_AGAIN if wait_s else OK
    return OK if held.verdict == DONE else FINDING


def lasts_milliseconds(text: str, what: str = "--for") -> int:
    """Return what --for says, in milliseconds. what: the word that says it. Raises DiagnosticError."""
    number, unit = text[:-1], text[-1:]
    wrong = unit not in _UNITS or not number.isascii() or not number.isdigit() or not int(number)
    if wrong or int(number) * _UNITS[unit] > _LASTS_DAYS_MAX * _UNITS["d"]:
        message = f"{what} {text} is no time of 1s to {_LASTS_DAYS_MAX}d"
        raise DiagnosticError(Diagnostic("usage-wrong", message, fix="write it as 90s, 10m, 2h or 1d"))
    return int(number) * _UNITS[unit]


def _refused(error: Exception) -> DiagnosticError:
    fix = "see outstation rules explain for what its gates let pass; nothing was given"
    return DiagnosticError(Diagnostic("command-refused", str(error), fix=fix))
