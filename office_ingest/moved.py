"""What a device moved lately, by day and link, beside what its link may move: as the page, the command line and JSON show it. Read only.

Sent and received are the device's here: what gateways received it has sent.

Source: SPEC.md section 7 (Usage).
"""

import sqlite3
from datetime import UTC, datetime
from typing import Any

from office_ingest.energy import EnergySection, Moved, energy_text, estimated_uj
from office_ingest.storage.usage import DayOfLink, budget_of, days_of
from protocol.usage import DAY_MS, LINK_NAMES

DAYS_SHOWN = 14
_STEP = 1000
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def moved_view(
    connection: sqlite3.Connection,
    device: bytes,
    now_ms: int,
    model: EnergySection,
    days: int = DAYS_SHOWN,
) -> dict[str, Any]:
    """Return the newest days of a device, today last, a day without traffic too; and its allowance, None for none.

    estimated_energy_uj: microjoules, by the model; what the radio took, not the device.
    """
    today = now_ms // DAY_MS
    rows = days_of(connection, device, today - days + 1, today)
    by_day: dict[int, list[DayOfLink]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    return {
        "day_bytes": budget_of(connection, device),
        "moved": [_day(day, by_day.get(day, []), model) for day in range(today - days + 1, today + 1)],
    }


def _day(day: int, rows: list[DayOfLink], model: EnergySection) -> dict[str, Any]:
    links = [_link(row, model) for row in rows]
    return {
        "day": datetime.fromtimestamp(day * DAY_MS // 1000, UTC).strftime("%Y-%m-%d"),
        "links": links,
        "bytes": sum(link["sent_bytes"] + link["received_bytes"] for link in links),
        "estimated_energy_uj": sum(link["estimated_energy_uj"] for link in links),
    }


def _link(row: DayOfLink, model: EnergySection) -> dict[str, Any]:
    datagrams = row.received_datagrams + row.sent_datagrams
    moved = Moved(row.received_bytes, row.sent_bytes, datagrams)
    return {
        "link": LINK_NAMES[row.link] if row.link < len(LINK_NAMES) else f"link {row.link}",
        "sent_bytes": moved.sent_bytes,
        "received_bytes": moved.received_bytes,
        "datagrams": datagrams,
        "estimated_energy_uj": estimated_uj(model, row.link, moved),
    }


def bytes_text(count: int) -> str:
    """Return a number of bytes as a person reads it, in thousands: 999 bytes, 12.3 kB."""
    if count < _STEP:
        return f"{count} {_UNITS[0]}"
    tenths, unit = count * 10 // _STEP, 1
    while tenths >= _STEP * 10 and unit + 1 < len(_UNITS):
        tenths, unit = tenths // _STEP, unit + 1
    return f"{tenths // 10}.{tenths % 10} {_UNITS[unit]}"


def budget_words(view: dict[str, Any]) -> str:
    """Return in a sentence what was moved today, of what."""
    moved, most = view["moved"][-1]["bytes"], view["day_bytes"]
    said = f"{bytes_text(moved)} moved today"
    if most is None:
        return f"{said}; it says of no allowance"
    return f"{said}, {moved * 100 // most} % of the {bytes_text(most)} that it may move a day"


def lines_of(view: dict[str, Any]) -> list[str]:
    """Return a table of it for a terminal, the newest day first."""
    lines = [budget_words(view)]
    if not any(day["links"] for day in view["moved"]):
        return [f"{lines[0]}; no gateway has counted anything yet"]
    lines.append("day, UTC    link    sent        received    datagrams  estimated energy")
    lines += [_line(day["day"], link) for day in reversed(view["moved"]) for link in day["links"]]
    return lines


def _line(day: str, link: dict[str, Any]) -> str:
    sent, received = bytes_text(link["sent_bytes"]), bytes_text(link["received_bytes"])
    energy = energy_text(link["estimated_energy_uj"])
    return f"{day}  {link['link']:6}  {sent:10}  {received:10}  {link['datagrams']:9}  {energy}"
