"""The office decides every decision again, from what was sealed, and comes to the same. The auditor's walk has counted it."""


def check(world):
    counts = world.report.counts
    made, equal = counts["decisions"], counts["decisions_replayed_equal"]
    if made != equal:
        yield f"{equal} of {made} decisions replay equal"
