"""The tree is arranged as docs/architecture.md says, and the documents say what the code does."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from protocol.codes import CODES
from protocol.installation import PACKAGES
from tools.device_types import ROOT, device_files
from tools.docs import pages
from tools.upy import BOTH

TOP_LEVEL = {
    *("README.md", "Makefile", "LICENSE", "pyproject.toml", "docs", "firmware", "gateway", "hil_tests"),
    *("office_ingest", "protocol", "rules", "tests", "tools"),
}
FOLDERS = sorted(TOP_LEVEL - {"README.md", "Makefile", "LICENSE", "pyproject.toml", "docs", "tests"})
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")


def _known_files():
    """Return the files that git knows or would take, or every file where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]


def test_top_level_holds_the_agreed_entries_only():
    """A newcomer finds the agreed folders at the top and nothing else but dot-files."""
    entries = {name.split("/")[0] for name in _known_files()}

    assert {name for name in entries if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize("folder", [name for name in FOLDERS if (ROOT / name).exists()])
def test_folder_explains_itself(folder):
    """Each folder has a page that says what it is for."""
    assert (ROOT / folder / "README.md").is_file(), f"write {folder}/README.md"


def test_wheel_takes_every_package():
    """What the installation check guards is what the wheel ships."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert sorted(PACKAGES) == sorted(wheel["packages"])


def test_hosts_only_files_are_the_same_in_every_list():
    """A file that devices never see is named alike for types and for import contracts."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    contracts = {contract["id"]: contract for contract in settings["importlinter"]["contracts"]}
    files = {
        path.removesuffix(".py").replace("/", ".")
        for path in settings["outstation"]["hosts-only"]
        if path.startswith("protocol/")
    }
    ignored = {rule.split(" ")[0] for rule in contracts["device-safe"]["ignore_imports"]}

    assert files == set(contracts["hosts-only"]["forbidden_modules"])
    assert files == {name for name in ignored if name.startswith("protocol.")}


def test_device_files_leave_out_what_only_hosts_run():
    """The list of device files holds the codec and not the settings reader."""
    names = {str(Path(path).relative_to(ROOT)) for path in device_files()}

    assert "protocol/cbor.py" in names
    assert not {"protocol/settings.py", "protocol/diagnostic.py"} & names


def _lint_imports(folder):
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{folder}/firmware"}
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_import_contracts_hold():
    """Nobody imports what lies above or beside it."""
    result = _lint_imports(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("protocol/planted.py", "import rules", "Layers"),
        ("gateway/planted.py", "import office_ingest", "Layers"),
        ("office_ingest/planted.py", "import gateway", "Layers"),
        ("gateway/planted.py", "import tools", "Layers"),
        ("firmware/agent/planted.py", "import gateway", "Layers"),
        ("protocol/planted.py", "import dataclasses", "Device-safe"),
        ("rules/planted.py", "import typing", "Device-safe"),
        ("firmware/agent/planted.py", "import cbor2", "Device-safe"),
        ("rules/planted.py", "import protocol.settings", "Hosts only"),
        ("firmware/agent/planted.py", "import protocol.diagnostic", "Hosts only"),
        ("gateway/planted.py", "import rules", "Only the site agent"),
    ],
)
def test_import_contract_catches_a_planted_import(tmp_path, module, statement, contract):
    """Each contract breaks when its rule is broken."""
    _plant_tree(tmp_path)
    (tmp_path / module).write_text(statement + "\n")

    result = _lint_imports(tmp_path)

    assert result.returncode == 1
    assert re.search(rf"{contract}.*?BROKEN", re.sub(r"\s+", " ", result.stdout)), result.stdout


def test_import_contracts_allow_the_site_agent_its_rules(tmp_path):
    """The site agent makes the site's own decisions, and the gateway's app may start it."""
    _plant_tree(tmp_path)
    (tmp_path / "gateway/site_agent.py").write_text("import rules\n")
    (tmp_path / "gateway/app.py").write_text("import gateway.site_agent\n")

    result = _lint_imports(tmp_path)

    assert result.returncode == 0, result.stdout


def _plant_tree(folder):
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ("firmware/agent", *PACKAGES):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text("")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["outstation"]
    for name in settings["hosts-only"]:
        if name.startswith("protocol/"):
            (folder / name).write_text("")


@pytest.mark.parametrize("name", sorted(pages()))
def test_page_written_from_code_is_up_to_date(name):
    """Every command and every error code is documented as it is."""
    path = ROOT / "docs" / name

    assert path.read_text(encoding="utf-8") == pages()[name], "repeat: python -m tools.docs"


def test_every_diagnostic_code_in_the_code_is_explained():
    """`outstation explain` knows each code that a person can meet."""
    used = {}
    for name in _known_files():
        if name.endswith(".py") and not name.startswith("tests/"):
            used.update(dict.fromkeys(_codes((ROOT / name).read_text(encoding="utf-8")), name))

    assert {code: file for code, file in used.items() if code not in CODES} == {}
    assert len(used) >= 10


def _codes(text):
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in ("Diagnostic", "Mistake")
            and node.args
        ):
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


@pytest.mark.parametrize("code", sorted(CODES))
def test_diagnostic_code_has_an_area_and_words(code):
    """A code reads as AREA-WHAT, and its explanation is whole sentences."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", code)
    assert all(part.rstrip().endswith((".", ":", ")")) for part in CODES[code][1:])


def test_glossary_gives_each_word_one_meaning():
    """Every word of the glossary stands there once."""
    words = [
        match[1]
        for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
        if (match := re.match(r"\| \*\*(.+?)\*\* \| .+ \|$", line))
    ]

    assert len(words) == len(set(words))
    assert {"segment", "custody", "receipt", "tombstone", "lane", "epoch", "heartbeat"} <= set(words)


def test_files_for_both_runtimes_import_nothing_from_pytest():
    """A test of both runtimes runs where there is no pytest."""
    for path in BOTH.glob("*.py"):
        assert "pytest" not in path.read_text(encoding="utf-8"), path.name


def test_no_file_names_a_place_on_the_machine_it_was_written_on():
    """A clone works in any folder of any machine."""
    planted = re.compile(r"/(?:root|home)/\w+/|" + re.escape(str(ROOT)) + "/")
    for name in _known_files():
        if name.endswith((".py", ".md", ".toml", ".cddl", ".sql", "Makefile")):
            assert not planted.search((ROOT / name).read_text(encoding="utf-8")), name
