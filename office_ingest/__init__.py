"""What runs in the office: verifies, stores, judges and releases."""

VERSION = "0.1.0"
