"""The commands: run, status, devices, gaps; for people and for machines."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

from gateway.cli import _down_text
from office_ingest.storage.sqlite import SqliteStore
from protocol.command import Command, seal_command
from protocol.keys import downlink_key
from protocol.manifest import MODEL
from tests.agent.release_bench import make_release
from tests.gateway.site import (
    DOWNLINK,
    ROOT,
    DeviceDouble,
    GatewayProcess,
    device_id,
    secret_of,
    segment,
    until,
    write_private,
)
from tools.ports import free_port


def outstation(*words):
    """Run one command of the gateway; return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_status_and_stop(files):
    """The gateway says when it is ready, is looked into while it runs and after it, and SIGTERM ends it with exit 0."""
    port = free_port(socket.SOCK_DGRAM)
    path = files(coap_port=port)
    gateway = GatewayProcess(path)
    assert gateway.ready == f"listening on coap://127.0.0.1:{port}\n"

    async def send():
        device = DeviceDouble(port)
        for number in (0, 2):
            await device.send(segment(number))
        await device.beat(routine=(0, 2, b"x" * 32))
        device.close()

    asyncio.run(send())
    second = outstation("run", "--config", path)
    assert second.returncode == 75
    assert "another gateway runs" in second.stderr

    running = outstation("status", "--config", path, "--json")
    document = json.loads(running.stdout)
    assert running.returncode == 1
    assert (document["schema"], document["version"]) == ("outstation.gateway-status", 1)
    assert document["running"] is True
    assert document["waiting"] == {"segments": 2, "heartbeats": 1}
    (device,) = document["devices"]
    assert device["device"] == device_id().hex()
    lane = next(lane for lane in device["lanes"] if lane["lane"] == "routine")
    assert {key: lane[key] for key in ("custody", "receipted", "waiting", "gaps", "forks")} == {
        "custody": 1,
        "receipted": 0,
        "waiting": 2,
        "gaps": 1,
        "forks": 0,
    }
    assert 0 <= device["heard_ago_s"] < 60

    assert gateway.terminate() == 0, gateway.errors
    stopped = json.loads(outstation("status", "--config", path, "--json").stdout)
    assert stopped["running"] is False
    assert stopped["devices"][0]["lanes"] == device["lanes"]
    gaps = outstation("gaps", "--config", path, "--json")
    assert json.loads(gaps.stdout)["gaps"] == [
        {"device": device_id().hex(), "lane": "routine", "epoch": 0, "start": 1, "stop": 2}
    ]
    text = outstation("status", "--config", path).stdout
    assert "gateway gw-1 at north: stopped" in text
    assert "finding: device" in text
    assert device_id().hex() in outstation("devices", "--config", path).stdout


def test_what_waits_below_is_shown(site):
    """`devices` says which release each device is to have and how many commands wait; `status` says what is held of it."""
    release, bodies = make_release(7, [b"model" * 200], kinds=[MODEL])
    sealed = seal_command(Command(device_id(), 4, 1 << 50, [2]), downlink_key(DOWNLINK, "command"))

    async def body(running):
        running.office.commands[device_id()] = [sealed]
        await running.offer(release, bodies)
        await running.device(2).beat(counter=1)
        await running.restart()
        words = ("--config", running.path)
        ask = asyncio.to_thread
        return [
            (await ask(outstation, "devices", *words)).stdout,
            json.loads((await ask(outstation, "devices", *words, "--json")).stdout)["devices"],
            (await ask(outstation, "status", *words)).stdout,
            json.loads((await ask(outstation, "status", *words, "--json")).stdout)["down"],
        ]

    table, rows, text, down = site(body)
    assert table.splitlines()[0].split() == [
        "device",
        "epoch",
        "boot",
        "heartbeat",
        "release",
        "commands",
        "heard",
    ]
    assert [(row["device"], row["release"], row["commands"]) for row in rows] == [
        (device_id(1).hex(), 7, 1),
        (device_id(2).hex(), None, 0),
    ]
    assert "down    releases held: 7 (wanted: 7 on 1); 1 commands wait" in text
    assert down == {
        "releases": [7],
        "wanted": {"7": 1},
        "lacking": 0,
        "commands_waiting": 1,
        "commands_refused": 0,
    }


def test_refused_commands_are_shown():
    """`status` says how many commands of the office find no room here."""
    down = {"releases": [7], "wanted": {}, "lacking": 0, "commands_waiting": 64, "commands_refused": 2}

    assert _down_text(down) == "releases held: 7; 64 commands wait, 2 find no room"


def test_links_are_read_again_on_sighup(files):
    """A device that is added to links.toml is known after SIGHUP; a broken file changes nothing and is said."""
    port = free_port(socket.SOCK_DGRAM)
    path = files(coap_port=port, devices=1)
    gateway = GatewayProcess(path)
    entry = f'[[device]]\nid = "{device_id(2).hex()}"\nkid = "02"\nsecret = "{secret_of(2).hex()}"\n'
    links = path.parent / "links.toml"
    before = links.read_text()

    async def main():
        write_private(links, "broken")
        gateway.process.send_signal(signal.SIGHUP)
        first = DeviceDouble(port)
        await first.send(segment(0))
        write_private(links, before + entry)
        gateway.process.send_signal(signal.SIGHUP)
        second = DeviceDouble(port, 2)
        await until(gateway.is_running, "still running")
        for _ in range(50):
            try:
                await second.send(segment(0, device=device_id(2)))
                break
            except Exception:  # noqa: BLE001 - the signal is handled a moment later
                await asyncio.sleep(0.05)
        await second.send(segment(1, device=device_id(2)))
        first.close()
        second.close()

    asyncio.run(main())
    assert gateway.terminate() == 0
    assert "settings-syntax" in gateway.errors


def test_port_in_use_is_said_in_one_sentence(files):
    """A port that another process has is exit 3 and one line, not a traceback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        path = files(coap_port=taken.getsockname()[1])
        result = outstation("run", "--config", path)

    assert result.returncode == 3
    assert "error[address-unusable]" in result.stderr
    assert "Traceback" not in result.stderr


def test_commands_without_a_store_say_what_to_do(files):
    """Before the first start there is nothing to look into; the message says how to start."""
    path = files()

    result = outstation("status", "--config", path, "--json")

    assert result.returncode == 3
    assert json.loads(result.stdout)["diagnostics"][0]["code"] == "file-unusable"


def test_wrong_settings_are_all_named(files):
    """`run` with a broken file names the mistakes and ends with 2; no traceback."""
    path = files()
    path.write_text("[gateway]\nsit = 1\n")

    result = outstation("run", "--config", path)

    assert result.returncode == 2
    assert "did you mean site?" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_command_has_help():
    """--help works for the group and each command."""
    for words in ([], ["run"], ["status"], ["devices"], ["gaps"]):
        result = outstation(*words, "--help")
        assert result.returncode == 0
        assert "Usage:" in result.stdout


def office_store(path):
    """Make what an office makes when it starts."""
    SqliteStore.create(path).close()


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (office_store, 2, "[gateway] database"),
        (lambda path: path.write_bytes(b"my thesis, in the only copy\n" * 400), 2, "[gateway] database"),
        (lambda path: path.write_bytes(b""), 3, "there is no store yet"),
    ],
)
def test_check_promises_no_repair_of_what_is_no_store(files, make, code, says):
    """`check` says of another program's file what `run` says of it, and of an empty one that there is no store yet."""
    path = files()
    database = path.parent / "gateway.db"
    make(database)
    before = database.read_bytes()
    result = outstation("check", "--config", path)

    assert (result.returncode, result.stdout) == (code, "")
    assert says in result.stderr
    assert database.read_bytes() == before


def test_check_of_a_store_whose_first_start_was_cut_finds_nothing(files):
    """A database without a table is the beginning of a store, not a damaged one."""
    path = files()
    with contextlib.closing(sqlite3.connect(path.parent / "gateway.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    result = outstation("check", "--config", path)

    assert (result.returncode, result.stdout) == (0, "the store is as it was written\n")
