"""The meaning that device and office agree on. VERSION of the semantics goes into every checkpoint's provenance."""

VERSION = 1
