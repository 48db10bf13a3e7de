"""What holds for the source of every driver: integers only, and a docstring that names where its numbers come from."""

import ast

import pytest

from tools import tidy
from tools.device_types import ROOT

FOLDER = ROOT / "firmware/agent/sensors"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))
DRIVERS = ["ads1115.py", "bme280.py", "ds18b20.py", "modbus_rtu.py", "pulse.py", "sht31.py"]


@pytest.mark.parametrize("name", FILES)
def test_drivers_compute_in_integers(name):
    """No float and no division that makes one, as in the rules."""
    found = tidy.check_source((FOLDER / name).read_text(encoding="utf-8"), name, "rules")

    assert [violation for violation in found if violation.rule in ("rules-float", "rules-division")] == []


def test_float_in_a_driver_would_be_found():
    """The check above sees what it is for."""
    found = tidy.check_source("a = 1 / 2\nb = 0.5\n", "driver.py", "rules")

    assert {violation.rule for violation in found} == {"rules-division", "rules-float"}


@pytest.mark.parametrize("name", DRIVERS)
def test_driver_names_its_source_and_its_worked_example(name):
    """Each says where its numbers come from, gives one that a test repeats, and what it was checked against."""
    text = " ".join((ast.get_docstring(ast.parse((FOLDER / name).read_text(encoding="utf-8"))) or "").split())

    assert "Source: " in text
    assert "Worked example" in text
    assert "hecked against a model" in text
    assert "not against silicon" in text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests/agent/sensors/models").glob("*.py")), ids=lambda path: path.stem
)
def test_model_says_that_it_is_one(path):
    """A model is written from a datasheet; nobody may take it for a measurement on silicon."""
    assert (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").startswith(
        "A model, not silicon: "
    )


def test_write_a_driver_names_every_driver():
    """The page lists each driver's file."""
    page = (ROOT / "docs/write-a-driver.md").read_text(encoding="utf-8")

    assert [
        name for name in FILES if name != "__init__.py" and f"`firmware/agent/sensors/{name}`" not in page
    ] == []
