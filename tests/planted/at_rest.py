"""Faults planted into real processes of a site, each of which lets something lie in the open: `python -m tests.planted.at_rest NAME WORD...`.

The product has no switch for them: each is put over its own code here, before that code starts. FAULTS says of each which process it
belongs to, and what the search of tests/site/at_rest.py says of it. The device's has a program of its own, in device_process/.
"""

import os
import sqlite3
import sys
from pathlib import Path


def _folder():
    """Return the folder of this process's settings."""
    return Path(sys.argv[sys.argv.index("--config") + 1]).parent


def _over_open_body(act):
    from protocol.segment import Segment

    true_open = Segment.open_body

    def open_body(self, *keys):
        plaintext = true_open(self, *keys)
        act(plaintext)
        return plaintext

    Segment.open_body = open_body


def log_opened_body():
    """An office logs what it opened."""
    _over_open_body(lambda plaintext: print("opened", plaintext.hex(), file=sys.stderr, flush=True))


def keep_opened_body():
    """An office keeps what it opened beside the sealed, for another day."""
    path = _folder() / "opened.bin"

    def keep(plaintext):
        with path.open("ab") as file:
            file.write(plaintext)

    _over_open_body(keep)


def log_readings():
    """An office logs the events of a body in words."""
    from office_ingest.receive import body

    true_decode = body.decode_events

    def decode_events(plaintext, count):
        events = true_decode(plaintext, count)
        print(events, file=sys.stderr, flush=True)
        return events

    body.decode_events = decode_events


def keep_keys_in_database():
    """An office copies its keys into its database, so that a backup of it holds them too."""
    with sqlite3.connect(_folder() / "office.db") as database:
        database.execute("ATTACH ? AS keys", (str(_folder() / "keystore.db"),))
        database.execute("CREATE TABLE copied AS SELECT * FROM keys.devices")
    database.close()


def keep_token_in_store():
    """A gateway writes its token into its store."""
    with sqlite3.connect(_folder() / "gateway.db") as database:
        database.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_ms INTEGER)")
        database.execute("CREATE TABLE remembered AS SELECT ? AS token", ((_folder() / "token").read_text(),))
    database.close()


def log_link_secrets():
    """A gateway logs whom it serves, with their secrets."""
    print((_folder() / "links.toml").read_text(), file=sys.stderr, flush=True)


def allow_core_dumps():
    """A gateway leaves its memory when it dies."""
    from protocol import core_dumps

    core_dumps.forbid_core_dumps = lambda: None


def allow_core_dumps_of_office():
    """An office leaves its memory when it dies."""
    allow_core_dumps()


def _again(words, environ):
    """Start this program once more, in the same process, with something that it should not have."""
    os.execve(sys.executable, [sys.executable, "-P", "-m", "tests.planted.at_rest", *words], environ)


def token_in_arguments():
    """A gateway is given its token on its command line."""
    token = (_folder() / "token").read_text().strip()
    if sys.argv[-1] == token:
        sys.argv.pop()
    else:
        _again(["token_in_arguments", *sys.argv[1:], token], dict(os.environ))


def token_in_environment():
    """A gateway is given its token in its environment."""
    if "TOKEN" not in os.environ:
        token = (_folder() / "token").read_text().strip()
        _again(["token_in_environment", *sys.argv[1:]], {**os.environ, "TOKEN": token})


# name -> (process, the words with which the search names it)
FAULTS = {
    "log_opened_body": ("office", ("sealed body in logs/office.log",)),
    "keep_opened_body": ("office", ("sealed body in office/opened.bin",)),
    "log_readings": ("office", ("reading ", " in logs/office.log")),
    "keep_keys_in_database": ("office", ("downlink key", " in backup.db")),
    "keep_token_in_store": ("gateway", ("gateway's token in gateway/gateway.db",)),
    "log_link_secrets": ("gateway", ("link secret", " in logs/gateway.log")),
    "allow_core_dumps": ("gateway", ("link secret", " in cores/")),
    "allow_core_dumps_of_office": ("office", ("downlink key", " in cores/")),
    "token_in_arguments": ("gateway", ("gateway's token in cmdline of gateway",)),
    "token_in_environment": ("gateway", ("gateway's token in environ of gateway",)),
    "keep_open_samples": ("device", ("reading ", "/flash.bin")),
}


def plant(site, name):
    """Let one process of a site start with the fault in."""
    process = FAULTS[name][0]
    if process != "device":
        service = {"gateway": site.gateway, "office": site.office}[process]
        at = service.command.index("-m")
        service.command = [
            *service.command[:at],
            "-m",
            "tests.planted.at_rest",
            name,
            *service.command[at + 2 :],
        ]
        return
    from tests.site.harness import ROOT
    from tools.device import device_command, write_device
    from tools.upy import micropython_environment

    device = site.devices[0]
    words = device_command(write_device(site.folder / device.name / "device.toml"))
    program = next(i for i, word in enumerate(words) if word.endswith("unix_main.py"))
    words[program] = str(ROOT / "tests" / "planted" / "device_process" / f"{name}.py")
    device.command = ["env", f"MICROPYPATH={micropython_environment()['MICROPYPATH']}", *words]


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    globals()[fault]()
    if FAULTS[fault][0] == "gateway":
        from gateway.cli import main
    else:
        from office_ingest.cli import main
    main()
