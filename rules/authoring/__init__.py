"""Hosts only: policy text written by a person becomes a checked bundle. `policy` reads, `check` types, `bounds` proves, `compile` writes."""
