"""Progress on long work: a line on standard error where a person looks at it, nothing where none does."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Called with (what is done now, done, of).
Progress = Callable[[str, int, int], None]


def no_progress(_what: str, _done: int, _of: int) -> None:
    """Show nothing."""


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Progress]:
    """Give a function to report progress with."""
    if quiet or not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)

        def show(what: str, done: int, of: int) -> None:
            bars.update(task, description=what, completed=done, total=of)

        yield show
