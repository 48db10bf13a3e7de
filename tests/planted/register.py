"""The register that a file of planted faults keeps: name -> apply(patch), where patch(owner, name, value) is as setattr."""


def register():
    """Return an empty register of faults, and the decorator that enters a fault under its function's name."""
    faults = {}

    def fault(apply):
        faults[apply.__name__] = apply
        return apply

    return faults, fault
