"""People of the office who want more than their role gives them, and a stolen token: each tries everything that it may not do.

A user is tried by the real command line, with the words that would do harm; a token by HTTP on every route of the office's interface
and of its page. Each must be refused, nothing be changed by it, and each refusal stand in the log of acts. Then somebody who can write
the database's file takes a refusal out of that log, past the commands: the auditor's walk must say so.

Which role may do what is asked of the table that tests keep by hand, not of the product's own.
"""

import asyncio
import pwd
import shutil
import sqlite3
import ssl
from contextlib import closing
from os import geteuid

import httpx

from office_ingest.govern.tokens import Tokens
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import NOT_ALLOWED, DiagnosticError
from tests.drills.books import read
from tests.drills.field import SITE, Make, lay_out, verify_file
from tests.drills.typist import type_lines, typist
from tests.office_ingest.test_permissions import MAY
from tools.drills.row import Row, Sign

ROLES = ("viewer", "operator", "author", "approver", "auditor")
# A token may be revoked and its holder go on to ask; what he is told then.
_NO_TOKEN, _NOT_PERMITTED = 401, 403
_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_PAGES = ("/", "/boards", "/findings", "/releases")
# Written by the office itself meanwhile: refusals, when a token was used last, and that its gateway is not heard.
_MAY_CHANGE = ("acts", "tokens", "findings")
_DEVICE, _GATEWAY = "pump", "gateway"


def attempts(folder):
    """Return (what it needs, the words of the command that does the harm). folder: where its files would go."""
    device, out = _DEVICE, str(folder / "loot")
    by = ("--author", "mallory")
    publish = ["release", "publish", str(folder / "bundle"), "--key", str(folder), "--device", device, *by]
    return [
        ("build releases", ["release", "build", "--rules", str(folder / "bundle"), "--device", device, *by]),
        ("build releases", ["release", "revert", "1", *by]),
        ("build releases", publish),
        # An author who approves what he built himself.
        ("sign releases", publish),
        ("sign releases", ["release", "sign", "1", "--key", str(folder)]),
        ("roll out releases", ["release", "roll-out", "1", *by]),
        ("roll out releases", ["release", "halt", "1"]),
        ("make signing keys", ["release", "init-key", out]),
        ("make signing keys", ["release", "succeed", str(folder)]),
        ("replace signing keys", ["release", "root", "replace", "00" * 8]),
        ("replace signing keys", ["release", "root", "retire", "00" * 8]),
        ("give commands", ["command", "set", device, "0", "1"]),
        ("give commands", ["command", "setting", device, "sample_ms", "100"]),
        ("give commands", ["command", "report", device]),
        ("accept gaps", ["office", "gaps", "accept", device, *by, "--yes"]),
        ("repair office", ["office", "repair"]),
        ("encrypt stores", ["office", "store", "encrypt"]),
        ("encrypt stores", ["office", "store", "decrypt"]),
        ("encrypt stores", ["office", "store", "rekey"]),
        ("run office", ["office", "serve"]),
        ("provision gateways", ["office", "gateway", "invite", "mallory", "--site", SITE]),
        ("provision gateways", ["site", "create", "Mallory's"]),
        ("provision devices", ["office", "device", "admit", "00" * 8, "--name", "m", "--like", device]),
        ("provision devices", ["office", "device", "refuse", "00" * 8]),
        ("provision devices", ["office", "device", "move", device, "--site", "elsewhere"]),
        ("provision devices", ["office", "image", "add", str(folder / "bundle")]),
        ("revoke gateways", ["office", "gateway", "revoke", _GATEWAY, "--reason", "m"]),
        ("rotate authority", ["office", "ca", "rotate"]),
        ("revoke devices", ["office", "device", "revoke", device, "--reason", "m", *by, "--yes"]),
        ("rekey devices", ["office", "device", "rekey", device]),
        ("rekey devices", ["office", "device", "relink", device]),
        ("grant views", ["office", "view", "grant", _GATEWAY]),
        ("grant views", ["office", "view", "withdraw", _GATEWAY]),
        ("erase periods", ["office", "view", "erase", device, "--class", "site", "--period", "0", "--yes"]),
        ("create tokens", ["office", "token", "create", "--label", "m", "--role", "admin"]),
        ("revoke tokens", ["office", "token", "revoke", "nobody"]),
        ("read tokens", ["office", "token", "list"]),
        ("read acts", ["office", "acts"]),
    ]


async def run(folder, size, seed, say, *, prepare=lambda site: None):
    """Return two rows: users of the command line, and a stolen token. prepare(site): may change how its processes start."""
    site = await lay_out(folder, [Make(_DEVICE)])
    site.people = typist(site)
    users = Row(
        "hostile office user", "each lesser role tries every command that it may not give", seed, size
    )
    thief = Row(
        "stolen token", "a token of each lesser role is tried on every route, and revoked", seed, size
    )
    prepare(site)
    try:
        await site.office.start()
        before = _sums(site)
        say("users of every role try what they may not")
        await _type_everything(site, users)
        _judge_changes(site, users, before)
        say("a token of every role is stolen")
        await asyncio.to_thread(_ask_everything, site, thief)
        _judge_changes(site, thief, before)
        if await site.office.stop() != 0:
            raise site.office.failed("the office did not end in order")
        say("somebody changes the log of acts by hand")
        _tamper(site, users)
    except (AssertionError, DiagnosticError, httpx.HTTPError) as error:
        users.faults.append(f"story: {type(error).__name__}: {error}")
    finally:
        site.people.send_kill()
        await site.close()
    return [users, thief]


def _books(site):
    return site.office_folder / "office.db"


def _sums(site):
    rows = read(_books(site), "SELECT name, rows, sum FROM row_sums")
    return {name: (count, digest) for name, count, digest in rows if name not in _MAY_CHANGE}


def _judge_changes(site, row, before):
    changed = [name for name, held in _sums(site).items() if held != before.get(name)]
    row.require(not changed, "changed", f"tables that somebody changed: {', '.join(changed)}")


# users


async def _type_everything(site, row):
    config = site.office_folder / "office.toml"
    own = config.read_text()
    (site.folder / "bundle").write_bytes(b"no bundle: nobody may come so far as to read it")
    tried, let = {}, []
    for role in ROLES:
        _give_role(config, own, role)
        wanted = [one for one in attempts(site.folder) if role not in MAY[one[0]].split()]
        codes = await type_lines(site, [words for _, words in wanted])
        for (needs, words), code in zip(wanted, codes, strict=True):
            tried[role, needs] = tried.get((role, needs), 0) + 1
            if code != NOT_ALLOWED:
                let.append(f"{role}: {' '.join(words[:3])} ended with {code}")
    config.write_text(own)
    row.done = {
        "roles": len(ROLES),
        "attempts": sum(tried.values()),
        "permissions": len({n for _, n in tried}),
    }
    row.require(not let, "refused", "; ".join(let[:5]))
    _judge_acts(site, row, "command", tried)
    row.figures["loot"] = sum(1 for _ in site.folder.glob("loot*"))
    row.require(row.figures["loot"] == 0, "loot", "somebody made keys")


def _give_role(config, own, role):
    name = pwd.getpwuid(geteuid()).pw_name
    config.write_text(f'{own}\n[people.roles]\n"{name}" = "{role}"\n')


def _judge_acts(site, row, way, tried):
    """Every (role, permission) that was refused stands in the log, under its way."""
    rows = read(
        _books(site),
        "SELECT role, verb || ' ' || resource, count(*) FROM acts WHERE way = ? AND outcome = 'refused' GROUP BY 1, 2",
        (way,),
    )
    held = {(role, needs) for role, needs, _ in rows}
    row.figures["refusals_in_the_log"] = sum(count for *_, count in rows)
    missing = sorted(set(tried) - held)
    row.require(not missing, "recorded", f"no refusal in the log of acts: {missing[:5]}")
    for role in ROLES:
        count = sum(one == role for one, _ in held & set(tried))
        row.signs += [Sign(f"{role}: {count} permissions wanted", f"log of acts, {way}")] if count else []


# a stolen token


def _ask_everything(site, row):
    with closing(SqliteStore.open(_books(site))) as store:
        tokens = {role: _token(store, role) for role in ROLES}
    trust = ssl.create_default_context(cafile=str(site.gateway_folder / "office-ca.pem"))
    wrong, tried, asked = [], {}, 0
    with httpx.Client(verify=trust, base_url=f"https://127.0.0.1:{site.office_port}", timeout=20) as office:
        routes = _routes(office)
        for role, (shown, _) in tokens.items():
            for method, path, said in routes:
                answer = office.request(method, path, headers=_bearer(shown), content=b"")
                asked += 1
                lacking = _lacking(said, role)
                if lacking and answer.status_code in (_NO_TOKEN, _NOT_PERMITTED):
                    if lacking != "gateway":
                        tried[role, lacking] = 1
                elif lacking:
                    wrong.append(f"{role} {method} {path}: {answer.status_code}")
            asked += _ask_pages(site, shown, role, wrong)
        _revoke(site, tokens)
        for role, (shown, _) in tokens.items():
            for method, path, _said in routes:
                code = office.request(method, path, headers=_bearer(shown), content=b"").status_code
                asked += 1
                if code not in (_NO_TOKEN, _NOT_PERMITTED):
                    wrong.append(f"revoked {role} {method} {path}: {code}")
    row.done = {"tokens": len(tokens), "requests": asked, "routes": len(routes)}
    row.require(not wrong, "tokens", "; ".join(wrong[:5]))
    row.require(tried and len(routes) >= 8, "tried", "no route was refused to any role")
    _judge_acts(site, row, "http", tried)


def _token(store, role):
    now_ms = read_clock()
    return Tokens(store).create(
        label=f"stolen {role}", role=role, sites=[], made_by="drill", now_ms=now_ms, days=1
    )


def read_clock():
    """Return the wall time in milliseconds."""
    from office_ingest.clock import SystemClock

    return SystemClock().wall_ms()


def _bearer(shown):
    return {"Authorization": f"Bearer {shown}"}


def _routes(office):
    """Return (method, path, what it declares) of every route that asks who calls, as the office's own document has them."""
    paths = office.get("/v1/openapi.json").json()["paths"]
    found = []
    for path, methods in paths.items():
        real = path.replace("{number}", "1").replace("{digest}", "00" * 32)
        found += [
            (method.upper(), real, one.get("x-permission"))
            for method, one in methods.items()
            if one.get("x-permission") != "open"
        ]
    return found


def _lacking(said, role):
    """Return the words of what a role lacks for a route, "gateway" for a gateway's, None where it may."""
    if said == "gateway":
        return "gateway"
    return next((" ".join(one) for one in said or [] if role not in MAY[" ".join(one)].split()), None)


def _ask_pages(site, shown, role, wrong):
    """Try to change something through the page; return how often."""
    with httpx.Client(base_url=f"http://127.0.0.1:{site.page_port}", timeout=20) as page:
        for path in _PAGES:
            for method in _METHODS:
                code = page.request(method, path, headers=_bearer(shown)).status_code
                if code < 400:
                    wrong.append(f"{role} {method} {path} of the page: {code}")
    return len(_PAGES) * len(_METHODS)


def _revoke(site, tokens):
    with closing(SqliteStore.open(_books(site))) as store:
        for _, made in tokens.values():
            Tokens(store).revoke(made.id, read_clock())


# the log itself


def _tamper(site, row):
    """Take one refusal out of a copy of the database, with the triggers that guard it; the auditor's walk must say so."""
    copy = site.folder / "changed.db"
    shutil.copyfile(_books(site), copy)
    code, document = verify_file(copy)
    row.require(code == 0, "honest", f"verify finds fault with what nobody changed: {document.get('faults')}")
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        try:
            connection.execute("DELETE FROM acts WHERE outcome = 'refused'")
            row.require(False, "guarded", "the database lets acts be deleted")
        except sqlite3.DatabaseError:
            row.signs.append(Sign("an act is deleted", "the database"))
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        gone = connection.execute(
            "DELETE FROM acts WHERE number = (SELECT max(number) FROM acts WHERE outcome = 'refused')"
        ).rowcount
    code, _ = verify_file(copy)
    row.require(gone == 1 and code != 0, "audit", "verify does not see that an act is gone")
    row.signs.append(Sign("an act is gone", "outstation verify"))
