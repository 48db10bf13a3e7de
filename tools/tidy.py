"""Our own rules, read from the syntax tree: sizes, names, unfinished marks, and what the device's Python cannot do.

python -m tools.tidy [FILE ...]        without files: every Python file of the checkout
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from protocol.diagnostic import FINDING, OK
from tools.device_types import ROOT, device_files

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 600
FOLDERS = ("firmware", "gateway", "hil_tests", "office_ingest", "protocol", "rules", "tests", "tools")

_NAMES_BANNED = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
# Spelled in two halves so that this file does not find itself.
_MARK = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")

_OURS_BELOW = {"protocol": {"protocol"}, "rules": {"protocol", "rules"}}
_OTHERS_BELOW = {"protocol": {"hashlib", "struct", "binascii"}, "rules": {"struct"}}
_NEVER_ON_DEVICE = {
    *("__future__", "abc", "contextlib", "dataclasses", "enum", "functools", "hmac", "importlib", "inspect"),
    *("itertools", "logging", "pathlib", "re", "subprocess", "threading", "typing", "warnings"),
}
# Where clocks may be read: each side's clock, what shows ages to a person, and the device's own start on a host. Everybody else
# is handed one, so that no deadline uses wall time and every part can be simulated.
_CLOCK_READERS = {
    *("gateway/clock.py", "gateway/cli.py", "office_ingest/clock.py", "office_ingest/cli.py"),
    "firmware/unix_device.py",
}
_CLOCKED = ("protocol/", "rules/", "firmware/", "gateway/", "office_ingest/")
_CLOCK_READS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "localtime", "gmtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
_INPUT_OUTPUT = {"open", "print", "input"}


class Violation(NamedTuple):
    """One broken rule: path as given, line from 1, the rule's name, one sentence."""

    path: str
    line: int
    rule: str
    message: str

    def text(self) -> str:
        """Return the violation as editors and terminals link it: path:line: rule: message."""
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


Found = Iterator[tuple[int, str, str]]


def check_source(text: str, path: str, device_part: str | None) -> list[Violation]:
    """Return all violations of one file.

    device_part: "protocol", "rules" or "agent" if the file runs on a device, else None.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [Violation(path, error.lineno or 1, "syntax", str(error.msg))]
    found = [*_sizes(tree, text), *_names(path), *_marks(text), *_handlers(tree), *_imports(tree)]
    if path.startswith(_CLOCKED) and path not in _CLOCK_READERS:
        found += _clock_reads(tree)
    if device_part:
        found += [*_device_imports(tree, device_part), *_device_syntax(tree)]
    if device_part in _OURS_BELOW:
        found += _input_output(tree)
    if device_part == "rules":
        found += _no_floats(tree)
    return [Violation(path, line, rule, message) for line, rule, message in sorted(found)]


def device_part(path: Path, device: set[str]) -> str | None:
    """Return which part of the device's code a file belongs to, or None for files of the hosts."""
    if str(path) not in device:
        return None
    return {"firmware": "agent"}.get(path.relative_to(ROOT).parts[0], path.relative_to(ROOT).parts[0])


def _sizes(tree: ast.Module, text: str) -> Found:
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield 1, "file-length", f"{lines} lines exceed {FILE_LINES_MAX}: split it by what it owns"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield (
                    node.lineno,
                    "function-length",
                    f"{node.name} has {length} lines, more than {FUNCTION_LINES_MAX}",
                )


def _names(path: str) -> Found:
    for part in Path(path).with_suffix("").parts:
        if part.removeprefix("test_") in _NAMES_BANNED:
            yield 1, "module-name", f"{part} says nothing: name the module after the noun it owns"


def _marks(text: str) -> Found:
    for number, line in enumerate(text.split("\n"), 1):
        match = _MARK.search(line)
        if match:
            yield number, "unfinished", f"{match[1]}: finish it, or write an issue"


def _handlers(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "NotImplemented" + "Error":
            yield node.lineno, "unfinished", f"{node.id}: no stubs"
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            yield node.lineno, "bare-except", "name the exceptions that can be answered here"
        elif _is_broad(node.type) and all(isinstance(step, ast.Pass) for step in node.body):
            yield node.lineno, "swallowed", "an error is caught and dropped"


def _is_broad(node: ast.expr) -> bool:
    return any(isinstance(n, ast.Name) and n.id in ("Exception", "BaseException") for n in ast.walk(node))


def _imports(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative-import", "imports are absolute and start with a package name"


def _clock_reads(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in _CLOCK_READS.get(node.value.id, ()):
                yield node.lineno, "clock-read", f"{node.value.id}.{node.attr}: clocks are handed in"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield node.lineno, "clock-read", "from time: clocks are handed in"


def _input_output(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _INPUT_OUTPUT:
            yield node.lineno, "input-output", f"{node.func.id}(): protocol and rules have no I/O"


def _device_imports(tree: ast.Module, part: str) -> Found:
    for line, module in _imported(tree):
        root = module.split(".")[0]
        if root in _NEVER_ON_DEVICE:
            yield line, "device-import", f"{module} does not exist on the device"
        elif part in _OURS_BELOW and root not in _OURS_BELOW[part] | _OTHERS_BELOW[part]:
            # const is the one name that protocol takes from the interpreter.
            if (part, module) != ("protocol", "micropython"):
                yield line, "device-import", f"{part} may not import {module}"


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def _device_syntax(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        said = _banned(node)
        if said:
            yield (
                getattr(node, "lineno", 1),
                "device-syntax",
                f"{said}: MicroPython cannot, or it costs too much on a device",
            )


def _banned(node: ast.AST) -> str | None:
    if isinstance(node, (ast.Match, ast.TryStar, ast.JoinedStr)):
        return {ast.Match: "match", ast.TryStar: "except*", ast.JoinedStr: "an f-string (use format)"}[
            type(node)
        ]
    if isinstance(node, ast.ClassDef) and node.keywords:
        return "a keyword in a class header"
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and node.args.posonlyargs:
        return "a positional-only argument"
    if getattr(node, "type_params", None) or type(node).__name__ == "TypeAlias":
        return "a type parameter or alias"
    if isinstance(node, ast.Constant) and isinstance(node.value, complex):
        return "a complex number"
    return None


def _no_floats(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, "rules-float", f"{node.value}: rules are integers only"
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            yield node.lineno, "rules-division", "/ makes a float: use // or rules.value"
        elif isinstance(node, ast.Name) and node.id in ("float", "complex"):
            yield node.lineno, "rules-float", f"{node.id}: rules are integers only"


def main(arguments: list[str]) -> int:
    """Check files, print each violation, and return the exit code."""
    paths = [Path(argument).resolve() for argument in arguments]
    if not paths:
        paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    device = set(device_files())
    found = [
        violation
        for path in paths
        for violation in check_source(_read(path), _shown(path), device_part(path, device))
    ]
    for violation in found:
        print(violation.text())
    print(f"{len(paths)} files, {len(found)} violations")
    return FINDING if found else OK


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
