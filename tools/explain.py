"""`outstation explain`: what a diagnostic code means, and what to do."""

import textwrap

import click

from protocol.codes import CODES
from protocol.diagnostic import Diagnostic, DiagnosticError, suggest
from protocol.report import emit


@click.command()
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(code: str | None, as_json: bool) -> None:
    """Say what a diagnostic code means and what to do; without CODE, list all codes."""
    if code is not None and code not in CODES:
        near = suggest(code, CODES)
        fix = f"did you mean {near}?" if near else "outstation explain lists all codes"
        raise DiagnosticError(
            Diagnostic("explain-unknown-code", f"no diagnostic has the code {code}", fix=fix)
        )
    chosen = {code: CODES[code]} if code else CODES
    if as_json:
        rows = [{"code": name, **explanation._asdict()} for name, explanation in chosen.items()]
        emit("outstation.explanation", 1, {"codes": rows})
    elif code:
        print(page(code))
    else:
        width = max(len(name) for name in CODES)
        print("\n".join(f"{name:{width}}  {CODES[name].title}" for name in sorted(CODES)))


def page(code: str) -> str:
    """Return the page of a code as lines of at most 80 columns."""
    title, why, act = CODES[code]
    return "\n\n".join([f"{code}: {title}", textwrap.fill(why, 80), textwrap.fill(act, 80)])
