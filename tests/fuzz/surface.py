"""Finds every function of ours that by its name reads what somebody else may have written: bytes, text, files, flash."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = {
    "protocol": "protocol",
    "rules": "rules",
    "firmware/agent": "agent",
    "gateway": "gateway",
    "office_ingest": "office_ingest",
    "tools": "tools",
}
# Names that such functions have here (docs/CONTRIBUTING.md): what gets another name is found by its reviewer.
_READS = re.compile(
    r"^(parse|decode|read|load|loads|unprotect|open|take_token|peek|record_length|get_column|get_uvarint)(_|$)"
)
# Benches and the demonstration read what they wrote themselves a moment ago.
_LEFT_OUT = ("tools/bench", "tools/demo", "tools/page_")


def readers():
    """Return the dotted names of all of them: module.function or module.Class.method."""
    found = set()
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if not place.startswith(_LEFT_OUT):
                module = package + place.removeprefix(folder).removesuffix(".py").removesuffix(
                    "/__init__"
                ).replace("/", ".")
                found.update(f"{module}.{name}" for name in _names(ast.parse(path.read_text("utf-8"))))
    return found


def _names(tree):
    for node in tree.body:
        if _is_reader(node):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{one.name}" for one in node.body if _is_reader(one))


def _is_reader(node):
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return is_function and _READS.match(node.name) is not None and _takes_something(node)


def _takes_something(node):
    names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return bool([name for name in names if name not in ("self", "cls")])
