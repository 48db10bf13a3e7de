"""Faults planted into a copy of today's tree: changes of bytes that are made everywhere at once, so that today's own parts still agree.

FAULTS: name -> (file, [(text, other text)], what the story says of it). The specification and the vectors could be changed with them;
only what landed before can tell.
"""

import shutil
from pathlib import Path

from tools.device_types import ROOT
from tools.proof import page, rows

_FOLDERS = ("firmware", "gateway", "office_ingest", "protocol", "rules", "tools")
_BESIDES = ("tests/site/harness.py", "docs/rules/demo.yaml", "pyproject.toml")

FAULTS = {
    "header_byte": (
        "protocol/segment.py",
        [
            ("            1,\n            self.device,", "            2,\n            self.device,"),
            ("and items[0] != 1:", "and items[0] != 2:"),
            ("is_within(items[0], 1, 1)", "is_within(items[0], 2, 2)"),
        ],
        "segments: the office takes none",
    ),
    "heartbeat_label": (
        "protocol/messages.py",
        [('b"outstation heartbeat v1"', 'b"outstation heartbeat v2"')],
        "heartbeats: the office takes none",
    ),
    "answer_key": (
        "protocol/messages.py",
        [
            ("(4, answer.release), (5, answer.command)", "(7, answer.release), (5, answer.command)"),
            ("_number(items, 4)", "_number(items, 7)"),
        ],
        "release: not every device confirms it",
    ),
}
# In the agent: today's one finds on the flash of a landed one no cell, and counts from 0 in a new epoch.
FLASH_FAULT = (
    "firmware/agent/cell.py",
    [('b"outstation cell v1"', 'b"outstation cell v2"')],
    "update: a new epoch was begun",
)


def plant(folder: Path, fault: tuple) -> Path:
    """Write today's tree with one fault under a folder; return the folder."""
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    for name in _BESIDES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    name, changes, _ = fault
    path = folder / name
    text = path.read_text("utf-8")
    for before, after in changes:
        assert text.count(before) == 1, f"{name} holds {before!r} {text.count(before)} times"
        text = text.replace(before, after)
    path.write_text(text, "utf-8")
    return folder


# ---- the page of what was tried


def say_that_nothing_broke(put):
    """Give each row as if every promise had held."""
    true = rows.tried
    put(page, "tried", lambda held: [row._replace(broken=0) for row in true(held)])


def pass_over_what_was_not_run(put):
    """Name no figures that are missing."""
    put(page, "_missing", lambda figures: iter(()))


def keep_an_old_picture(put):
    """Leave pictures of another run where they are."""
    put(Path, "unlink", lambda self, missing_ok=False: None)


# NAME -> (plant(put), the test of tests/tools/test_proof.py that must fail)
PAGE_FAULTS = {
    "say_that_nothing_broke": (
        say_that_nothing_broke,
        "test_page_keeps_its_prose_and_takes_the_figures",
    ),
    "pass_over_what_was_not_run": (
        pass_over_what_was_not_run,
        "test_missing_figures_are_named_with_the_command_that_makes_them",
    ),
    "keep_an_old_picture": (keep_an_old_picture, "test_nothing_run_gives_a_page_that_says_so"),
}
