"""The `outstation` command: a table of lazy commands, and the one place where errors become words and exit codes.

A command's module is imported when the command runs, never for --help: the front page must appear at once.
A command returns None or its exit code. It raises DiagnosticError for what a person must mend; no traceback leaves here.
Exit codes: 0 ok, 1 finding, 2 usage or invalid input, 3 not reachable, 4 not allowed, 70 our own fault,
75 try again, 130 interrupted (protocol/diagnostic.py).
"""

import errno
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from protocol.core_dumps import forbid_core_dumps
from protocol.diagnostic import (
    INTERNAL,
    INTERRUPTED,
    NOT_ALLOWED,
    OK,
    TRY_AGAIN,
    USAGE,
    Diagnostic,
    DiagnosticError,
    show,
    suggest,
)
from tools import VERSION

_PIPE_CLOSED = 141


class Lazy(NamedTuple):
    """A command that is imported when it runs. json_is_file: its --json takes a path, so its errors stay text."""

    target: str
    help: str
    json_is_file: bool = False


COMMANDS = {
    "bench": Lazy("tools.bench.command:command", "Measure our parts beside their peers.", json_is_file=True),
    "command": Lazy("office_ingest.govern.command_cli:command", "Give one device a command."),
    "decode": Lazy("tools.decode:command", "Show captured bytes as readable text."),
    "demo": Lazy("tools.demo:command", "Run a whole site on this machine and prove it.", json_is_file=True),
    "device": Lazy("tools.device:device", "Run a device on this machine, or bring one onto a board."),
    "explain": Lazy("tools.explain:command", "Say what a diagnostic code means and what to do."),
    "gateway": Lazy("gateway.cli:gateway", "Run and look into a site's gateway."),
    "office": Lazy("office_ingest.cli:office", "Run and look into the office."),
    "provision": Lazy("tools.provision:provision", "Give a device or a gateway its identity and keys."),
    "release": Lazy("office_ingest.govern.cli:release", "Build, sign, roll out and watch releases."),
    "rules": Lazy("tools.rules:rules", "Write rules: check, test, compile and explain policies."),
    "site": Lazy("office_ingest.govern.site_cli:site", "Make and list sites."),
    "verify": Lazy("office_ingest.cli:verify", "Check an office database without trusting the service."),
}


class ReaderGone(Exception):
    """Whoever read our output went away (| head). Who must act: nobody."""


class LazyGroup(click.Group):
    """A click group that knows names and one-line helps of its commands without importing them."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # click would end with 1, which means a finding.
            raise ReaderGone from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=list(COMMANDS), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in sorted(COMMANDS)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name].help) for name in names), *options]


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 finding, 2 usage or invalid input, 3 not reachable, 4 not allowed, "
    "70 our own fault, 75 try again.",
)
@click.version_option(VERSION, prog_name="outstation", message="%(prog)s %(version)s")
def outstation() -> None:
    """Sensors decide on the spot; the office proves later that every decision was right."""


def load(name: str) -> click.Command:
    """Return the command of the table's name. Raises DiagnosticError where its module is not installed."""
    module_name, _, attribute = COMMANDS[name].target.partition(":")
    try:
        command = getattr(import_module(module_name), attribute, None)
    except ModuleNotFoundError as error:
        raise DiagnosticError(_missing_module(name, error.name or module_name)) from None
    if command is None:
        raise DiagnosticError(_missing_module(name, COMMANDS[name].target))
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    forbid_core_dumps()
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words))


def run(words: list[str]) -> int:
    """Run one command line and return its exit code; whatever goes wrong is said here."""
    as_json = wants_json(words)
    try:
        result = outstation.main(words, prog_name="outstation", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except click.exceptions.NoArgsIsHelpError as error:
        # A group's name alone is a question, not a mistake; it did nothing, so it is not 0 either.
        print(error.format_message())
        return USAGE
    except click.ClickException as error:
        said = _usage(error)
        return _say([said], NOT_ALLOWED if said.code == "file-not-allowed" else USAGE, as_json)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except (ReaderGone, BrokenPipeError):
        # Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except DiagnosticError as error:
        return _say(error.diagnostics, error.exit_code, as_json)
    except BaseExceptionGroup as group:
        return _say_group(group, as_json)
    except OSError as error:
        return _say_file(error, as_json)
    except Exception as error:  # noqa: BLE001 - the last handler of all: what is unexpected goes to a file
        return _say([_crash(error)], INTERNAL, as_json)


def wants_json(words: Sequence[str]) -> bool:
    """Return whether the errors of this command line are to be JSON."""
    command = next((word for word in words if not word.startswith("-")), None)
    if command in COMMANDS and COMMANDS[command].json_is_file:
        return False
    before_double_dash = words[: words.index("--")] if "--" in words else words
    return "--json" in before_double_dash


def _say(diagnostics: Iterable[Diagnostic], exit_code: int, as_json: bool) -> int:
    show(diagnostics, as_json=as_json)
    return exit_code


def _say_group(group: BaseExceptionGroup[BaseException], as_json: bool) -> int:
    """Answer for tasks that failed together: known mistakes are listed, anything else is a fault of ours."""
    known, unknown = group.split(DiagnosticError)
    if unknown is not None:
        interrupted = unknown.subgroup(KeyboardInterrupt) is not None
        return INTERRUPTED if interrupted else _say([_crash(unknown)], INTERNAL, as_json)
    errors = list(_leaves(known))
    return _say([d for error in errors for d in error.diagnostics], errors[0].exit_code, as_json)


def _leaves(error: Any) -> Iterable[DiagnosticError]:
    if isinstance(error, DiagnosticError):
        yield error
    else:
        for inner in error.exceptions:
            yield from _leaves(inner)


# What the world does to a file that a person named; anything else is ours.
_FILE_EXITS = {
    errno.EACCES: (NOT_ALLOWED, "give this user the right, or name another place"),
    errno.EPERM: (NOT_ALLOWED, "give this user the right, or name another place"),
    errno.EROFS: (NOT_ALLOWED, "name a place that can be written to"),
    errno.EEXIST: (USAGE, "name another place"),
    errno.EISDIR: (USAGE, "name a file, not a folder"),
    errno.ENAMETOOLONG: (USAGE, "choose a shorter path"),
    errno.ENOENT: (USAGE, "check the path"),
    errno.ENOTDIR: (USAGE, "a part of the path is a file, not a folder"),
    errno.ENOSPC: (TRY_AGAIN, "make room on this disk and run it again"),
    errno.EDQUOT: (TRY_AGAIN, "make room and run it again"),
}


def _say_file(error: OSError, as_json: bool) -> int:
    if error.filename is None or error.errno not in _FILE_EXITS:
        return _say([_crash(error)], INTERNAL, as_json)
    exit_code, fix = _FILE_EXITS[error.errno]
    reason = (error.strerror or "it cannot be used").lower()
    code = "file-not-allowed" if exit_code == NOT_ALLOWED else "file-unusable"
    return _say([Diagnostic(code, reason, str(error.filename), fix=fix)], exit_code, as_json)


def _crash(error: BaseException) -> Diagnostic:
    from tools.crash import write_crash

    return write_crash(error)


def _usage(error: click.ClickException) -> Diagnostic:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "outstation"
    help_fix = f"see {command} --help"
    if isinstance(error, click.exceptions.NoSuchCommand):
        near = suggest(error.command_name, error.possibilities or [])
        fix = f"did you mean {near}?" if near else help_fix
        return Diagnostic("usage-no-such-command", f"{command} has no command {error.command_name}", fix=fix)
    if isinstance(error, click.NoSuchOption):
        near = suggest(error.option_name, error.possibilities or [])
        fix = f"did you mean {near}?" if near else help_fix
        return Diagnostic("usage-no-such-option", f"{command} has no option {error.option_name}", fix=fix)
    if isinstance(error, click.FileError):
        return Diagnostic(
            "file-unusable", f"{error.ui_filename}: {error.message}", fix="check the path and its rights"
        )
    if isinstance(error, click.BadParameter) and "is not readable" in error.message:
        fix = "give this user the right to read it"
        return Diagnostic("file-not-allowed", error.message.rstrip(".").lower(), fix=fix)
    code = "usage-missing" if isinstance(error, click.MissingParameter) else "usage-wrong"
    message = " ".join(error.format_message().split()).rstrip(".")
    return Diagnostic(code, message[:1].lower() + message[1:], fix=help_fix)


def _missing_module(command: str, module: str) -> Diagnostic:
    return Diagnostic(
        "command-missing",
        f"the command {command} needs the module {module}, which is not installed",
        fix="pip install 'outstation[links]' into an environment of its own",
    )


if __name__ == "__main__":
    main()
