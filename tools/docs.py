"""Writes the pages of docs/ that follow from code: commands, error codes, and the table of permissions in its page. A test compares them.

python -m tools.docs
"""

import click

from office_ingest.permissions import PERMISSIONS, ROLES
from protocol.codes import CODES
from protocol.diagnostic import DiagnosticError
from tools.cli import COMMANDS, load, outstation
from tools.device_types import ROOT

_COMMANDS_HEAD = """# Commands

Written from the code by `python -m tools.docs`; change the help texts there.

Every command has `--help`. With `--json` a command prints one document that names its schema and version; its errors are
then JSON too (`outstation.diagnostics`). `NO_COLOR` turns colours off. For completion of words, put this into your shell's
start file: `eval "$(_OUTSTATION_COMPLETE=bash_source outstation)"` (or `zsh_source`, `fish_source`).

| exit code | meaning |
|---|---|
| 0 | ok |
| 1 | the command worked and found something wrong |
| 2 | usage, or invalid input |
| 3 | not reachable |
| 4 | not allowed |
| 70 | our own fault; a crash file was written |
| 75 | try again later |
| 130 | interrupted |
"""

_PERMISSIONS = "operating/permissions.md"
_TABLE_BEGINS = "<!-- written by python -m tools.docs -->"
_TABLE_ENDS = "<!-- end -->"
_ERRORS_HEAD = """# Error codes

Written from `protocol/codes.py` by `python -m tools.docs`. `outstation explain CODE` prints the same.
"""


def pages() -> dict[str, str]:
    """Return path below docs/ -> text of each page that is written from code."""
    permissions = (ROOT / "docs" / _PERMISSIONS).read_text(encoding="utf-8")
    return {
        "commands.md": commands_page(),
        "errors/README.md": errors_page(),
        _PERMISSIONS: permissions_page(permissions),
    }


def permissions_page(text: str) -> str:
    """Return docs/operating/permissions.md with the table as the code has it between its two marks."""
    before, _, rest = text.partition(_TABLE_BEGINS)
    after = rest.partition(_TABLE_ENDS)[2]
    lines = [f"| permission | {' | '.join(ROLES)} | commands |", f"|---|{'---|' * len(ROLES)}---|"]
    commands = _commands_by_permission()
    for one in PERMISSIONS:
        marks = " | ".join("yes" if one in held else "" for held in ROLES.values())
        named = ", ".join(f"`{words}`" for words in commands.get(one.words(), []))
        lines.append(f"| {one.words()} | {marks} | {named} |")
    return f"{before}{_TABLE_BEGINS}\n{chr(10).join(lines)}\n{_TABLE_ENDS}{after}"


def _commands_by_permission() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(COMMANDS):
        try:
            command = load(name)
        except DiagnosticError:
            continue
        for words, inner in _leaves(command, name):
            for permission in getattr(inner.callback, "permissions", ()):
                found.setdefault(permission.words(), []).append(words)
    return found


def _leaves(command: click.Command, words: str) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(words, command)]
    return [
        leaf
        for name in sorted(command.commands)
        for leaf in _leaves(command.commands[name], f"{words} {name}")
    ]


def commands_page() -> str:
    """Return docs/commands.md: each command of this installation with its help."""
    sections = [_COMMANDS_HEAD]
    root = click.Context(outstation, info_name="outstation")
    for name in sorted(COMMANDS):
        try:
            command = load(name)
        except DiagnosticError:
            continue
        sections += _sections(command, click.Context(command, parent=root, info_name=name))
    return "\n".join(sections)


def _sections(command: click.Command, context: click.Context) -> list[str]:
    # A fixed width: the page must not depend on the terminal it was written in.
    context.terminal_width = context.max_content_width = 100
    found = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                found += _sections(inner, click.Context(inner, parent=context, info_name=name))
    return found


def errors_page() -> str:
    """Return docs/errors/README.md: each diagnostic code with its explanation."""
    parts = [_ERRORS_HEAD]
    for code in sorted(CODES):
        title, why, act = CODES[code]
        parts.append(f"## {code}\n\n**{title}.** {why}\n\n{act}\n")
    return "\n".join(parts)


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        path = ROOT / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
