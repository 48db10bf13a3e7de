"""Hosts of one commit with devices of another: unpacks what was kept, runs the story between them, proves it with today's code."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.compat.archive import files_of, write_tree
from tools.device_types import ROOT
from tools.site_proof import prove_site
from tools.unix_image import unix_image
from tools.upy import micropython_command

FOLDER = Path(__file__).resolve().parent
STORY = FOLDER / "story.py"
# How long one step of the story may take, in seconds, and the whole of it.
STEP_SECONDS = 60.0
SECONDS_MAX = 110.0
HEAP = "8m"


def kept(part):
    """Return the kept zips of a part, "device" or "hosts", by the short commit."""
    return {path.stem.partition("-")[2]: path for path in sorted(FOLDER.glob(f"{part}-*.zip"))}


def unpack(commit, folder):
    """Write the tree of a kept commit under a folder, and return the folder."""
    for part in ("device", "hosts"):
        write_tree(folder, files_of(kept(part)[commit]))
    return folder


def unpack_device(commit, folder):
    """Write the device's part alone: nothing of any host can then be found by mistake."""
    write_tree(folder, files_of(kept("device")[commit]))
    return folder


def image_words(tree):
    """Return the words that run the agent of a tree on MicroPython, over a device.json that the hosts of the story write."""
    path = ":".join([".frozen", str(tree), str(tree / "firmware")])
    main = str(tree / "firmware" / "unix_main.py")
    return [
        "env",
        f"MICROPYPATH={path}",
        *micropython_command(),
        "-X",
        f"heapsize={HEAP}",
        main,
        "{folder}/device.json",
    ]


def command_words(tree):
    """Return the words of `outstation device run` of a tree: its own settings reader, then its agent."""
    run = ["-m", "tools.cli", "device", "run", "--config", "{folder}/device.toml"]
    return ["env", f"PYTHONPATH={tree}", sys.executable, "-P", *run]


def _images(words):
    """Return in hex what the agents that these words start call their images: an office gives no release to one that it does not know."""
    mains = [word.removesuffix("/unix_main.py") for word in words if word.endswith("/firmware/unix_main.py")]
    trees = [word.removeprefix("PYTHONPATH=") for word in words if word.startswith("PYTHONPATH=")]
    folders = [Path(main) for main in mains] + [Path(tree) / "firmware" for tree in trees]
    return [unix_image(folder).hex() for folder in folders]


class Lived:
    """A site whose processes have ended, as the proof wants it."""

    def __init__(self, folder, document):
        self.folder = folder
        self.office_folder = folder / "office"
        self.device_ids = [bytes.fromhex(text) for text in document["devices"]]
        self.devices = [_Named(f"device-{index + 1}") for index in range(len(self.device_ids))]
        self.lived = document["lived"]


class _Named:
    def __init__(self, name):
        self.name = name


def live(folder, hosts, words, later=(), seconds=STEP_SECONDS):
    """Run the story with the hosts of one tree; return Lived. later: the words that start the devices after an update.

    Raises AssertionError with the part of the story that failed."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(hosts)}
    command = [
        sys.executable,
        "-P",
        str(STORY),
        str(folder),
        str(seconds),
        ",".join(_images([*words, *later])),
        *words,
        *(["--", *later] if later else []),
    ]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Lived(folder, json.loads(done.stdout.splitlines()[-1]))


def verify(site):
    """Return what today's `outstation verify` says of the office's database with its keys: (exit code, document)."""
    words = ["-m", "tools.cli", "verify", str(site.office_folder / "office.db")]
    keys = ["--keystore", str(site.office_folder / "keystore.db"), "--json"]
    done = subprocess.run(
        [sys.executable, *words, *keys], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def proved(site):
    """Return the figures of today's proof: flash against office, every seal, every decision. Raises AssertionError."""
    proof = prove_site(site)
    assert proof.is_clean, "\n".join([*proof.faults, str(proof.figures)])
    return proof.figures
