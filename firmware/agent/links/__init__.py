"""Ways to move datagrams between device and gateway; they know nothing of events."""
