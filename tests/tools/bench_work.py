"""Small work for the benchmarks' tests: synthetic readings, and counts of which each takes a moment."""

from tests.site.harness import write_synthetic
from tools.bench.fleet import read_rows
from tools.bench.plan import Plan, Work

TINY = Plan(
    rounds=2,
    devices=2,
    samples=60,
    segments={1: 6, 2: 10},
    device_samples={"ram": 40, "file": 20},
    batches={100: 1, 1: 3},
    decisions=12,
    requests=8,
    full_segments=2,
    restarted=2,
)


def synthetic_rows(folder, rows=400):
    """Return synthetic readings, some of them missing."""
    recording = folder / "recording.csv"
    write_synthetic(recording, rows)
    return read_rows(recording)


def tiny_work(folder, plan=TINY):
    """Return what a benchmark gets, as small as it may be."""
    return Work(plan, synthetic_rows(folder), folder, 1, lambda text: None)
