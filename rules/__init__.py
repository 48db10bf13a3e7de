"""The meaning that device and office agree on. VERSION of the semantics goes into every event's provenance."""

VERSION = 1
