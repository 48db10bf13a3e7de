"""What comes in: keys, registry, ingest, heartbeats and the API that gateways call."""
