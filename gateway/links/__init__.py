"""Endpoints of the site's links. Each moves datagrams and knows nothing of events."""
