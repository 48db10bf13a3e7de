"""What is put back from a backup, and must not be used a second time: the office's authority and signing key, and a gateway's whole card.

Backups are taken, and life goes on: a release is signed, a code makes a machine a gateway, another gateway is revoked, devices are answered.
Then all three copies are put back, and nobody says so. What was used must stay used: no leaf of the key signs again, the code
makes no second machine a gateway, the revoked one stays out, and no answer of the gateway is sealed under a number of before.
"""

import asyncio
import shutil
import ssl
import time
from contextlib import closing

import httpx

from gateway.enrol import Place, enrol
from office_ingest.govern.gateway_cli import opened
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import make_key
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import NOT_ALLOWED, OK, DiagnosticError
from protocol.enrolment import IDENTITY_PATH
from protocol.sqlite_backup import back_up
from tests.drills import together
from tests.drills.books import count, read
from tests.drills.field import SITE, Make, lay_out
from tests.drills.judgement import judge_events, judge_verify
from tests.drills.tap import Tap
from tests.drills.typist import type_lines, typist
from tests.site.harness import stop_services, until, waiting
from tools.drills.row import Row, Sign
from tools.site_proof import prove_site

RUNS, REVOKED, INVITED = "gate", "lost", "spare"
BY = "drill"
# Segments of the device in each of the three lives of the gateway's card.
SEGMENTS = {"ci": 4, "soak": 200}


async def run(folder, size, seed, say, *, prepare=lambda site: None, drain_ms=40_000):
    """Return three rows: the office's files that were put back, the gateway's card, and then the signing key with the office's database. prepare(site): may change how its processes start."""
    tap = Tap()
    site = await lay_out(folder, [Make("pump", per_s=8, seal_s=0.5, drain_ms=drain_ms)], keep=tap)
    # What provisioning wrote for a gateway with a token: this one is enrolled.
    shutil.rmtree(site.gateway_folder)
    site.people = typist(site)
    rows = []
    office = Row("restored authority and signing key", "copies of before are put back, unseen", seed, size)
    card = Row("restored gateway card", "all files of a gateway are put back to a copy, unseen", seed, size)
    prepare(site)
    told = {}
    try:
        await _story(site, tap, SEGMENTS[size], say, told)
        _judge_office(office, site, told)
        _judge_card(card, site, tap, told)
        rows.append(await together.run(site, _key(site), 3, size, seed, say))
    except (AssertionError, DiagnosticError, httpx.HTTPError) as error:
        office.faults.append(f"story: {type(error).__name__}: {error}")
    finally:
        site.people.send_kill()
        await site.close()
    return [office, card, *rows]


async def _story(site, tap, segments, say, told):
    await asyncio.gather(site.office.start(), asyncio.to_thread(_make_key, site))
    say("two gateways are enrolled, and a third is invited")
    codes = await asyncio.to_thread(_invite, site)
    for name in (RUNS, REVOKED):
        await asyncio.to_thread(enrol, _place(site, name), codes[name])
    together.speak_often(site)
    await asyncio.gather(site.gateway.start(), site.devices[0].start())
    build = ["release", "build", "--rules", str(site.devices[0].folder / "bundle.cbor")]
    build += ["--device", "pump", "--author", BY]
    told["before"] = await type_lines(site, [build, _sign(site, 1), build])
    await _more(site, segments)
    await _take_backups(site)
    say("backups are taken, and life goes on")
    told["answers"] = [tap.answers]
    await asyncio.gather(asyncio.to_thread(_go_on, site, codes), _more(site, segments))
    told["before"] += await type_lines(site, [_sign(site, 2), build])
    told["answers"].append(tap.answers)
    await _put_back(site)
    say("all of them were put back")
    told["code"] = await asyncio.to_thread(_use_code, site, codes[INVITED])
    told["status"] = await asyncio.to_thread(_ask_as, site, REVOKED)
    await _more(site, segments)
    told["answers"].append(tap.answers)
    told["signed"] = (await type_lines(site, [_sign(site, 3)]))[0]
    await site.devices[0].stop(2, 60.0)
    await until(lambda: not waiting(site), "the gateway's outbox is not empty", 40.0)
    await stop_services(site)


# the people of the office


def _key(site):
    return site.office_folder / "key"


def _make_key(site):
    now_ms = int(time.time() * 1000)
    public, _, envelope = make_key(_key(site), now_ms=now_ms, tree=5, one_time=3)
    with closing(SqliteStore.open(site.office_folder / "office.db")) as store:
        Shelf(store).add_root(public, envelope, now_ms)


def _sign(site, number):
    return ["release", "sign", str(number), "--key", str(_key(site))]


def _invite(site):
    with opened(site.office_folder / "office.toml") as office:
        return {name: office.enrolment.invite(name, SITE, BY, 60) for name in (RUNS, REVOKED, INVITED)}


def _place(site, name):
    host, port = site.uplink.address
    folder = site.gateway_folder if name == RUNS else site.folder / name
    return Place(folder, f"https://{host}:{port}", port=site.gateway_port)


def _go_on(site, codes):
    """Use the code, and revoke a gateway."""
    enrol(_place(site, INVITED), codes[INVITED])
    with opened(site.office_folder / "office.toml") as office:
        office.enrolment.revoke(REVOKED, BY, "stolen")


def _use_code(site, code):
    """Let another machine show a code that was used; return what it is told, or that it is a gateway."""
    try:
        return f"it is gateway {enrol(_place(site, 'mallory'), code)}"
    except DiagnosticError as error:
        return error.diagnostics[0].message


def _ask_as(site, name):
    """Return the status and the kind of problem that an enrolled gateway gets."""
    place = _place(site, name)
    trust = ssl.create_default_context(cafile=str(place.folder / "office-ca.pem"))
    trust.load_cert_chain(place.identity)
    answer = httpx.get(f"{place.office}{IDENTITY_PATH}", verify=trust, timeout=20)
    return f"{answer.status_code} {answer.json().get('type', '').rpartition(':')[2]}"


# backups


async def _more(site, segments):
    """Wait until the office holds so many segments more of the device."""
    books, device = site.office_folder / "office.db", site.device_ids[0]
    enough = count(books, "segments", device, is_live=True) + segments
    await until(
        lambda: count(books, "segments", device, is_live=True) >= enough, "the device is not heard", 60.0
    )


async def _take_backups(site):
    """Copy the running office's authority as its page says, the signer's folder, and the card of a gateway that is off meanwhile."""
    backup = site.folder / "backup"
    backup.mkdir()
    back_up(site.office_folder / "authority.db", backup / "authority.db")
    shutil.copytree(_key(site), backup / "key")
    await site.gateway.kill()
    shutil.copytree(site.gateway_folder, backup / "card")
    await site.gateway.start()


async def _put_back(site):
    backup = site.folder / "backup"
    await asyncio.gather(site.office.kill(), site.gateway.kill())
    for path in site.office_folder.glob("authority.db*"):
        path.unlink()
    shutil.copyfile(backup / "authority.db", site.office_folder / "authority.db")
    (site.office_folder / "authority.db").chmod(0o600)
    for name, folder in (("key", _key(site)), ("card", site.gateway_folder)):
        shutil.rmtree(folder)
        shutil.copytree(backup / name, folder)
    await asyncio.gather(site.office.start(), site.gateway.start())


# judgement


def _judge_office(row, site, told):
    row.done = {"put back": 3, "releases signed before": 2, "codes used before": 3, "gateways revoked": 1}
    row.require(told["before"] == [OK] * 5, "control", f"the commands of before ended with {told['before']}")
    leaves = read(site.office_folder / "office.db", "SELECT root, leaf FROM release_signatures")
    row.figures["leaves"] = sorted(leaf for _, leaf in leaves)
    said = "release-key-restored" if "release-key-restored" in site.people.log.read_text() else ""
    row.require(
        told["signed"] == NOT_ALLOWED and said != "",
        "leaf",
        f"the key that was put back was not refused for it: release sign ended with {told['signed']}",
    )
    is_refused = "the code was used already" in told["code"]
    row.require(is_refused, "code", f"a second machine showed a code that was used: {told['code']}")
    is_out = told["status"] == "403 gateway-revoked"
    row.require(is_out, "revoked", f"a gateway that was revoked is told {told['status']}")
    kinds = [kind for (kind,) in read(site.office_folder / "office.db", _OPEN)]
    row.require(
        "gateway-revoked" in kinds, "noticed", f"the office has no finding of an older authority: {kinds}"
    )
    row.signs = [
        Sign(what, by)
        for holds, what, by in (
            (said, said, "outstation release sign"),
            (is_refused, "code used already", "office"),
            (is_out, "gateway revoked", "office"),
            ("gateway-revoked" in kinds, "finding gateway-revoked", "office"),
        )
        if holds
    ]


_OPEN = "SELECT DISTINCT kind FROM findings WHERE state = 'open'"


def _judge_card(row, site, tap, told):
    first, second, third = told["answers"]
    row.done = {"put back": 1, "answers before": second, "answers after": third - second}
    row.figures = {"requests": tap.requests, "answers": tap.answers}
    row.require(
        0 < first < second < third,
        "control",
        f"answers at the copy, at the loss, after it: {told['answers']}",
    )
    row.require(tap.reused == 0, "nonces", f"{tap.reused} messages under keys and numbers of another one")
    proof = prove_site(site)
    judge_events(row, proof)
    row.figures["events_recorded"] = proof.figures["events_recorded"]
    judge_verify(row, site)
