"""What the books of a site must show when all is over, whatever was done to it."""

from tests.drills.field import verify

_FIGURES = ("events_recorded", "events_at_office", "segments", "tombstones", "decisions")


def judge_books(row, site, proof):
    """Judge a site to which nothing was done that may leave a trace in the office's books. proof: of `tools.site_proof`."""
    judge_events(row, proof)
    row.figures |= {name: proof.figures[name] for name in _FIGURES}
    row.faults += [f"proof: {fault}" for fault in proof.faults]
    judge_verify(row, site)


def judge_events(row, proof):
    """Require that the office holds each event on flash, and holds it once."""
    row.lost, row.doubled = proof.figures["lost"], proof.figures["duplicated"]
    row.require(row.lost == 0, "lost", f"{row.lost} events on flash are not at the office")
    row.require(row.doubled == 0, "doubled", f"{row.doubled} events more at the office than on flash")


def judge_verify(row, site):
    """Require that an auditor finds nothing."""
    code, document = verify(site)
    row.require(
        code == 0, "verify", f"outstation verify ended with {code}: {document.get('findings', [])[:3]}"
    )
