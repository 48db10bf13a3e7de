"""What each page shows, as plain values: for its template and for JSON alike. None: there is no such thing."""

from typing import Any

from starlette.datastructures import QueryParams

from office_ingest.govern.rollout import rules_digest
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.prove.explain import explain_decision
from office_ingest.show.boards import boards_view, waiting_count
from office_ingest.show.device import device_view
from office_ingest.show.order import SORTS, Asked
from office_ingest.show.reading_room import ReadingRoom
from office_ingest.storage.downward import Downward
from protocol.diagnostic import DiagnosticError
from protocol.manifest import COHORT, DEVICES

PAGE_ROWS = 50
_ID_DIGITS = 16


def fleet(room: ReadingRoom, _path: dict[str, str], query: QueryParams, _now_ms: int) -> dict[str, Any]:
    """Return the devices that were asked for, a page of them, and the whole at a glance."""
    snapshot = room.snapshot
    asked = {
        "q": query.get("q", "").strip()[:64],
        "state": query.get("state", ""),
        "site": query.get("site", ""),
        "sort": query.get("sort", "state"),
    }
    if asked["sort"] not in SORTS:
        asked["sort"] = "state"
    found = room.orders.look(snapshot, Asked(**asked))
    pages = max(1, -(-len(found) // PAGE_ROWS))
    at = min(_natural(query.get("page", ""), 1), pages)
    return {
        "asked": {**asked, "sort": "" if asked["sort"] == "state" else asked["sort"]},
        "sort": asked["sort"],
        "rows": [row._asdict() for row in found[(at - 1) * PAGE_ROWS : at * PAGE_ROWS]],
        "found": len(found),
        "at": at,
        "pages": pages,
        "total": len(snapshot.rows),
        "counts": snapshot.states,
        "bundles": [
            {"version": version, "digest": digest, "devices": count}
            for (version, digest), count in snapshot.bundles[:8]
        ],
        "sites": snapshot.sites,
        "events": snapshot.events,
        "decisions": snapshot.decisions,
        "boards": waiting_count(room.keystore.connection),
    }


def _natural(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 8 and int(text) else otherwise


def device(
    room: ReadingRoom, path: dict[str, str], _query: QueryParams, now_ms: int
) -> dict[str, Any] | None:
    """Return one device."""
    identity = _identity(path["device"])
    if identity is None:
        return None
    view = device_view(room.connection, room.keystore, room.devices, identity, now_ms, room.energy)
    if view is None:
        return None
    place = room.snapshot.places.get(identity)
    return {**view, "state": "waiting" if place is None else room.snapshot.rows[place].state}


def _identity(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if len(text) == _ID_DIGITS else None
    except ValueError:
        return None


def explain(
    room: ReadingRoom, path: dict[str, str], _query: QueryParams, _now_ms: int
) -> dict[str, Any] | None:
    """Return one decision and everything that led to it."""
    identity, order = _identity(path["device"]), path["order"]
    if identity is None or not (order.isascii() and order.isdigit()) or len(order) > 18:
        return None
    try:
        said = explain_decision(room.connection, room.keystore, identity.hex(), int(order))
    except DiagnosticError:
        return None
    name = room.connection.execute("SELECT name FROM devices WHERE id = ?", (identity,)).fetchone()[0]
    return {"name": name, "said": said}


def findings(room: ReadingRoom, _path: dict[str, str], query: QueryParams, _now_ms: int) -> dict[str, Any]:
    """Return findings, gaps, forks and quarantine."""
    return room.findings.look(room.connection, cleared=query.get("all") == "1")


def boards(room: ReadingRoom, _path: dict[str, str], _query: QueryParams, _now_ms: int) -> dict[str, Any]:
    """Return boards that wait for a yes."""
    return boards_view(room.connection, room.keystore.connection)


def releases(room: ReadingRoom, _path: dict[str, str], _query: QueryParams, _now_ms: int) -> dict[str, Any]:
    """Return every release, the newest first, and what is rolled out."""
    store = room.store()
    rollouts = {rollout.number: rollout for rollout in Downward(store).rollouts()}
    running = {digest: count for (_, digest), count in room.snapshot.bundles}
    return {
        "releases": [
            {
                **_release(held),
                "rollout": _state(rollouts.get(held.number)),
                "running": running.get(rules_digest(held.manifest) or b"", 0),
            }
            for held in Shelf(store).all()[:200]
        ]
    }


def release(
    room: ReadingRoom, path: dict[str, str], query: QueryParams, _now_ms: int
) -> dict[str, Any] | None:
    """Return one release and how each device that it is meant for stands to it."""
    number = _natural(path["number"], 0)
    store = room.store()
    found = room.standings.look(store, room.snapshot, number)
    if found is None:
        return None
    held, standing = found
    page = standing.page(store, room.snapshot, _natural(query.get("page", ""), 1), PAGE_ROWS)
    rollout = {rollout.number: rollout for rollout in Downward(store).rollouts()}.get(number)
    return {
        "release": _release(held),
        "rollout": rollout._asdict() if rollout else None,
        "meant": page.meant,
        "running": page.running,
        "failed": page.failed,
        "rows": [
            {
                "device": one.device,
                "name": one.name,
                "site": one.site,
                "runs": one.runs,
                "failed": has_failed,
                "version": one.version,
                "digest": one.digest,
                "heard_ms": one.heard_ms,
                "why": one.why,
            }
            for one, has_failed in page.rows
        ],
        "at": page.at,
        "pages": page.pages,
    }


def _state(rollout: Any) -> str:
    return rollout.state if rollout else "not rolled out"


def _release(held: Shelved) -> dict[str, Any]:
    kind, named = held.manifest.target
    if kind == DEVICES:
        target = f"{len(named)} devices"
    else:
        target = f"{'cohort' if kind == COHORT else 'kind'} {named}"
    return {
        "number": held.number,
        "state": held.state,
        "target": target,
        "hardware": held.manifest.hardware,
        "author": held.manifest.provenance[0],
        "made_ms": held.manifest.provenance[1],
        "until_ms": held.manifest.validity[1],
        "digest": held.digest,
        "rules": rules_digest(held.manifest),
        "widens": held.widens,
        "signers": [
            {"root": one.root, "leaf": one.leaf, "signed_ms": one.signed_ms} for one in held.signatures
        ],
        "signers_needed": held.signers_needed,
    }


def docs(_room: ReadingRoom, _path: dict[str, str], _query: QueryParams, _now_ms: int) -> dict[str, Any]:
    """Return nothing of the database: the site itself knows the interface's document."""
    return {}
