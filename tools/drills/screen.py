"""What a person sees of the drills: a line while they run, then a table and every fault in full."""

from collections.abc import Iterable

from rich.table import Table

from tools.drills.row import Row, Sign


def table(rows: Iterable[Row]) -> Table:
    """Return the table of all rows."""
    shown = Table(title="drills", header_style="bold")
    for name in ("drill", "what was done", "detected"):
        shown.add_column(name, overflow="fold")
    for name in ("lost", "doubled", "forged", "s"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for row in rows:
        shown.add_row(
            row.name,
            _pairs(row.done),
            "\n".join(map(sign_text, row.signs)) or "harmless",
            str(row.lost),
            str(row.doubled),
            str(row.forged),
            f"{row.seconds:.0f}",
            "ok" if row.is_good else "FAILED",
        )
    return shown


def sign_text(sign: Sign) -> str:
    """Return a sign as people read it."""
    after = "" if sign.heartbeats is None else f", {sign.heartbeats} heartbeats later"
    return f"{sign.what} by {sign.by}{after}"


def figure_lines(rows: Iterable[Row]) -> list[str]:
    """Return a line of figures for each row that measured any."""
    return [f"{row.name}: {_pairs(row.figures)}" for row in rows if row.figures]


def fault_lines(rows: Iterable[Row]) -> list[str]:
    """Return each fault with its drill, and the command that repeats it."""
    lines = []
    for row in rows:
        lines += [f"{row.name}: {fault}" for fault in row.faults]
        if row.faults:
            lines.append(f"  to repeat: {row.command}")
    return lines


def _pairs(items: dict) -> str:
    # A curve is for the picture.
    return ", ".join(
        f"{value:,} {name}" if isinstance(value, int) else f"{name} {value}"
        for name, value in items.items()
        if not isinstance(value, list)
    )
