"""A lap's senders are another process than the server that is measured: started, heard to its end, and never left behind."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path


def write_streams(folder: Path, streams: list[list[bytes]]) -> Path:
    """Write what each device is to send, segments in order, as JSON of hex texts; return the file."""
    file = folder / "segments.json"
    file.write_text(json.dumps([[raw.hex() for raw in stream] for stream in streams]))
    return file


async def output_of(module: str, *words: object) -> bytes:
    """Run a module of ours with these words in a process of its own; return what it printed.

    Raises RuntimeError with what it said of its failure.
    """
    command = [sys.executable, "-P", "-m", module, *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, start_new_session=True)
    try:
        said, wrong = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}: {wrong.decode(errors='replace')}")
    return said
