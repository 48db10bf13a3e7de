"""From a policy's text to a rollout in one step: test, compile, build, sign, roll out. Each step is the one that has a command."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from office_ingest.govern.release import ReleaseRefused, Request, build_release, sign_release
from office_ingest.govern.rollout import roll_out
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.govern.signer import OpenSigner
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import DiagnosticError
from rules.authoring.compile import compile_file
from rules.authoring.test import run_tests
from rules.bundle import read_bundle


class Published(NamedTuple):
    """What became of it. is_rolled_out: False where another signature is needed first."""

    release: Shelved
    tests: int
    is_rolled_out: bool


def publish(
    store: SqliteStore,
    policy: Path,
    key: Path,
    *,
    target: tuple[int, list[bytes] | str],
    hardware: list[str],
    author: str,
    now_ms: Callable[[], int],
) -> Published:
    """Release a policy and return how far it came.

    Raises DiagnosticError with every mistake of the policy or every test that fails, ReleaseRefused, or what OpenSigner raises: nothing is
    rolled out then.
    """
    shelf = Shelf(store)
    compiled, _warnings = compile_file(policy, next_version(shelf))
    outcomes, mistakes = run_tests(compiled)
    failed = mistakes + [one.failure for one in outcomes if one.failure is not None]
    if failed:
        raise DiagnosticError(failed)
    request = Request(target, hardware, compiled.bundle, policy.read_bytes(), author)
    built = build_release(shelf, request, now_ms())
    with OpenSigner(key) as signer:
        signed = sign_release(shelf, built.number, signer, now_ms())
    if signed.state != "signed":
        return Published(signed, len(outcomes), is_rolled_out=False)
    roll_out(store, built.number, author, now_ms())
    return Published(signed, len(outcomes), is_rolled_out=True)


def next_version(shelf: Shelf) -> int:
    """Return a bundle version above every one that the office holds: on a device it only rises. Raises ReleaseRefused."""
    versions = [read_bundle(body).version for body in shelf.bundles()]
    highest = max(versions, default=0)
    if highest >= 0xFFFFFFFF:
        raise ReleaseRefused("the versions of bundles are used up")
    return highest + 1
