"""The emulated Cortex-M board."""


def run():
    """Start."""
    print("outstation mps2_an385")
