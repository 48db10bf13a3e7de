"""`outstation rules`: check, test, compile and explain policies; rules/authoring/ does the work."""

from pathlib import Path

import click

from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError, show
from protocol.errors import ProtocolError
from protocol.limits import uint32_max
from protocol.report import emit

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_VERSION = click.option(
    "--version",
    type=click.IntRange(0, uint32_max),
    default=1,
    show_default=True,
    help="Version of the bundle; it only rises on a device.",
)


@click.group()
def rules() -> None:
    """Write rules: check, test, compile and explain policies."""


@rules.command()
@_FILE
@_JSON
def check(file: Path, as_json: bool) -> int:
    """Say everything that is wrong with a policy, and prove that its rules cannot fault. Exit code 1 if anything is wrong."""
    from rules.authoring.compile import check_file

    compiled, found = check_file(file)
    if as_json:
        rows = [diagnostic.as_json() for diagnostic in found]
        emit(
            "outstation.rules-check", 1, {"file": str(file), "ok": compiled is not None, "diagnostics": rows}
        )
        return OK if compiled else FINDING
    show(found)
    if compiled is None:
        errors = sum(diagnostic.severity == "error" for diagnostic in found)
        print(f"{file}: {errors} {'mistake' if errors == 1 else 'mistakes'}")
        return FINDING
    registers = sum(len(rule.registers) for rule in compiled.rules)
    print(
        f"{file}: ok, {len(compiled.rules)} rules, {registers} registers, {len(compiled.bundle)} bytes; "
        "proved: no overflow, no division by zero, no index out of bounds"
    )
    return OK


@rules.command()
@_FILE
@_JSON
def test(file: Path, as_json: bool) -> int:
    """Run the tests that stand in a policy against its compiled bundle. Exit code 1 if one fails."""
    from rules.authoring.compile import compile_file
    from rules.authoring.test import run_tests

    compiled, warnings = compile_file(file)
    outcomes, mistakes = run_tests(compiled)
    if mistakes:
        raise DiagnosticError(mistakes)
    if not outcomes:
        fix = "write some under tests:, see docs/rules/tests.md"
        raise DiagnosticError(Diagnostic("rules-no-tests", "the policy has no tests", str(file), fix=fix))
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    if as_json:
        rows = [{"name": o.name, "ok": o.failure is None, "samples": o.samples} for o in outcomes]
        said = [diagnostic.as_json() for diagnostic in [*warnings, *failures]]
        emit("outstation.rules-test", 1, {"file": str(file), "tests": rows, "diagnostics": said})
    else:
        show([*warnings, *failures])
        for outcome in outcomes:
            print(f"{'FAILED' if outcome.failure else 'ok    '} {outcome.name} ({outcome.samples} samples)")
        print(f"{len(outcomes)} tests, {len(failures)} failed")
    return FINDING if failures else OK


@rules.command("compile")
@_FILE
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where the bundle goes.",
)
@_VERSION
@_JSON
def compile_policy(file: Path, output: Path, version: int, as_json: bool) -> None:
    """Compile a policy to the bundle that a device runs. The same policy gives the same bytes."""
    from hashlib import sha256

    from rules.authoring.compile import compile_file

    compiled, warnings = compile_file(file, version)
    output.write_bytes(compiled.bundle)
    digest = sha256(compiled.bundle).hexdigest()
    if as_json:
        body = {
            "file": str(output),
            "bytes": len(compiled.bundle),
            "bundle_version": version,
            "sha256": digest,
            "schema_sha256": sha256(compiled.schema).hexdigest(),
            "diagnostics": [diagnostic.as_json() for diagnostic in warnings],
        }
        emit("outstation.rules-compile", 1, body)
        return
    show(warnings)
    print(f"{output}: version {version}, {len(compiled.bundle)} bytes, SHA-256 {digest}")


@rules.command()
@_FILE
@_VERSION
@_JSON
def explain(file: Path, version: int, as_json: bool) -> None:
    """Say in words what a bundle makes a device do. FILE is a policy (.yaml) or a bundle."""
    from rules.authoring.compile import compile_file
    from rules.authoring.explain import explain as explained

    compiled = None
    if file.suffix in (".yaml", ".yml"):
        compiled, _ = compile_file(file, version)
        data = compiled.bundle
    else:
        data = file.read_bytes()
    try:
        text = explained(data, compiled)
    except ProtocolError as error:
        fix = "name a bundle, or a policy whose name ends in .yaml"
        raise DiagnosticError(
            Diagnostic("rules-not-a-bundle", f"this is no bundle: {error}", str(file), fix=fix)
        ) from None
    if as_json:
        emit("outstation.rules-explain", 1, {"file": str(file), "text": text})
    else:
        print(text, end="")
