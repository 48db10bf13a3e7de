"""The `outstation` command and what it runs."""

VERSION = "0.1.0"
