"""The figures of a run as lines for people, those that a board is chosen by; build/hil.json has all."""

from collections.abc import Iterator
from typing import Any

# What a line is about -> the figures that it needs, each a path into build/hil.json's `figures`, and the line.
_LINES = {
    "event to actuation": (
        (
            "event_to_actuation.median_instructions",
            "event_to_actuation.p99_instructions",
            "event_to_actuation.acts",
        ),
        "{:,} instructions in the middle, {:,} for 99 in a hundred, of {:,} acts",
    ),
    "an event": (
        ("events.instructions_an_event", "instructions.seal"),
        "{:,} instructions, a full seal {:,}",
    ),
    "a rule": (
        ("rule_against_hand_written", "rule_against_closures"),
        "{} times what one written by hand takes, {} times what closures take",
    ),
    "flash, sealed each": (
        (
            "flash_an_event.journal_seal_each.bytes_an_event_byte",
            "flash_an_event.journal_seal_each.erases_an_event",
        ),
        "{:.1f} bytes an event byte, {:.3f} erases an event",
    ),
    "littlefs, flushed each": (
        (
            "flash_an_event.littlefs_flush_each.bytes_an_event_byte",
            "flash_an_event.littlefs_flush_each.erases_an_event",
        ),
        "{:.1f} bytes an event byte, {:.3f} erases an event",
    ),
    "image and heap": (
        ("image.image_bytes", "heap_free_running_bytes"),
        "{:,} bytes, {:,} bytes of heap free while the agent runs",
    ),
    "update": (
        ("update_bytes.rules", "update_bytes.changed_line", "update_bytes.agent"),
        "{:,} bytes for rules, {:,} for one changed line of the agent, {:,} for all of it",
    ),
}


def _at(figures: dict[str, Any], path: str) -> Any:
    found: Any = figures
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def summary(figures: dict[str, Any]) -> Iterator[str]:
    """Give a line for each figure that was measured; of what this run did not measure none."""
    for what, (paths, text) in _LINES.items():
        values = [_at(figures, path) for path in paths]
        if None not in values:
            yield f"{what}: {text.format(*values)}"


def missing(figures: dict[str, Any]) -> list[str]:
    """Return the paths of what a whole run measures and this one did not."""
    return [path for paths, _ in _LINES.values() for path in paths if _at(figures, path) is None]
