"""A change of bytes on which all of today's parts agree is caught by what landed before, and named."""

import pytest

from tests.compat.sides import command_words, image_words, kept, live, unpack_device
from tests.planted.compat import FAULTS, FLASH_FAULT, PAGE_FAULTS, plant
from tests.tools import test_proof
from tools.device_types import ROOT
from tools.proof.sources import SOURCES

# What never comes is waited for so long, in seconds.
STEP_SECONDS = 15.0
COMMIT = sorted(kept("device"))[-1]


@pytest.mark.canary
@pytest.mark.parametrize("name", FAULTS)
def test_changed_byte_is_caught_by_a_landed_device(tmp_path, name):
    """A landed device under hosts with the fault: the part of the story that needs those bytes fails."""
    hosts = plant(tmp_path / "today", FAULTS[name])
    device = unpack_device(COMMIT, tmp_path / "landed")

    with pytest.raises(AssertionError, match=FAULTS[name][2]):
        live(tmp_path / "site", hosts, image_words(device), seconds=STEP_SECONDS)


@pytest.mark.canary
@pytest.mark.parametrize("name", FAULTS)
def test_changed_byte_is_seen_by_nothing_of_today_alone(tmp_path, name):
    """Devices and hosts with the same fault live through all of it: that is why a landed one is asked."""
    today = plant(tmp_path / "today", FAULTS[name])

    live(tmp_path / "site", today, command_words(today))


@pytest.mark.canary
def test_flash_that_is_no_longer_understood_is_caught_by_the_update(tmp_path):
    """An agent that cannot read the cell before it begins a new epoch, and the story says so."""
    agent = plant(tmp_path / "today", FLASH_FAULT)
    device = unpack_device(COMMIT, tmp_path / "landed")

    with pytest.raises(AssertionError, match=FLASH_FAULT[2]):
        live(tmp_path / "site", ROOT, image_words(device), later=command_words(agent))


def _ask(name, folder):
    """Run a test of the page as pytest would."""
    build, page = test_proof.lay_build(folder), test_proof.lay_page(folder)
    words = {"tmp_path": folder, "build": build, "page": page, "source": SOURCES[0]}
    test = getattr(test_proof, name)
    test(**{word: words[word] for word in test.__code__.co_varnames[: test.__code__.co_argcount]})


@pytest.mark.canary
@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_page_that_flatters_is_caught(name, tmp_path, monkeypatch):
    """The named test fails once the fault is in, and not before."""
    fault, test = PAGE_FAULTS[name]
    for folder in ("true", "false"):
        (tmp_path / folder).mkdir()
    _ask(test, tmp_path / "true")
    fault(monkeypatch.setattr)

    with pytest.raises(AssertionError):
        _ask(test, tmp_path / "false")
    monkeypatch.undo()
