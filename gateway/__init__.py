"""What runs at the site: collects from devices, stores, forwards to the office."""

VERSION = "0.1.0"
