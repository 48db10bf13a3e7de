"""Where an unexpected error's traceback goes: a file for us; the person sees one sentence."""

import os
import platform
import tempfile
import traceback
from pathlib import Path

from protocol.diagnostic import Diagnostic
from tools import VERSION


def write_crash(error: BaseException) -> Diagnostic:
    """Write the traceback of error to a new private file and return the sentence that names the file."""
    text = "".join(traceback.format_exception(error))
    head = f"outstation {VERSION}, Python {platform.python_version()}, {platform.platform()}\n\n"
    try:
        path = _new_file(head + text)
    except OSError as disk:
        fix = f"the crash file could not be written either: {disk.strerror}"
    else:
        fix = f"send us {path}"
    return Diagnostic("command-failed", f"a fault of ours: {_sentence(error)}", fix=fix)


def crash_folder() -> Path:
    """Return the folder for crash files: the user's state folder, or the temporary folder where there is none."""
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "outstation"
    home = Path(os.environ.get("HOME", "/nonexistent"))
    return (
        home / ".local" / "state" / "outstation" if os.access(home, os.W_OK) else Path(tempfile.gettempdir())
    )


def _new_file(text: str) -> str:
    folder = crash_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # mkstemp: readable by this user alone, and never a link that somebody prepared.
    handle, path = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)
    return path


def _sentence(error: BaseException) -> str:
    first = (str(error).strip().split("\n") or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
