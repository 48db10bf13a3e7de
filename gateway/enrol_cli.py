"""The command `outstation gateway enrol`: by a code of the office, or by the company's own authority."""

import sys
from pathlib import Path

import click

from gateway.options import JSON, LISTEN_HOST, LISTEN_PORT
from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.report import emit

SCHEMA = "outstation.gateway-enrol"
_CODE_CHARACTERS_MAX = 512
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--office", help="Address of the office, https://host:port.")
@click.option(
    "--code-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="File with the code, - for standard input; asked for if left out.",
)
@LISTEN_HOST
@LISTEN_PORT
@click.option(
    "--csr-out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead of a code: write a request for the company's authority.",
)
@click.option("--name", help="With --csr-out: name of the gateway.")
@click.option("--site", help="With --csr-out: name of the site.")
@click.option(
    "--certificate",
    type=_FILE,
    help="Take up the certificate that the company's authority made of the request.",
)
@click.option(
    "--ca", type=_FILE, help="With --certificate: PEM of the authority that vouches for the office's server."
)
@JSON
def enrol(
    folder: Path,
    office: str | None,
    code_file: Path | None,
    host: str,
    port: int,
    csr_out: Path | None,
    name: str | None,
    site: str | None,
    certificate: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Make this machine a gateway, in a FOLDER.

    Its private key is made here and never leaves. `outstation office gateway invite` prints the code; it is asked for, or read from a
    file, and never an argument: arguments are seen by every user of a machine and kept by shells.
    """
    from gateway import enrol as work

    if certificate is not None:
        gateway = work.take_companys(folder, certificate, ca)
        return _say(gateway, folder, as_json)
    place = work.Place(folder, _checked(office), host, port)
    if csr_out is not None:
        if not name or not site:
            raise DiagnosticError(Diagnostic("usage-missing", "--csr-out needs --name and --site"), USAGE)
        work.request_certificate(place, name, site, csr_out)
        if as_json:
            return emit("outstation.gateway-request", 1, {"gateway": name, "request": str(csr_out)})
        click.echo(f"wrote {csr_out}; next: outstation gateway enrol {folder} --certificate FILE --ca FILE")
        return None
    return _say(work.enrol(place, _code(code_file)), folder, as_json)


def _say(gateway: str, folder: Path, as_json: bool) -> None:
    settings = folder / "gateway.toml"
    if as_json:
        emit(SCHEMA, 1, {"gateway": gateway, "settings": str(settings)})
    else:
        click.echo(f"gateway {gateway} is enrolled; next: outstation gateway run --config {settings}")


def _checked(office: str | None) -> str:
    host_and_port = (office or "").removeprefix("https://").rstrip("/")
    if not office or host_and_port == office or not host_and_port or set(host_and_port) & set("/?#@ "):
        message = f"--office {office} is not an https address" if office else "--office is missing"
        raise DiagnosticError(
            Diagnostic("usage-wrong", message, fix="write it as https://office.example:8443")
        )
    return office


def _code(path: Path | None):  # type: ignore[no-untyped-def] # a protocol.enrolment.Code, imported late
    from protocol.enrolment import CodeWrong, parse_code

    if path is not None and str(path) != "-":
        text = path.read_text("utf-8", errors="replace")[:_CODE_CHARACTERS_MAX]
    elif path is None and sys.stdin.isatty():
        text = click.prompt("Code", hide_input=True, err=True)
    else:
        text = sys.stdin.read(_CODE_CHARACTERS_MAX)
    try:
        return parse_code(text)
    except CodeWrong as error:
        fix = "copy it whole, as outstation office gateway invite printed it"
        raise DiagnosticError(Diagnostic("gateway-code", str(error), fix=fix)) from None
