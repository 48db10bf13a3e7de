"""Hosts only: refuses to start where another distribution has written into our packages.

Our package names are short, and pip overwrites a file of the same name without a word (docs/decisions/0001-packages-at-top-level.md).
"""

from collections.abc import Mapping

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError

DISTRIBUTION = "outstation"
PACKAGES = ("gateway", "office_ingest", "protocol", "rules", "tools")


def check_installation(owners: Mapping[str, list[str]] | None = None) -> None:
    """Return if our distribution alone owns each of our packages in this environment.

    owners: package -> distributions that hold it; read from the environment if not given.
    A checkout that was never installed has no owners and passes.
    Raises DiagnosticError (exit 4) that names each intruder.
    """
    if owners is None:
        from importlib.metadata import packages_distributions

        owners = packages_distributions()
    intruders = {
        name: sorted(set(owners.get(name, [])) - {DISTRIBUTION})
        for name in PACKAGES
        if set(owners.get(name, [])) - {DISTRIBUTION}
    }
    if intruders:
        raise DiagnosticError([_intrusion(name, others) for name, others in intruders.items()], NOT_ALLOWED)


def _intrusion(name: str, others: list[str]) -> Diagnostic:
    return Diagnostic(
        "installation-shared",
        f"the package {name} is also written by {', '.join(others)}, so its files may not be ours",
        fix=f"install {DISTRIBUTION} into an environment of its own: pipx install {DISTRIBUTION}",
    )
