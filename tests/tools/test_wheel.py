"""The wheel holds all that the command needs and nothing that is not shipped."""

import subprocess
import sys
import zipfile

import pytest

from protocol.installation import PACKAGES
from tools.device_types import ROOT


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_carries_the_packages_and_the_firmware(names):
    """An environment without a checkout can run the command, and a device beside it."""
    assert {"tools/cli.py", "protocol/cbor.py", "tools/firmware/agent/__init__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_carries_nothing_else(names):
    """Tests and documents stay in the checkout."""
    tops = {name.split("/")[0] for name in names}

    assert tops == {*PACKAGES, "outstation-0.1.0.dist-info"}
