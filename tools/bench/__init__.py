"""`make bench`: our parts and their peers on the same work, side by side, in one run. docs/bench.md says how to read it."""
