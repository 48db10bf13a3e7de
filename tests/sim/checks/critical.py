"""What is critical goes before what is routine: in each request of an honest gateway."""

from agent.ring import peek


def of_request(segments):
    """Give what breaks it in the segments of one request, in their order."""
    lanes = [peek(raw)[0] for raw in segments]
    if lanes != sorted(lanes):
        yield f"lanes {lanes} in one request"
