"""The signing key and the office's database are put back from one backup: neither knows which leaves signed, a gateway does.

Held after `restored`, on its site, once its device is off: what the database forgets of it is judged before.
"""

import asyncio
import shutil

from protocol.diagnostic import NOT_ALLOWED, OK
from protocol.sqlite_backup import back_up
from tests.drills.books import read
from tests.drills.typist import type_lines
from tests.site.harness import stop_services, until
from tools.drills.row import Row, Sign

_GATEWAY_SAW = "SELECT max(leaf) FROM witness"
_SIGNED = "SELECT max(leaf) FROM release_signatures"
_FOUND = "SELECT 1 FROM findings WHERE kind = 'root-restored' AND state = 'open'"
# Of a signature that was made and of which no gateway was told.
MARGIN = 3
WAIT_S = 30.0


def speak_often(site):
    """Let the gateway say which leaves signed each second, from its next start on."""
    config = site.gateway_folder / "gateway.toml"
    config.write_text(config.read_text().replace("[uplink]\n", "[uplink]\nwitness_s = 1.0\n"))


async def run(site, key, number, size, seed, say):
    """Return the row. key: folder of a key that was put back already; number: of a release that waits for a signature."""
    row = Row(
        "restored signing key with its database",
        "both are put back to one copy, unseen; a gateway remembers",
        seed,
        size,
    )
    try:
        await _story(site, key, number, row, say)
    except AssertionError as error:
        row.faults.append(f"story: {error}")
    return row


async def _story(site, key, number, row, say):
    await asyncio.gather(site.office.start(), site.gateway.start())
    await until(lambda: _saw(site) == _signed(site), "the gateway is not told which leaves signed", WAIT_S)
    sign = ["release", "sign", str(number), "--key", str(key)]
    skipped = await type_lines(site, [["release", "skip", str(key), "--margin", str(MARGIN)]])
    _copy(site, key)
    say("the key goes on above what was seen; a backup is taken of it and of the database")
    signed = await type_lines(site, [sign])
    used = _signed(site)
    await until(lambda: _saw(site) == used, "the gateway is not told of the last leaf", WAIT_S)
    await site.office.kill()
    _put_back(site, key)
    before = _signed(site)
    await site.office.start()
    say("both were put back together")
    await until(lambda: _found(site), "the office does not notice", WAIT_S)
    again = await type_lines(site, [sign])
    log = site.people.log.read_text()
    await stop_services(site)
    row.done = {"put back": 2, "releases signed before": 1}
    row.figures = {"leaf used": used, "leaf in the copy": before}
    row.require(skipped + signed == [OK, OK], "control", f"skip and sign ended with {skipped + signed}")
    row.require(before < used, "control", f"the copy knows leaf {before} already")
    is_refused = again == [NOT_ALLOWED] and "release-key-restored" in log
    row.require(is_refused, "together", f"the key signs again: release sign ended with {again}")
    row.signs = [Sign("root-restored", "gateway and office")]
    if is_refused:
        row.signs.append(Sign("release-key-restored", "outstation release sign"))


def _copy(site, key):
    together = site.folder / "together"
    together.mkdir()
    back_up(site.office_folder / "office.db", together / "office.db")
    shutil.copytree(key, together / "key")


def _put_back(site, key):
    for path in site.office_folder.glob("office.db*"):
        path.unlink()
    shutil.copyfile(site.folder / "together" / "office.db", site.office_folder / "office.db")
    shutil.rmtree(key)
    shutil.copytree(site.folder / "together" / "key", key)


def _saw(site):
    return _one(site.gateway_folder / "gateway.db", _GATEWAY_SAW)


def _signed(site):
    return _one(site.office_folder / "office.db", _SIGNED)


def _found(site):
    return _one(site.office_folder / "office.db", _FOUND) == 1


def _one(path, query):
    rows = read(path, query, is_live=True)
    return rows[0][0] if rows else None
